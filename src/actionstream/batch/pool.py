"""Several worker processes over many videos; answers come in the order of the videos."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

from actionstream.batch.task import Outcome, Task, carry_out
from actionstream.batch.worker import ProcessLimits, Setup, Worker
from actionstream.concurrency import Closing, usable_cores

WINDOW = 64
"""Videos in hand: those being worked on, and those that wait for an earlier one's answer."""

Report = Callable[[Task, float], None]


class _Stopped(Exception):
    """The pool is closed."""


def threads_each(jobs: int, threads: int | None) -> int:
    """Threads of one of `jobs` processes that share `threads`, None for the machine's cores."""
    return max(1, (threads or usable_cores()) // jobs)


class Pool(Closing):
    """`jobs` worker processes, each handled by a thread of this process."""

    def __init__(self, jobs: int, setup: Setup, limits: ProcessLimits) -> None:
        self._stopping = threading.Event()
        self._workers: SimpleQueue[Worker] = SimpleQueue()
        for _ in range(jobs):
            self._workers.put(Worker(setup, limits))
        self._threads = ThreadPoolExecutor(jobs, thread_name_prefix="actionstream-batch")

    def outcomes(self, tasks: Iterable[Task], report: Report) -> Iterator[Outcome]:
        """One a task, in their order, each as soon as it and all before it are there.

        Args:
            tasks: taken as they are needed; at most WINDOW are in hand.
            report: called from threads of the pool with a task and the share of it that is done.

        Raises:
            EngineError, BundleError: no worker can load the model.
        """
        waiting: deque[Future[Outcome]] = deque()
        for task in tasks:
            waiting.append(self._threads.submit(self._carry_out, task, report))
            while len(waiting) >= WINDOW or (waiting and waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _carry_out(self, task: Task, report: Report) -> Outcome:
        worker = self._workers.get()
        try:
            outcome = carry_out(
                task,
                lambda tell: worker.run(task, source=task.source, tell=tell, check=self._check),
                lambda done: report(task, done),
            )
            report(task, 1.0)
            return outcome
        finally:
            self._workers.put(worker)

    def _check(self) -> None:
        if self._stopping.is_set():
            raise _Stopped

    def close(self) -> None:
        """Leave what is in hand, with nothing half-written, and end the processes."""
        self._stopping.set()
        self._threads.shutdown(cancel_futures=True)
        while not self._workers.empty():
            self._workers.get().close()

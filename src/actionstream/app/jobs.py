"""Uploaded videos and the queue of them: first come, first served, one of a visitor at a time.

What strangers send is opened, read and drawn in worker processes with limits (`work`): a video that
takes too much, hangs or crashes its decoder costs one visitor one error.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from actionstream.app.work import PROCESS, Convert, Draw, Read
from actionstream.batch.worker import Setup, Work, Worker
from actionstream.concurrency import Closing
from actionstream.errors import VideoError
from actionstream.progress import share
from actionstream.results import Answer, Notice, Reading

MOST_WAITING = 64
"""Videos of all visitors that may wait at once."""

WORKERS = 2
"""Videos, of as many visitors, that are worked on at once, each in a process of its own. One of
4096x2304 takes about 1 GB."""

IDLE_SECONDS = 300.0
"""After so long without a video a worker process is ended; the next one starts it anew."""

CHECK_SECONDS = 1.0
"""How often the quota is looked at while videos are written."""

END_SECONDS = 10.0
"""How long `JobQueue.close` waits for its threads."""

Stage = Literal["waiting", "reading", "drawing", "converting", "done", "failed", "cancelled"]
FINISHED: frozenset[Stage] = frozenset({"done", "failed", "cancelled"})
OUTPUTS = ("annotated", "browser")

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


class QuotaExceededError(Exception):
    """The visitors' files take all that the server keeps for them."""


class QueueFullError(Exception):
    """Too many videos wait."""


class Cancelled(Exception):
    """Raised inside a job's progress call to leave it."""


@dataclass(eq=False, slots=True)
class Job:
    """One video of one visitor. Pages read the fields, a thread of the queue writes them.

    name:      what the visitor called it.
    source:    the file as it came, in the visitor's private folder.
    stage:     where it stands; `share` of that stage is done, 0 to 1.
    reading:   the newest one while the video is read: the answer so far.
    answer:    there from the stage "drawing" on, and kept whatever happens to the videos.
    annotated: the video with the readings drawn on it, once done.
    original:  the video as a browser plays it: `source` itself or a converted copy.
    notices:   what could not go along into these videos, or was mended.
    error:     why there is no answer, or no annotated video or original if there is an answer.
    """

    name: str
    source: Path
    stage: Stage = "waiting"
    share: float = 0.0
    reading: Reading | None = None
    answer: Answer | None = None
    original: Path | None = None
    annotated: Path | None = None
    notices: tuple[Notice, ...] = ()
    error: Exception | None = None
    _began: float = field(default_factory=time.monotonic)
    _cancel: threading.Event = field(default_factory=threading.Event)
    _takes_folder: bool = False

    @property
    def key(self) -> str:
        """What tells it from the visitor's others."""
        return self.source.stem

    @property
    def finished(self) -> bool:
        return self.stage in FINISHED

    def seconds_left(self) -> float | None:
        """How much longer this stage takes at its pace so far; None while that is a guess."""
        if self.share < 0.02 or self.stage == "waiting" or self.finished:
            return None
        return (time.monotonic() - self._began) * (1 - self.share) / self.share

    def cancel(self, *, take_folder: bool = False) -> None:
        """Ask the queue to drop it; it does so at its next progress call, with what it has made.

        With `take_folder` the folder that the video lies in goes, too.
        """
        self._takes_folder = self._takes_folder or take_folder
        self._cancel.set()
        if self.stage == "waiting":
            self.stage = "cancelled"

    def is_cancelled(self) -> bool:
        return self._cancel.is_set()

    def report(self, done: float, total: float | None) -> None:
        """How far the stage has come. Raises Cancelled to leave it."""
        self.check()
        self.share = share(done, total)

    def check(self) -> None:
        """Raise Cancelled if it is."""
        if self._cancel.is_set():
            raise Cancelled

    def begin(self, stage: Stage) -> None:
        self.check()
        self.stage, self.share, self._began = stage, 0.0, time.monotonic()

    def hear(self, event: Reading | tuple[float, float | None]) -> None:
        """What the work tells: the newest reading, or how far the stage has come."""
        if isinstance(event, Reading):
            self.reading = event
        else:
            self.report(*event)

    def fail(self, error: Exception) -> None:
        """Something went wrong; the first such thing is told."""
        if not isinstance(error, VideoError | QuotaExceededError):
            _log.error("a video could not be worked on", exc_info=error)
        if self.error is None:
            self.error = error.with_traceback(None)

    def output(self, name: str) -> Path:
        """Where a video goes that is made of this one: one of OUTPUTS."""
        return self.source.with_name(f"{self.key}-{name}.mp4")

    def discard(self) -> None:
        """Delete what was made. Whoever cancels deletes too, but a file may appear just then."""
        self.annotated = self.original = None
        for name in OUTPUTS:
            with contextlib.suppress(OSError):
                self.output(name).unlink(missing_ok=True)
        if self._takes_folder:
            shutil.rmtree(self.source.parent, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Item:
    job: Job
    model: Callable[[], Setup]
    visitor: Hashable


class JobQueue(Closing):
    """Owns WORKERS threads, each with a process that works on videos.

    A visitor's videos come one after the other, so that many of one visitor, or a film of hours,
    leave a thread for the others.

    Args:
        check_quota: raises QuotaExceededError when what is written takes too much of the disk.
    """

    def __init__(self, check_quota: Callable[[], None]) -> None:
        self._changed = threading.Condition()
        self._waiting: list[_Item] = []
        self._running: dict[Hashable, Job] = {}  # by visitor
        self._closing = False
        self._check_quota = check_quota
        self._threads = [
            threading.Thread(target=self._run, name=f"actionstream-jobs-{number}", daemon=True)
            for number in range(WORKERS)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job, model: Callable[[], Setup], *, visitor: Hashable) -> None:
        """Queue a job of this visitor; `model` is called in the queue's thread and says which.

        Raises:
            QueueFullError: MOST_WAITING videos wait already.
        """
        with self._changed:
            self._waiting = [item for item in self._waiting if not item.job.is_cancelled()]
            if len(self._waiting) >= MOST_WAITING:
                raise QueueFullError(f"{MOST_WAITING} videos are waiting")
            self._waiting.append(_Item(job, model, visitor))
            self._changed.notify_all()

    def before(self, job: Job) -> int:
        """How many videos wait before this one."""
        with self._changed:
            waiting = [item.job for item in self._waiting]
        return waiting.index(job) if job in waiting else 0

    def close(self) -> None:
        """Drop what waits, leave the jobs in hand and end the threads. Harmless twice."""
        with self._changed:
            self._closing = True
            for job in (*(item.job for item in self._waiting), *self._running.values()):
                job.cancel()
            self._waiting.clear()
            self._changed.notify_all()
        deadline = time.monotonic() + END_SECONDS
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))

    def _run(self) -> None:
        with _Worker() as worker:
            while (item := self._next(worker)) is not None:
                item.job.stage = self._finish(item, worker)
                with self._changed:
                    del self._running[item.visitor]
                    self._changed.notify_all()

    def _next(self, worker: _Worker) -> _Item | None:
        """The first waiting video of a visitor who has none in hand; None when closing."""
        with self._changed:
            while not self._closing:
                for item in self._waiting:
                    if item.visitor not in self._running:
                        self._waiting.remove(item)
                        self._running[item.visitor] = item.job
                        return item
                if not self._changed.wait(IDLE_SECONDS):
                    worker.close()
        return None

    def _finish(self, item: _Item, worker: _Worker) -> Stage:
        """Work on it; the stage in which it ends. What goes wrong ends this job only."""
        job = item.job
        try:
            self._work(job, worker.with_model(item.model()))
            job.check()  # cancelled while the last file got its name: nobody has removed that
        except Cancelled:
            job.discard()
            return "cancelled"
        except Exception as error:  # noqa: BLE001  the thread serves all others, too
            job.fail(error)
        return "failed" if job.answer is None else "done"

    def _work(self, job: Job, worker: Worker) -> None:
        looked = time.monotonic()

        def check() -> None:
            nonlocal looked
            job.check()
            if time.monotonic() - looked >= CHECK_SECONDS:
                looked = time.monotonic()
                self._check_quota()

        def run(task: Work[Result]) -> Result:
            return worker.run(task, source=job.name, tell=job.hear, check=check)

        job.begin("reading")
        job.answer = answer = run(Read(job.source, job.name))
        _make(job, "drawing", lambda: _draw(job, run, answer))
        _make(job, "converting", lambda: _convert(job, run))


class _Worker(Closing):
    """The worker process of one thread; another one where another model is asked for."""

    def __init__(self) -> None:
        self._setup: Setup | None = None
        self._worker: Worker | None = None

    def with_model(self, setup: Setup) -> Worker:
        if self._worker is None or setup != self._setup:
            self.close()
            self._setup, self._worker = setup, Worker(setup, PROCESS)
        return self._worker

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()


def _make(job: Job, stage: Stage, make: Callable[[], None]) -> None:
    """One of the videos; where it fails, the answer and the other video stay."""
    job.begin(stage)
    try:
        make()
    except Cancelled:
        raise
    except Exception as error:  # noqa: BLE001  whatever it is, the answer is there
        job.fail(error)


class _Run(Protocol):
    def __call__(self, task: Work[Result], /) -> Result: ...


def _draw(job: Job, run: _Run, answer: Answer) -> None:
    target = job.output("annotated")
    job.notices += run(Draw(job.source, answer, target))
    job.annotated = target


def _convert(job: Job, run: _Run) -> None:
    target = job.output("browser")
    said = run(Convert(job.source, target))
    job.original = job.source if said is None else target
    job.notices += tuple(notice for notice in said or () if notice not in job.notices)

"""A worker process that hangs, dies or takes too much costs the video it had in hand only."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from actionstream.batch.pool import WINDOW, Pool, threads_each
from actionstream.batch.task import Task
from actionstream.batch.worker import ProcessLimits, Setup, Worker
from actionstream.errors import (
    BundleError,
    UnreadableVideoError,
    VideoCrashedError,
    VideoTimeoutError,
    VideoTooLargeError,
)
from actionstream.recognizer import Recognizer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and limits")

SETUP = Setup(model="fast", threads=1)
QUICK = ProcessLimits(quiet_seconds=2.0)


@dataclass(frozen=True)
class Signalled:
    """Work whose process gets a signal in the middle of it, as a decoder's fault would give it."""

    number: int

    def __call__(self, model: Recognizer, tell: Callable[[Any], None]) -> str:
        tell("begun")
        os.kill(os.getpid(), self.number)
        return "went on"


@dataclass(frozen=True)
class Labels:
    """Work that needs the model, and tells of it."""

    def __call__(self, model: Recognizer, tell: Callable[[Any], None]) -> int:
        tell(model.labels[0])
        return len(model.labels)


@dataclass(frozen=True)
class Greedy:
    megabytes: int

    def __call__(self, model: Recognizer, tell: Callable[[Any], None]) -> int:
        return len(bytearray(self.megabytes << 20))


@dataclass(frozen=True)
class Surprising:
    def __call__(self, model: Recognizer, tell: Callable[[Any], None]) -> int:
        raise ZeroDivisionError("by a strange header")


@dataclass(frozen=True)
class Busy:
    """Work that tells on and on, and removes its file when it is ended."""

    file: Path

    def __call__(self, model: Recognizer, tell: Callable[[Any], None]) -> None:
        self.file.touch()
        try:
            while True:
                tell(0.1)
                time.sleep(0.05)
        finally:
            self.file.unlink()


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker(SETUP, ProcessLimits()) as one:
        yield one


def test_a_task_runs_in_another_process_and_tells_what_happens(worker: Worker) -> None:
    told: list[str] = []
    assert worker.run(Labels(), source="a", tell=told.append) == 37
    assert len(told) == 1
    first = worker.pid
    assert first not in (None, os.getpid())
    assert worker.run(Labels(), source="b") == 37
    assert worker.pid == first, "the model is loaded once"


def test_a_death_costs_one_task(worker: Worker) -> None:
    told: list[str] = []
    with pytest.raises(VideoCrashedError, match=r"^a\.mp4: .* ended by SIGSEGV$") as caught:
        worker.run(Signalled(signal.SIGSEGV), source="a.mp4", tell=told.append)
    assert caught.value.kind == "crashed"
    assert told == ["begun"]
    assert worker.run(Labels(), source="b.mp4") == 37


def test_a_worker_that_died_between_two_tasks_is_replaced(worker: Worker) -> None:
    worker.run(Labels(), source="a")
    assert worker.pid is not None
    process = psutil.Process(worker.pid)
    process.kill()
    while process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    time.sleep(0.5)  # until its last thread has closed its files
    assert worker.run(Labels(), source="b") == 37


def test_a_task_that_stands_still_is_given_up() -> None:
    with Worker(SETUP, QUICK) as worker:
        with pytest.raises(VideoTimeoutError, match="made no headway for 2 s"):
            worker.run(Signalled(signal.SIGSTOP), source="a")
        assert worker.pid is None, "its process is gone"


def test_a_task_that_takes_too_long_is_given_up_and_cleans_up(tmp_path: Path) -> None:
    limits = ProcessLimits(total_seconds=1.0)
    with (
        Worker(SETUP, limits) as worker,
        pytest.raises(VideoTimeoutError, match="took over 1 s"),
    ):
        worker.run(Busy(tmp_path / "half-written"), source="a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts addresses")
def test_memory_has_a_limit(worker: Worker) -> None:
    with Worker(SETUP, ProcessLimits(memory_bytes=256 << 20)) as small:
        assert small.run(Greedy(100), source="a") == 100 << 20
        with pytest.raises(VideoTooLargeError, match="more memory than one video may take"):
            small.run(Greedy(300), source="a")
        assert small.run(Labels(), source="b") == 37
    assert worker.run(Greedy(300), source="a") == 300 << 20


def test_what_nobody_foresaw_is_an_error_of_the_video(worker: Worker) -> None:
    with pytest.raises(UnreadableVideoError, match="unexpected ZeroDivisionError: by a strange"):
        worker.run(Surprising(), source="a")


def test_a_model_that_cannot_be_loaded_is_told_as_such(tmp_path: Path) -> None:
    with (
        Worker(Setup(model=tmp_path), QUICK) as worker,
        pytest.raises(BundleError, match=r"card\.json"),
    ):
        worker.run(Labels(), source="a")


def test_what_check_raises_ends_the_task_and_cleans_up(tmp_path: Path, worker: Worker) -> None:
    file = tmp_path / "half-written"
    with pytest.raises(KeyboardInterrupt):
        worker.run(Busy(file), source="a", check=lambda: raise_if(file.exists()))
    assert not file.exists()
    assert worker.pid is None


def raise_if(cancelled: bool) -> None:
    if cancelled:
        raise KeyboardInterrupt


def test_the_window_is_bounded_and_the_order_kept(tmp_path: Path) -> None:
    """Ten thousand videos must not be in memory at once: tasks are taken as they are needed."""
    taken = 0

    def tasks() -> Iterator[Task]:
        nonlocal taken
        for number in range(4 * WINDOW):
            taken += 1
            yield Task(f"{number}.mp4", str(tmp_path / f"{number}.mp4"))

    with Pool(2, SETUP, ProcessLimits()) as pool:
        for number, outcome in enumerate(pool.outcomes(tasks(), lambda task, share: None)):
            assert outcome.answer.source == f"{number}.mp4"
            assert outcome.answer.error is not None
            assert outcome.answer.error.kind == "not_found"
            assert taken <= number + 1 + WINDOW
    assert (taken, number) == (4 * WINDOW, 4 * WINDOW - 1)


def test_closing_a_pool_leaves_what_is_in_hand() -> None:
    """No process and no thread of it is left, though answers are outstanding."""
    pool = Pool(2, SETUP, ProcessLimits())
    before = set(psutil.Process().children())
    outcomes = pool.outcomes([Task("a", "/nowhere/a")] * 3, lambda task, share: None)
    assert next(outcomes).answer.error is not None
    pool.close()
    left = [one for one in psutil.Process().children() if one not in before]
    assert [one for one in left if "spawn_main" in " ".join(one.cmdline())] == []
    assert [one for one in threading.enumerate() if one.name.startswith("actionstream-b")] == []


def test_threads_are_shared() -> None:
    assert [threads_each(jobs, 8) for jobs in (1, 2, 3, 16)] == [8, 4, 2, 1]
    assert threads_each(1, None) == len(os.sched_getaffinity(0))

"""A process of its own for work that may hang, crash or take all memory.

::

    this process                               the worker's process
    Worker.run(task) ── task ────────────────▶ task(model, tell)
       tell(event)   ◀─ event, event, ...      tell(event)
       result        ◀─ done or failed, and whether the process is fit for more
    close, or death  ── the lifeline ends ───▶ unwinds as by SIGTERM; after GRACE_SECONDS it is gone

Signals of the terminal reach only this process: it decides what becomes of the worker.
"""

from __future__ import annotations

import _thread
import contextlib
import mmap
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from actionstream.batch.task import unexpected
from actionstream.concurrency import Closing
from actionstream.errors import (
    ActionstreamError,
    BundleError,
    EngineError,
    VideoCrashedError,
    VideoError,
    VideoTimeoutError,
    VideoTooLargeError,
    VideoWriteError,
)

if TYPE_CHECKING:
    from actionstream.recognizer import EngineName, Recognizer

START_SECONDS = 300.0  # a worker may take to load its model
STARTS = 3  # deaths in a row while loading; then something is wrong with more than a video
GRACE_SECONDS = 3.0  # to unwind in: half-written files are removed
TICK_SECONDS = 0.25  # how often it is looked whether to go on

_NO_MEMORY = re.compile(r"bad_alloc|[Aa]llocate|[Ii]nsufficient memory")  # ONNX Runtime, OpenCV
_STATM = Path("/proc/self/statm")

Result = TypeVar("Result", covariant=True)
Tell = Callable[[Any], None]


class Work(Protocol[Result]):
    """A picklable call: with the worker's model and a way to tell what happens meanwhile."""

    def __call__(self, model: Recognizer, tell: Tell, /) -> Result: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The model of a worker, as `recognizer.load` takes it.

    niceness: how far the process stands back for others, where the system knows that.
    """

    model: str | Path | None = None
    engine: EngineName = "onnx"
    threads: int | None = None
    device: str | None = None
    niceness: int = 0

    def load(self) -> Recognizer:
        from actionstream.recognizer import load

        return load(self.model, engine=self.engine, threads=self.threads, device=self.device)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """What one task may cost.

    memory_bytes:  addresses that the process may take beside the loaded model (Linux), None: any.
    quiet_seconds: without any word from the task.
    total_seconds: for the whole task, None: any.
    """

    memory_bytes: int | None = 4 << 30
    quiet_seconds: float = 120.0
    total_seconds: float | None = None


class Worker(Closing):
    """One process with a loaded model that does one task at a time; a new one where it died.

    It starts at the first task. For one thread at a time.
    """

    def __init__(self, setup: Setup, limits: ProcessLimits) -> None:
        self._setup, self._limits = setup, limits
        self._process: SpawnProcess | None = None
        self._work: Connection
        self._lifeline: Connection

    def run(
        self,
        task: Work[Result],
        *,
        source: str,
        tell: Tell = lambda event: None,
        check: Callable[[], None] = lambda: None,
    ) -> Result:
        """What the task returns in the worker's process.

        Args:
            task: picklable, as is what it tells and returns.
            source: how errors call the video.
            tell: called here with what the task tells.
            check: called every TICK_SECONDS; what it raises ends the task.

        Raises:
            VideoTimeoutError, VideoTooLargeError: the task passed a limit.
            VideoCrashedError: the process died.
            VideoError, VideoWriteError: whatever the task raised, as one of them.
            EngineError, BundleError: no worker can load the model, or it is unfit.
        """
        self._ensure(check)
        try:
            with contextlib.suppress(OSError):  # it died: told below
                self._work.send((task, source))
            done = self._last_message(source, tell, check)
        except BaseException:
            self.close()
            raise
        if not done.fit:
            self.close()
        if done.error is not None:
            raise done.error
        result: Result = done.result
        return result

    @property
    def pid(self) -> int | None:
        """Of the process, None while there is none."""
        return None if self._process is None else self._process.pid

    def close(self) -> None:
        """End the process; a later task starts a new one."""
        if self._process is None:
            return
        self._work.close()
        self._lifeline.close()
        self._process.join(GRACE_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()
        self._process = None

    def _ensure(self, check: Callable[[], None]) -> None:
        if self._process is not None and self._process.is_alive() and not self._work.poll():
            return  # an idle process says nothing: what is there to hear is its end
        try:
            for _ in range(STARTS):
                self.close()
                if self._start(check):
                    return
        except BaseException:
            self.close()
            raise
        raise EngineError(f"a worker process died {STARTS} times while it loaded the model")

    def _start(self, check: Callable[[], None]) -> bool:
        """Whether a new process has loaded the model; it raises here what that raised."""
        context = multiprocessing.get_context("spawn")
        self._work, work = context.Pipe()
        lifeline, self._lifeline = context.Pipe(duplex=False)
        arguments = (work, lifeline, self._setup, self._limits.memory_bytes)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        with _signals_blocked():
            self._process.start()
        work.close()
        lifeline.close()
        left = START_SECONDS
        while not self._work.poll(TICK_SECONDS):
            check()
            left -= TICK_SECONDS
            if left < 0:
                raise EngineError(f"a worker process took over {START_SECONDS:.0f} s to start")
        try:
            unusable = self._work.recv()
        except (EOFError, OSError):
            return False
        if unusable is not None:
            raise unusable
        return True

    def _last_message(self, source: str, tell: Tell, check: Callable[[], None]) -> _Done:
        clock = _Clock(self._limits, source)
        while True:
            if not self._work.poll(TICK_SECONDS):
                check()
                clock.tick()
                continue
            try:
                message = self._work.recv()
            except (EOFError, OSError):
                raise VideoCrashedError(source, self._death()) from None
            if isinstance(message, _Done):
                return message
            clock.heard()
            clock.tick()
            check()
            tell(message)

    def _death(self) -> str:
        assert self._process is not None
        self._process.join(GRACE_SECONDS)
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"the process that read it was ended by {signal.Signals(-code).name}"
        return f"the process that read it ended in the middle (exit code {code})"


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of a task, and whether the process can take another one."""

    result: Any = None
    error: ActionstreamError | None = None
    fit: bool = True


class _Clock:
    """What a task has taken. A pause (Ctrl-Z, a laptop that slept) is not counted."""

    def __init__(self, limits: ProcessLimits, source: str) -> None:
        self._limits, self._source = limits, source
        self._looked, self._total, self._quiet = time.monotonic(), 0.0, 0.0

    def heard(self) -> None:
        self._quiet = 0.0

    def tick(self) -> None:
        now = time.monotonic()
        passed, self._looked = min(now - self._looked, 4 * TICK_SECONDS), now
        self._quiet += passed
        self._total += passed
        most = self._limits.total_seconds
        if most is not None and self._total > most:
            raise VideoTimeoutError(self._source, f"took over {most:g} s and was given up")
        if self._quiet > self._limits.quiet_seconds:
            cause = f"made no headway for {self._limits.quiet_seconds:g} s and was given up"
            raise VideoTimeoutError(self._source, cause)


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """A process that starts here will never see them: its parent does, and decides."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    )
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(work: Connection, lifeline: Connection, setup: Setup, memory: int | None) -> None:
    """What the process does: load the model, then one task after the other."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _unwind)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(setup.niceness)
    with contextlib.suppress(EOFError, OSError):  # the parent is gone
        try:
            model = setup.load()
        except ActionstreamError as error:
            work.send(error)
            return
        room = _Room(memory)
        work.send(None)
        while True:
            task, source = work.recv()
            done = _attempt(task, source, model, work.send)
            work.send(done if room.is_there() else replace(done, fit=False))


def _attempt(task: Work[Any], source: str, model: Recognizer, tell: Tell) -> _Done:
    try:
        return _Done(task(model, tell))
    except VideoTooLargeError as error:
        return _Done(error=error, fit=False)
    except (VideoError, VideoWriteError, BundleError) as error:
        return _Done(error=error)
    except ConnectionError:  # the parent is gone
        raise
    except Exception as error:  # noqa: BLE001  whatever it is, it goes to the parent
        if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
            cause = "needs more memory than one video may take"
            return _Done(error=VideoTooLargeError(source, cause), fit=False)
        return _Done(error=unexpected(source, error), fit=False)


def _unwind(number: int, frame: object) -> None:
    raise SystemExit(0)


def _end_with(lifeline: Connection) -> None:
    """When the parent ends it, or is gone: unwind; what does not, is left behind."""
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv_bytes()
    _thread.interrupt_main(signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


class _Room:
    """The addresses that the process may take from here on, where the system keeps count of them.

    A decoder that finds none calls that damage, often as not. So a process that has given half of
    its room away for good (to caches, or in pieces) takes no other video.
    """

    def __init__(self, memory_bytes: int | None) -> None:
        self._most = 0
        if memory_bytes is None or not _STATM.exists():
            return
        import resource

        self._memory, self._most = memory_bytes, _addresses() + memory_bytes
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        most = self._most if hard == resource.RLIM_INFINITY else min(self._most, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def is_there(self) -> bool:
        return self._most == 0 or self._most - _addresses() >= self._memory // 2


def _addresses() -> int:
    """Bytes of addresses that this process has taken."""
    return int(_STATM.read_text().split()[0]) * mmap.PAGESIZE

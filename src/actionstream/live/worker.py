"""One thread that serves many live streams with one model.

Each turn takes the looks that wait, at most `max_batch`, in the order in which their sessions
began to wait: one that was served goes to the back, so none starves. One call of the
encoder and one of the head serve the whole batch.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actionstream.concurrency import Closing
from actionstream.errors import BusyError, EngineError, FrameError
from actionstream.inference import look as looks
from actionstream.inference.look import StreamState
from actionstream.live.session import Look, Session
from actionstream.results import Reading

if TYPE_CHECKING:
    from actionstream.recognizer import Recognizer

Taken = tuple[Session, Look, StreamState, looks.Look]


@dataclass(frozen=True, slots=True)
class WorkerStatistics:
    """Sessions open now; batches and looks encoded since the worker began."""

    sessions: int
    batches: int
    looks: int


class Worker(Closing):
    """Serves many live streams with one model and one thread, which it owns.

    ::

        with Worker(model) as worker, worker.open() as session:
            for frame in camera:
                session.offer(frame)
                print(session.latest)

    Args:
        model: what recognises; shared, never changed.
        max_batch: looks encoded in one call at most.
        max_sessions: streams open at once at most; None for no limit.
        clock: seconds that only grow, by which rates and ages are measured.
    """

    def __init__(
        self,
        model: Recognizer,
        *,
        max_batch: int = 8,
        max_sessions: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_batch < 1:
            raise ValueError(f"max_batch must be 1 or more, got {max_batch}")
        if max_sessions is not None and max_sessions < 1:
            raise ValueError(f"max_sessions must be 1 or more, or None, got {max_sessions}")
        self.model, self.max_batch, self.max_sessions = model, max_batch, max_sessions
        self._clock = clock
        self._rules = model.card.rules
        self._wanted = threading.Condition(threading.Lock())
        self._sessions: set[Session] = set()
        self._waiting: dict[Session, None] = {}  # an ordered set: who waits, longest first
        self._batches = self._looks = 0
        self._error: EngineError | None = None
        # A daemon: a program that forgets to close its worker can still end.
        self._thread = threading.Thread(target=self._run, name="actionstream-worker", daemon=True)
        self._closing = False
        self._thread.start()

    def open(
        self,
        *,
        keep_seconds: float = 60.0,
        on_reading: Callable[[Reading], None] | None = None,
    ) -> Session:
        """A new stream.

        Args:
            keep_seconds: how much of its readings `Session.history` keeps.
            on_reading: called with each reading in the worker's thread; all streams wait for it,
                so it must be quick. What it raises is raised by the session's next `offer`.

        Raises:
            BusyError: `max_sessions` streams are open.
            EngineError: the engine has failed, or the worker is closed.
        """
        session = Session(
            self.model.card,
            keep_seconds,
            on_reading,
            clock=self._clock,
            wake=self._wake,
            leave=self._leave,
        )
        with self._wanted:
            if self._error is not None:
                raise self._error.with_traceback(None)
            if self._closing:
                raise EngineError("the live worker is closed")
            if self.max_sessions is not None and len(self._sessions) >= self.max_sessions:
                raise BusyError(f"all {self.max_sessions} live sessions are in use")
            self._sessions.add(session)
        return session

    @property
    def failed(self) -> bool:
        """Whether the engine has failed; the worker then serves nobody any more."""
        return self._error is not None

    def statistics(self) -> WorkerStatistics:
        with self._wanted:
            return WorkerStatistics(len(self._sessions), self._batches, self._looks)

    def close(self) -> None:
        """End the thread after the batch in hand and close every session. Harmless twice."""
        with self._wanted:
            self._closing = True
            self._wanted.notify_all()
            sessions = list(self._sessions)
        for session in sessions:
            session.close()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _wake(self, session: Session) -> None:
        """A look waits in this session's slot."""
        with self._wanted:
            if session in self._sessions:
                self._waiting[session] = None
                self._wanted.notify()

    def _leave(self, session: Session) -> None:
        with self._wanted:
            self._sessions.discard(session)
            self._waiting.pop(session, None)

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except Exception as error:  # noqa: BLE001  every session raises it
            self._stop(error)

    def _stop(self, cause: Exception) -> None:
        error = EngineError(f"the live worker stopped: {cause}")
        error.__cause__ = cause
        with self._wanted:
            self._error = error
            sessions = list(self._sessions)
        for session in sessions:
            session.stop(error)

    def _turn(self) -> bool:
        """Serve one batch; False when the worker is closing. Holds no picture when it returns."""
        with self._wanted:
            self._wanted.wait_for(lambda: self._waiting or self._closing)
            if self._closing:
                return False
            sessions = list(self._waiting)[: self.max_batch]
            for session in sessions:
                del self._waiting[session]
        taken = self._take(sessions)
        if taken:
            self._serve(taken)
        return True

    def _take(self, sessions: list[Session]) -> list[Taken]:
        """The waiting looks, ready for the encoder; a bad one concerns its own stream only."""
        taken: list[Taken] = []
        for session in sessions:
            waiting = session.take()
            if waiting is None:
                continue
            look, state, ticks = waiting
            try:
                pixels, stretch = look.pixels(), state.clock.stretch
                one = looks.Look.of(pixels, look.time_seconds, ticks, stretch, self._rules)
            except FrameError as error:
                session.fail(look, error)
                continue
            taken.append((session, look, state, one))
        return taken

    def _serve(self, taken: list[Taken]) -> None:
        streams = [(state, [one]) for *_, state, one in taken]
        results = looks.look(self.model.engine, self._rules, streams)
        with self._wanted:
            self._batches += 1
            self._looks += len(taken)
        for (session, look, *_), (state, (reading,)) in zip(taken, results, strict=True):
            session.done(look, state, reading)

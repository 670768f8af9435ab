"""One thread that serves many live streams with one model.

Each turn takes the looks that wait, at most `max_batch`, in the order in which their streams
began to wait: a stream that was served goes to the back, so none starves. One call of the
encoder and one of the head serve the whole batch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from actionstream.errors import BusyError, EngineError, FrameError
from actionstream.inference.preprocess import preprocess
from actionstream.inference.stream import StreamState, window
from actionstream.live.look import Look
from actionstream.live.session import Session
from actionstream.results import Pixels, Reading

if TYPE_CHECKING:
    from actionstream.recognizer import Recognizer

Taken = tuple[Session, Look]


@dataclass(frozen=True, slots=True)
class WorkerStatistics:
    """Sessions open now; batches and looks encoded since the worker began."""

    sessions: int
    batches: int
    looks: int


class Worker:
    """Serves many live streams with one model and one thread, which it owns.

    ::

        with Worker(model) as worker, worker.open() as session:
            for frame in camera:
                session.offer(frame.to_rgb, frame.time_seconds)
                print(session.latest)

    Args:
        model: what recognises; shared, never changed.
        max_batch: looks encoded in one call at most.
        max_sessions: streams open at once at most; None for no limit.
    """

    def __init__(
        self, model: Recognizer, *, max_batch: int = 8, max_sessions: int | None = None
    ) -> None:
        if max_batch < 1:
            raise ValueError(f"max_batch must be 1 or more, got {max_batch}")
        if max_sessions is not None and max_sessions < 1:
            raise ValueError(f"max_sessions must be 1 or more, or None, got {max_sessions}")
        self.model, self.max_batch, self.max_sessions = model, max_batch, max_sessions
        self._wanted = threading.Condition(threading.Lock())
        self._sessions: set[Session] = set()
        self._waiting: dict[Session, None] = {}  # an ordered set: who waits, longest first
        self._batches = self._looks = 0
        self._error: Exception | None = None
        self._closing = False
        # A daemon: a program that forgets to close its worker can still end.
        self._thread = threading.Thread(target=self._run, name="actionstream-worker", daemon=True)
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
        self.check()
        session = Session(self, self.model.card, keep_seconds, on_reading)
        with self._wanted:
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

    def check(self) -> None:
        """Raise EngineError, with the engine's own error as its cause, if the engine failed."""
        if self._error is not None:
            raise EngineError(f"the live worker stopped: {self._error}") from self._error

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def notice(self, session: Session) -> None:
        """A look waits in this session's slot."""
        with self._wanted:
            if session in self._sessions:
                self._waiting[session] = None
                self._wanted.notify()

    def forget(self, session: Session) -> None:
        """The session is closed."""
        with self._wanted:
            self._sessions.discard(session)
            self._waiting.pop(session, None)

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except Exception as error:  # noqa: BLE001  handed back by `check`
            self._stop(error)

    def _stop(self, error: Exception) -> None:
        with self._wanted:
            self._error = error
            sessions = list(self._sessions)
        for session in sessions:
            session._wake()

    def _turn(self) -> bool:
        """Serve one batch; False when the worker is closing. Holds no picture when it returns."""
        with self._wanted:
            self._wanted.wait_for(lambda: self._waiting or self._closing)
            if self._closing:
                return False
            sessions = list(self._waiting)[: self.max_batch]
            for session in sessions:
                del self._waiting[session]
        taken, images = self._pictures(sessions)
        if taken:
            self._serve(taken, np.stack(images))
        return True

    def _pictures(self, sessions: list[Session]) -> tuple[list[Taken], list[Pixels]]:
        """The waiting looks and their encoder inputs; a bad one concerns its own stream only."""
        taken, images = [], []
        for session in sessions:
            look = session._take()
            if look is None:
                continue
            try:
                images.append(preprocess(look.pixels(), self.model.card.input_geometry))
                taken.append((session, look))
            except FrameError as error:
                session._spoil(look, error)
        return taken, images

    def _serve(self, taken: list[Taken], images: Pixels) -> None:
        features = self.model.engine.encode(images)
        with self._wanted:
            self._batches += 1
            self._looks += len(taken)
        ready: list[tuple[Session, Look, StreamState]] = []
        for (session, look), feature in zip(taken, features, strict=True):
            state = session._enter(look, feature)
            if state is not None:
                ready.append((session, look, state))
        if not ready:
            return
        logits, known = self.model.engine.read(np.stack([window(state) for *_, state in ready]))
        for (session, look, _), row, score in zip(ready, logits, known, strict=True):
            session._conclude(look, row, float(score))

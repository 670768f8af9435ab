"""Passes a stream's readings on to whatever listens, without ever holding the model up."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self

from actionstream.results import Reading
from actionstream.webcam.events import ActionEvent, EventFinder

MOST_WAITING = 256
"""Readings that wait for slow listeners (a terminal that is held, a full disk) at most."""

_Message = Reading | Literal["lost", "end"]


class Announcer:
    """Calls `see` with readings and `tell` with events, in a thread of its own.

    `push` fits `Worker.open(on_reading=...)`. What a listener raises ends the thread and is
    raised by `check` and by leaving the `with` block; readings after that go nowhere.
    """

    def __init__(
        self, *, see: Callable[[Reading], None], tell: Callable[[ActionEvent], None]
    ) -> None:
        self._see, self._tell = see, tell
        self._finder = EventFinder()
        self._messages: queue.Queue[_Message] = queue.Queue(MOST_WAITING)
        self._error: Exception | None = None
        self._thread = threading.Thread(
            target=self._run, name="actionstream-announcer", daemon=True
        )
        self._thread.start()

    def push(self, reading: Reading) -> None:
        """Pass a reading on. While `MOST_WAITING` wait, it is left out."""
        with contextlib.suppress(queue.Full):
            self._messages.put_nowait(reading)

    def lost(self) -> None:
        """The camera is gone: what is going on ends now, not when it comes back."""
        with contextlib.suppress(queue.Full):
            self._messages.put_nowait("lost")

    def check(self) -> None:
        """Raise what a listener has raised."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def close(self, timeout: float = 5.0) -> None:
        """End the action that is going on, tell it, and end the thread.

        A listener that hangs is left behind after `timeout` seconds.
        """
        with contextlib.suppress(queue.Full):
            self._messages.put("end", timeout=timeout)
        self._thread.join(timeout)
        self.check()

    def _run(self) -> None:
        try:
            while self._handle(self._messages.get()):
                pass
        except Exception as error:  # noqa: BLE001  handed back by `check`
            self._error = error

    def _handle(self, message: _Message) -> bool:
        if isinstance(message, Reading):
            self._see(message)
            events = self._finder.push(message)
        else:
            events = self._finder.finish()
        for event in events:
            self._tell(event)
        return message != "end"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
            return
        with contextlib.suppress(Exception):  # the error that is on its way matters more
            self.close()

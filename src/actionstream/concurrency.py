"""What threads share: their number, a base for things that are closed, a mailbox for the newest."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")

MOST_THREADS = 4
"""Beyond this a small CNN gains little, and other streams want the cores."""


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_threads() -> int:
    """Threads for encoder, OpenCV and decoding, where nobody asks for another number."""
    return min(usable_cores(), MOST_THREADS)


class Closing(ABC):
    """Something to be closed, or used in `with`. Closing twice is harmless."""

    @abstractmethod
    def close(self) -> None:
        """Free what it holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Background(Closing):
    """Work in a daemon thread of its own; `check` raises here what was raised there."""

    def __init__(self, name: str) -> None:
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._guard, name=name, daemon=True)
        self._thread.start()

    @abstractmethod
    def _work(self) -> None:
        """What the thread does; it ends with it."""

    def _guard(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001  handed back by `check`
            self._error = error

    def check(self) -> None:
        """Raise what went wrong in the thread, once."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error


class Latest(Closing, Generic[T]):
    """A mailbox with one place: a newer value replaces one that was not taken. For any threads.

    ::

        put     a   b c   d
        take      a     c   d      b is gone: it was never taken
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._values: list[T] = []  # none or one
        self._error: BaseException | None = None
        self._closed = False

    def put(self, value: T) -> bool:
        """Leave a value; whether one that was not taken had to go. Ignored once closed."""
        with self._changed:
            if self._closed:
                return False
            replaced, self._values = bool(self._values), [value]
            self._changed.notify_all()
            return replaced

    def take(self, timeout: float | None = None) -> T | None:
        """The value, which is then out of the mailbox; waits for one.

        Args:
            timeout: seconds to wait at most; None for as long as it takes.

        Returns:
            None when the time is over or the mailbox is closed.

        Raises:
            BaseException: the error with which it was closed, each time.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._values or self._closed, timeout)
            if self._values:
                return self._values.pop()
            if self._error is not None:
                raise self._error
            return None

    def clear(self) -> None:
        """Forget the value that was not taken."""
        with self._changed:
            self._values.clear()

    @property
    def closed(self) -> bool:
        with self._changed:
            return self._closed

    def close(self, error: BaseException | None = None) -> None:
        """Let go of the value and of all who wait; `error` is raised to them and to later ones."""
        with self._changed:
            if not self._closed:
                self._closed, self._error = True, error
                self._values.clear()
                self._changed.notify_all()

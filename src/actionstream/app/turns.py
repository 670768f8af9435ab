"""Long work of several threads, one at a time, in short turns.

Three films, the first of hours; the others come later and are done soon all the same::

    a  ====    ====    ====    ====================...
    b      ====    ==
    c              |   ====
                   c comes and waits behind a
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

GIVE_UP_SECONDS = 0.2
"""How often one that waits for its turn asks whether it is still wanted."""


class Turns:
    """Who has worked for `slice_seconds` lets all others who wait work for as long."""

    def __init__(self, slice_seconds: float) -> None:
        self._slice_seconds = slice_seconds
        self._changed = threading.Condition()
        self._order: deque[Turn] = deque()  # the first one works
        self._began = 0.0

    @contextmanager
    def taking(self, gives_up: Callable[[], bool]) -> Iterator[Turn]:
        """Queue up and wait for a turn; it is over when the `with` block is left.

        The block is entered without a turn if `gives_up()` is true meanwhile.
        """
        turn = Turn(self, gives_up)
        with self._changed:
            self._order.append(turn)
        try:
            with self._changed:
                self._wait(turn)
            yield turn
        finally:
            with self._changed:
                self._order.remove(turn)
                self._changed.notify_all()

    def _pass_on(self, turn: Turn) -> None:
        with self._changed:
            if self._order[0] is turn:
                over = time.monotonic() - self._began >= self._slice_seconds
                if not over or len(self._order) == 1:
                    return
                self._order.rotate(-1)
                self._changed.notify_all()
            self._wait(turn)

    def _wait(self, turn: Turn) -> None:
        began = time.monotonic()
        while self._order[0] is not turn and not turn.gives_up():
            self._changed.wait(GIVE_UP_SECONDS)
        self._began = time.monotonic() if self._order[0] is turn else self._began
        turn.waited_seconds += time.monotonic() - began


class Turn:
    """One thread's place in the order.

    gives_up:       whether the work is no longer wanted.
    waited_seconds: how long it has waited for its turns, in all.
    """

    def __init__(self, turns: Turns, gives_up: Callable[[], bool]) -> None:
        self._turns, self.gives_up = turns, gives_up
        self.waited_seconds = 0.0

    def pass_on(self) -> None:
        """Call this often. Lets others work if the time is up; returns with the next turn,
        or without one as soon as `gives_up()` is true."""
        self._turns._pass_on(self)

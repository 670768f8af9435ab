"""How long work tells how far it has come, and the one bar that shows it."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Protocol

from actionstream.concurrency import Closing

_LONGEST_NAME = 40


class Progress(Protocol):
    """Called now and then by long work. What it raises ends the work: that is how to cancel."""

    def __call__(self, done: float, total: float | None, what: str, /) -> None:
        """`done` of `total` (None: not known) is behind us; `what` is being worked on.

        Both count what the work counts: seconds of video, clips, epochs.
        """


def share(done: float, total: float | None) -> float:
    """`done` as a part of `total`, 0 to 1; 0 when the total is not known."""
    return min(max(done / total, 0.0), 1.0) if total else 0.0


class ProgressBar(Closing):
    """A `Progress` that draws a bar with the time left on stderr, where that is a terminal.

    FORCE_COLOR=1 or TTY_COMPATIBLE=1 in the environment show it elsewhere, too (rich's own
    switches). Inside `paused()` it is off the screen, so that a result can be printed.

    Args:
        of: what the work counts ("videos"): then their number and rate are shown, too.
    """

    def __init__(self, *, of: str | None = None) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            redirect_stdout=False,  # results must never end up on stderr
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("", total=1.0, rate="")
        self._done, self._of, self._began = 0.0, of, time.monotonic()
        self._shares_screen = console.is_terminal and sys.stdout.isatty()
        self._bar.start()

    def __call__(self, done: float, total: float | None, what: str, /) -> None:
        """Show it. Where `done` goes back, something new has begun: the time left starts anew."""
        if done < self._done:
            self._bar.reset(self._task)
        self._done = done
        shown = what if len(what) <= _LONGEST_NAME else f"…{what[1 - _LONGEST_NAME :]}"
        printable = "".join(c if c.isprintable() else "?" for c in shown)
        self._bar.update(
            self._task,
            completed=share(done, total),
            total=1.0,
            description=printable,
            rate=self._rate(done, total),
        )

    def _rate(self, done: float, total: float | None) -> str:
        """Such as "120/1000 videos, 4.2 a second"; empty for a single one."""
        if self._of is None or total is None or total <= 1:
            return ""
        a_second = done / max(time.monotonic() - self._began, 1e-3)
        return f"{int(done)}/{total:.0f} {self._of}, {a_second:.3g} a second"

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Take the bar off the screen meanwhile, if stdout goes to the same one."""
        if not self._shares_screen:
            yield
            return
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()

    def close(self) -> None:
        """Take the bar off the screen."""
        self._bar.stop()

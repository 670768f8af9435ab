"""A progress line with the time left, on stderr, where stderr is a terminal.

FORCE_COLOR=1 or TTY_COMPATIBLE=1 in the environment show it elsewhere, too (rich's own switches).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

_LONGEST_NAME = 40


class ProgressLine:
    """A bar over a known number of steps; silent where nobody watches stderr.

    Inside `paused()` the line is off the screen, so that a result can be printed.
    """

    def __init__(self, total: float) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            redirect_stdout=False,  # results must never end up on stderr
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("", total=total)
        self._shares_screen = console.is_terminal and sys.stdout.isatty()

    def show(self, done: float, name: str) -> None:
        """`done` steps are behind us and `name` is being worked on."""
        shown = name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"
        printable = "".join(c if c.isprintable() else "?" for c in shown)
        self._progress.update(self._task, completed=done, description=printable)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Take the line off the screen meanwhile, if stdout goes to the same one."""
        if not self._shares_screen:
            yield
            return
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

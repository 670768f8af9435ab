"""One uploaded video on its way to an answer: what the pages see and what the runner writes."""

from __future__ import annotations

import contextlib
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from actionstream.errors import VideoError
from actionstream.results import Answer

Stage = Literal["waiting", "reading", "drawing", "converting", "done", "failed", "cancelled"]
FINISHED: frozenset[Stage] = frozenset({"done", "failed", "cancelled"})

Output = Literal["annotated", "browser"]
OUTPUTS: tuple[Output, ...] = ("annotated", "browser")


class Cancelled(Exception):
    """Raised inside a job's progress call to leave it."""


@dataclass(eq=False, slots=True)
class Job:
    """One video of one visitor. Pages read the fields, a thread of the runner writes them.

    name:      what the visitor called it.
    source:    the file as it came, in the visitor's private folder.
    stage:     where it stands; `share` of that stage is done, 0 to 1.
    answer:    there from the stage "drawing" on.
    annotated: the video with the readings drawn on it, once done.
    original:  the video as a browser plays it: `source` itself or a converted copy.
    out_of_room: whether it failed because the server's room for videos was used up.
    """

    name: str
    source: Path
    stage: Stage = "waiting"
    share: float = 0.0
    answer: Answer | None = None
    original: Path | None = None
    annotated: Path | None = None
    error: VideoError | None = None
    out_of_room: bool = False
    _cancel: threading.Event = field(default_factory=threading.Event)
    _takes_folder: bool = False

    @property
    def key(self) -> str:
        """What tells it from the visitor's others."""
        return self.source.stem

    @property
    def finished(self) -> bool:
        return self.stage in FINISHED

    def cancel(self, *, take_folder: bool = False) -> None:
        """Ask the runner to drop it; it does so at its next progress call, with what it has made.

        With `take_folder` the folder that the video lies in goes, too.
        """
        self._takes_folder = self._takes_folder or take_folder
        self._cancel.set()
        if self.stage == "waiting":
            self.stage = "cancelled"

    def report(self, done_seconds: float, all_seconds: float | None) -> None:
        """What the recogniser and the writers call. Raises Cancelled to leave them."""
        self.check()
        self.share = min(done_seconds / all_seconds, 1.0) if all_seconds else 0.0

    def is_cancelled(self) -> bool:
        return self._cancel.is_set()

    def check(self) -> None:
        """Raise Cancelled if it is."""
        if self._cancel.is_set():
            raise Cancelled

    def begin(self, stage: Stage) -> None:
        self.check()
        self.stage, self.share = stage, 0.0

    def output(self, name: Output) -> Path:
        """Where a video goes that is made of this one."""
        return self.source.with_name(f"{self.key}-{name}.mp4")

    def discard(self) -> None:
        """Delete what was made. Whoever cancels deletes too, but a file may appear just then."""
        self.annotated = self.original = None
        for name in OUTPUTS:
            with contextlib.suppress(OSError):
                self.output(name).unlink(missing_ok=True)
        if self._takes_folder:
            shutil.rmtree(self.source.parent, ignore_errors=True)

"""What the server holds for one visitor: a private folder, videos, a camera. Freed as a whole."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from actionstream.app.camera_link import CameraLink
from actionstream.app.job import Job
from actionstream.app.jobs import Runner
from actionstream.app.space import Space
from actionstream.app.text import readable
from actionstream.recognizer import Recognizer

MOST_VIDEOS = 20
"""Videos that one visitor may hold at once."""


class TooManyVideosError(Exception):
    """The visitor holds MOST_VIDEOS videos already."""


@dataclass(eq=False, slots=True)
class Visitor:
    """One browser tab. `folder` is readable by the server's user only and has a random name."""

    folder: Path
    space: Space
    jobs: list[Job] = field(default_factory=list)
    link: CameraLink | None = None
    closed: bool = False

    @classmethod
    def arrive(cls, space: Space) -> Visitor:
        """A new visitor with a new folder in `space`."""
        return cls(Path(tempfile.mkdtemp(dir=space.root)), space)

    def add(
        self, name: str, data: BinaryIO, runner: Runner, model: Callable[[], Recognizer]
    ) -> Job:
        """Keep a video under a random name and queue it.

        Raises:
            TooManyVideosError: there are MOST_VIDEOS already.
            QueueFullError: too many videos wait on this server.
            NoRoomError: the videos of all visitors fill the server's room.
            OSError: it cannot be written.
        """
        if len(self.jobs) >= MOST_VIDEOS:
            raise TooManyVideosError
        # The suffix says nothing of the content, but players and FFmpeg like to see one.
        path = self.folder / f"{secrets.token_hex(8)}{_safe_suffix(name)}"
        self.space.store(data, path)
        job = Job(readable(name), path)
        try:
            runner.submit(job, model, visitor=self.folder)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self.jobs.append(job)
        return job

    def remove(self, job: Job) -> None:
        """Cancel a video and delete its files."""
        job.cancel()
        self.jobs = [other for other in self.jobs if other is not job]
        for path in self.folder.glob(f"{job.source.stem}*"):
            path.unlink(missing_ok=True)

    def connect(self, link: CameraLink) -> CameraLink:
        """The visitor's camera; one that was there before is ended."""
        if self.link is not None:
            self.link.end()
        self.link = link
        return link

    def step_away(self) -> None:
        """The page's connection is gone, perhaps for a moment: free the place on the worker."""
        if self.link is not None:
            self.link.pause()

    def come_back(self) -> None:
        if self.link is not None:
            self.link.resume()

    def leave(self) -> None:
        """Free everything. Harmless twice."""
        self.closed = True
        if self.link is not None:
            self.link.end()
        for job in self.jobs:
            job.cancel(take_folder=True)  # it may write into it this very moment
        self.jobs = []
        shutil.rmtree(self.folder, ignore_errors=True)


def _safe_suffix(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return suffix if suffix[1:].isascii() and suffix[1:].isalnum() and len(suffix) <= 6 else ""

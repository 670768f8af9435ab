"""What the server holds for one visitor, a private folder, videos and cameras, which is freed as a
whole; and how much of its disk the videos of all visitors may take.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from actionstream.app.camera_link import CameraLink
from actionstream.app.jobs import Job, JobQueue, QuotaExceededError
from actionstream.app.markup import readable
from actionstream.app.settings import ROOM_A_VIDEO
from actionstream.batch.worker import Setup

MOST_VIDEOS = 20
"""Videos that one visitor may hold at once."""
COPY_BYTES = 1 << 20


class TooManyVideosError(Exception):
    """The visitor holds MOST_VIDEOS videos already."""


@dataclass(eq=False, slots=True, weakref_slot=True)
class Visitor:
    """One browser, with all its tabs.

    folder:     readable by the server's user only, of a random name.
    token:      what the browser's cookie holds: by it a page that is loaded again is known.
    refusals:   why videos were not taken, in words, until others are added.
    model_name: the model that was chosen; None for the server's first one.
    links:      the camera of each tab, by the tab's session.
    """

    folder: Path
    quota: Quota
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    jobs: list[Job] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    model_name: str | None = None
    links: dict[str, CameraLink] = field(default_factory=dict)
    closed: bool = False
    _tabs: set[str] = field(default_factory=set)

    @classmethod
    def arrive(cls, quota: Quota) -> Visitor:
        """A new visitor with a new folder below the quota's."""
        return cls(Path(tempfile.mkdtemp(dir=quota.root)), quota)

    def add(self, name: str, data: BinaryIO, queue: JobQueue, model: Callable[[], Setup]) -> Job:
        """Keep a video under a random name and queue it.

        Raises:
            TooManyVideosError: there are MOST_VIDEOS already.
            QueueFullError: too many videos wait on this server.
            QuotaExceededError: the videos of all visitors take all that the server keeps for them.
            OSError: it cannot be written.
        """
        if len(self.jobs) >= MOST_VIDEOS:
            raise TooManyVideosError
        # The suffix says nothing of the content, but players and FFmpeg like to see one.
        path = self.folder / f"{secrets.token_hex(8)}{_safe_suffix(name)}"
        self.quota.store(data, path)
        job = Job(readable(name), path)
        try:
            queue.submit(job, model, visitor=self.folder)
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

    def connect(self, tab: str, link: CameraLink) -> CameraLink:
        """The tab's camera; one that was there before is ended."""
        if (before := self.links.get(tab)) is not None:
            before.end()
        self.links[tab] = link
        return link

    def come(self, tab: str) -> None:
        """The tab is connected, for the first time or again."""
        self._tabs.add(tab)
        if tab in self.links:
            self.links[tab].resume()

    def step_away(self, tab: str) -> None:
        """The tab's connection is gone, perhaps for a moment: free its place on the worker."""
        self._tabs.discard(tab)
        if tab in self.links:
            self.links[tab].pause()

    def leave(self, tab: str) -> None:
        """The tab will not come back. Frees everything with the last one; harmless twice."""
        self.step_away(tab)
        if (link := self.links.pop(tab, None)) is not None:
            link.end()
        if self._tabs or self.closed:
            return
        self.closed = True
        for job in self.jobs:
            job.cancel(take_folder=True)  # it may write into it this very moment
        self.jobs = []
        shutil.rmtree(self.folder, ignore_errors=True)


def _safe_suffix(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return suffix if suffix[1:].isascii() and suffix[1:].isalnum() and len(suffix) <= 6 else ""


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class Quota:
    """Folders of visitors below `root`, with a limit over all of them.

    Files are counted as they lie there, the copies that were made of videos with them. So nothing
    can be counted wrongly, and what is deleted is free at once.
    """

    def __init__(self, root: Path, most_bytes: int) -> None:
        self.root, self.most_bytes = root, most_bytes
        self._storing = threading.Lock()  # two uploads may not both take the last bytes

    def used_bytes(self) -> int:
        """Bytes in all files now."""
        used = 0
        for folder, _, names in os.walk(self.root):
            for name in names:
                try:
                    used += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118  10 x faster
                except FileNotFoundError:  # its visitor has just gone
                    continue
        return used

    def check(self) -> None:
        """QuotaExceededError if the limit is passed, as copies that are being made may."""
        if self.used_bytes() > self.most_bytes:
            raise QuotaExceededError

    def store(self, data: BinaryIO, path: Path) -> None:
        """Write `data` to the new file `path`; nothing is left of it if that fails.

        What will be made of it is counted, too: ROOM_A_VIDEO times its size.

        Raises:
            QuotaExceededError: it does not fit any more.
            OSError: it cannot be written.
        """
        with self._storing:
            left = self.most_bytes - self.used_bytes()
            try:
                with open(path, "xb", opener=_privately) as file:
                    while chunk := data.read(COPY_BYTES):
                        left -= ROOM_A_VIDEO * len(chunk)
                        if left < 0:
                            raise QuotaExceededError
                        file.write(chunk)
            except BaseException:
                path.unlink(missing_ok=True)
                raise

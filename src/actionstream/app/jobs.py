"""Uploaded videos and the one thread that works on them, in the order in which they came."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from actionstream.annotate import annotate
from actionstream.errors import VideoError
from actionstream.frames import Answer
from actionstream.recognizer import Recognizer
from actionstream.video.transcode import browser_playable, to_browser_mp4

Stage = Literal["waiting", "reading", "drawing", "converting", "done", "failed", "cancelled"]
FINISHED: frozenset[Stage] = frozenset({"done", "failed", "cancelled"})

MOST_WAITING = 64
"""Videos of all visitors that may wait at once."""

_log = logging.getLogger(__name__)


class Cancelled(Exception):
    """Raised inside a job's progress call to leave it."""


class QueueFullError(Exception):
    """Too many videos wait."""


@dataclass(eq=False, slots=True)
class Job:
    """One video of one visitor. Pages read the fields, the runner's thread writes them.

    name:      what the visitor called it.
    source:    the file as it came, in the visitor's private folder.
    stage:     where it stands; `share` of that stage is done, 0 to 1.
    answer:    there from the stage "drawing" on.
    annotated: the video with the readings drawn on it, once done.
    original:  the video as a browser plays it: `source` itself or a converted copy.
    """

    name: str
    source: Path
    stage: Stage = "waiting"
    share: float = 0.0
    answer: Answer | None = None
    original: Path | None = None
    annotated: Path | None = None
    error: VideoError | None = None
    _cancel: threading.Event = field(default_factory=threading.Event)

    @property
    def finished(self) -> bool:
        return self.stage in FINISHED

    def cancel(self) -> None:
        """Ask the runner to drop it; it does so at its next progress call."""
        self._cancel.set()
        if self.stage == "waiting":
            self.stage = "cancelled"

    def report(self, done_seconds: float, all_seconds: float | None) -> None:
        """What the recogniser and the writers call. Raises Cancelled to leave them."""
        if self._cancel.is_set():
            raise Cancelled
        self.share = min(done_seconds / all_seconds, 1.0) if all_seconds else 0.0

    def report_share(self, share: float) -> None:
        self.share = share

    def is_cancelled(self) -> bool:
        return self._cancel.is_set()

    def begin(self, stage: Stage) -> None:
        if self._cancel.is_set():
            raise Cancelled
        self.stage, self.share = stage, 0.0


class Runner:
    """Owns the thread that works on videos: one at a time, so that live visitors keep a core."""

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[Job, Callable[[], Recognizer]] | None]
        self._queue = queue.Queue(MOST_WAITING)
        self._current: Job | None = None
        self._thread = threading.Thread(target=self._run, name="actionstream-jobs", daemon=True)
        self._thread.start()

    def submit(self, job: Job, model: Callable[[], Recognizer]) -> None:
        """Queue a job; `model` is called in the runner's thread.

        Raises:
            QueueFullError: MOST_WAITING videos wait already.
        """
        try:
            self._queue.put_nowait((job, model))
        except queue.Full:
            raise QueueFullError(f"{MOST_WAITING} videos are waiting") from None

    def close(self) -> None:
        """Drop what waits, leave the job in hand and end the thread. Harmless twice."""
        while True:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is not None:
                item[0].cancel()
        current = self._current
        if current is not None:
            current.cancel()
        self._queue.put(None)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            job, model = item
            self._current = job
            try:
                _work(job, model)
            except Cancelled:
                job.stage = "cancelled"
            except VideoError as error:
                job.error, job.stage = error, "failed"
            except Exception:  # noqa: BLE001  one video must not end the thread for all others
                _log.exception("a video could not be worked on")
                job.stage = "failed"
            self._current = None


def _work(job: Job, model: Callable[[], Recognizer]) -> None:
    job.begin("reading")
    job.answer = model().recognize(job.source, source=job.name, progress=job.report)
    job.begin("drawing")
    annotated = job.source.with_name(f"{job.source.stem}-annotated.mp4")
    annotate(job.source, job.answer, annotated, progress=job.report)
    job.annotated = annotated
    job.begin("converting")
    job.original = _playable(job)
    job.stage = "done"


def _playable(job: Job) -> Path:
    if browser_playable(job.source):
        return job.source
    converted = job.source.with_name(f"{job.source.stem}-browser.mp4")
    if not to_browser_mp4(job.source, converted, job.report_share, job.is_cancelled):
        raise Cancelled
    return converted

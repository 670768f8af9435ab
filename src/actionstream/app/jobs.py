"""Uploaded videos and the threads that work on them: one at a time, and fair to all visitors."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from actionstream.annotate import annotate
from actionstream.app.space import NoRoomError
from actionstream.app.turns import Turn, Turns
from actionstream.errors import VideoError
from actionstream.frames import Answer
from actionstream.recognizer import Recognizer
from actionstream.video.transcode import browser_playable, to_browser_mp4

Stage = Literal["waiting", "reading", "drawing", "converting", "done", "failed", "cancelled"]
FINISHED: frozenset[Stage] = frozenset({"done", "failed", "cancelled"})

MOST_WAITING = 64
"""Videos of all visitors that may wait at once."""

MOST_BEGUN = 6
"""Videos, of as many visitors, that are begun at once: each holds a decoder's memory."""

SLICE_SECONDS = 1.0
"""How long a video is worked on while others wait: long beside what a change of turns costs."""

CHECK_SECONDS = 1.0
"""How often the room on the disk is looked at while videos are written."""

END_SECONDS = 10.0
"""How long `Runner.close` waits for its threads."""

_log = logging.getLogger(__name__)


class Cancelled(Exception):
    """Raised inside a job's progress call to leave it."""


class QueueFullError(Exception):
    """Too many videos wait."""


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

    @property
    def key(self) -> str:
        """What tells it from the visitor's others."""
        return self.source.stem

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

    def is_cancelled(self) -> bool:
        return self._cancel.is_set()

    def begin(self, stage: Stage) -> None:
        if self._cancel.is_set():
            raise Cancelled
        self.stage, self.share = stage, 0.0


@dataclass(frozen=True, slots=True)
class _Item:
    job: Job
    model: Callable[[], Recognizer]
    visitor: Hashable


class Runner:
    """Owns the threads that work on videos.

    One works at any moment, so that live visitors keep a core. A visitor's videos come one after
    the other, in their order; those of several visitors take turns of a second, so that a film of
    hours holds up nobody else.

    Args:
        check_room: raises NoRoomError when the files that are written take too much room.
    """

    def __init__(self, check_room: Callable[[], None]) -> None:
        self._changed = threading.Condition()
        self._waiting: list[_Item] = []
        self._begun: dict[Hashable, Job] = {}
        self._closing = False
        self._check_room = check_room
        self._room_seen = time.monotonic()
        self._turns = Turns(SLICE_SECONDS)
        self._threads = [
            threading.Thread(target=self._run, name=f"actionstream-jobs-{number}", daemon=True)
            for number in range(MOST_BEGUN)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job, model: Callable[[], Recognizer], *, visitor: Hashable) -> None:
        """Queue a job of this visitor; `model` is called in the runner's thread.

        Raises:
            QueueFullError: MOST_WAITING videos wait already.
        """
        with self._changed:
            self._waiting = [item for item in self._waiting if not item.job.is_cancelled()]
            if len(self._waiting) >= MOST_WAITING:
                raise QueueFullError(f"{MOST_WAITING} videos are waiting")
            self._waiting.append(_Item(job, model, visitor))
            self._changed.notify_all()

    def close(self) -> None:
        """Drop what waits, leave the jobs in hand and end the threads. Harmless twice."""
        with self._changed:
            self._closing = True
            for job in (*(item.job for item in self._waiting), *self._begun.values()):
                job.cancel()
            self._waiting.clear()
            self._changed.notify_all()
        deadline = time.monotonic() + END_SECONDS
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))

    def _run(self) -> None:
        while (item := self._next()) is not None:
            self._do(item)
            with self._changed:
                del self._begun[item.visitor]
                self._changed.notify_all()

    def _next(self) -> _Item | None:
        """The first waiting video of a visitor who has none begun; None when closing."""
        with self._changed:
            while not self._closing:
                for item in self._waiting:
                    if item.visitor not in self._begun:
                        self._waiting.remove(item)
                        self._begun[item.visitor] = item.job
                        return item
                self._changed.wait()
        return None

    def _do(self, item: _Item) -> None:
        job = item.job
        try:
            model = item.model()
            with self._turns.taking(job.is_cancelled) as turn:
                self._work(job, model, turn)
        except Cancelled:
            job.stage = "cancelled"
        except NoRoomError:
            job.out_of_room, job.stage = True, "failed"
        except VideoError as error:
            job.error, job.stage = error, "failed"
        except Exception:  # noqa: BLE001  one video must not end the thread for all others
            _log.exception("a video could not be worked on")
            job.stage = "failed"

    def _work(self, job: Job, model: Recognizer, turn: Turn) -> None:
        def progress(done_seconds: float, all_seconds: float | None) -> None:
            turn.pass_on()
            job.report(done_seconds, all_seconds)
            self._look_at_room()

        job.begin("reading")
        before = turn.waited_seconds
        answer = model.recognize(job.source, source=job.name, progress=progress)
        job.answer = _without_waiting(answer, turn.waited_seconds - before)
        job.begin("drawing")
        annotated = job.source.with_name(f"{job.source.stem}-annotated.mp4")
        annotate(job.source, job.answer, annotated, progress=progress)
        job.annotated = annotated
        job.begin("converting")
        job.original = _playable(job, lambda share: progress(share, 1.0))
        job.stage = "done"

    def _look_at_room(self) -> None:
        now = time.monotonic()
        if now - self._room_seen >= CHECK_SECONDS:
            self._room_seen = now
            self._check_room()


def _without_waiting(answer: Answer, waited_seconds: float) -> Answer:
    """The answer with the time of its own work only, not of others' turns."""
    timing = answer.timing
    if timing is None:
        return answer
    own = replace(
        timing,
        total_seconds=timing.total_seconds - waited_seconds,
        decode_seconds=timing.decode_seconds - waited_seconds,
    )
    return replace(answer, timing=own)


def _playable(job: Job, progress: Callable[[float], None]) -> Path:
    if browser_playable(job.source):
        return job.source
    converted = job.source.with_name(f"{job.source.stem}-browser.mp4")
    to_browser_mp4(job.source, converted, progress)
    return converted

"""Uploaded videos and the threads that work on them: one at a time, and fair to all visitors."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from actionstream.app.job import Cancelled, Job, Stage
from actionstream.app.space import NoRoomError
from actionstream.app.turns import GIVE_UP_SECONDS, Turn, Turns
from actionstream.draw.annotate import annotate
from actionstream.errors import VideoError
from actionstream.progress import Progress
from actionstream.recognizer import Recognizer
from actionstream.results import Answer
from actionstream.video import Limits
from actionstream.video.transcode import browser_playable, to_browser_mp4

MOST_WAITING = 64
"""Videos of all visitors that may wait at once."""

MOST_BEGUN = 6
"""Videos, of as many visitors, that are begun at once: each holds a decoder's memory."""

LIMITS = Limits(max_frame_pixels=4096 * 2304)
"""What a stranger's video may cost. A few hundred kilobytes of H.264 can hold pictures of
8192x8192, and drawing on those takes 4.5 GB."""

LARGE_PIXELS = 1920 * 1088
MOST_LARGE = 2
"""Of videos with larger pictures than full HD so many are drawn and converted at once: one of
4096x2304 takes about 1 GB, one of full HD 0.3 GB."""

SLICE_SECONDS = 1.0
"""How long a video is worked on while others wait: long beside what a change of turns costs."""

CHECK_SECONDS = 1.0
"""How often the room on the disk is looked at while videos are written."""

END_SECONDS = 10.0
"""How long `Runner.close` waits for its threads."""

_log = logging.getLogger(__name__)


class QueueFullError(Exception):
    """Too many videos wait."""


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
        self._large = threading.Semaphore(MOST_LARGE)
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
        stage = self._try(item)
        if stage != "done":
            item.job.discard()
        item.job.stage = stage

    def _try(self, item: _Item) -> Stage:
        job = item.job
        try:
            self._work(job, item.model())
        except Cancelled:
            return "cancelled"
        except NoRoomError:
            job.out_of_room = True
        except VideoError as error:
            job.error = error
        except Exception:  # noqa: BLE001  one video must not end the thread for all others
            _log.exception("a video could not be worked on")
        else:
            return "done"
        return "failed"

    def _work(self, job: Job, model: Recognizer) -> None:
        with self._turns.taking(job.is_cancelled) as turn:
            job.begin("reading")
            answer = self._read(job, model, turn)
            job.answer = answer
            job.begin("drawing")
        with self._place_for(job, answer), self._turns.taking(job.is_cancelled) as turn:
            self._draw(job, answer, turn)
        job.check()  # cancelled while the last file got its name: whoever did it has not seen it

    def _read(self, job: Job, model: Recognizer, turn: Turn) -> Answer:
        before, progress = turn.waited_seconds, self._progress(job, turn)
        answer = model.recognize(job.source, source=job.name, progress=progress, limits=LIMITS)
        return _without_waiting(answer, turn.waited_seconds - before)

    def _draw(self, job: Job, answer: Answer, turn: Turn) -> None:
        progress, annotated = self._progress(job, turn), job.output("annotated")
        annotate(job.source, answer, annotated, progress=progress, limits=LIMITS)
        job.annotated = annotated
        job.begin("converting")
        job.original = _playable(job, lambda share: progress(share, 1.0, job.name))

    def _progress(self, job: Job, turn: Turn) -> Progress:
        def progress(done_seconds: float, all_seconds: float | None, _: str) -> None:
            turn.pass_on()
            job.report(done_seconds, all_seconds)
            self._look_at_room()

        return progress

    @contextmanager
    def _place_for(self, job: Job, answer: Answer) -> Iterator[None]:
        """One of MOST_LARGE places if its pictures are large; waits for it without a turn."""
        video = answer.video
        if video is None or video.width * video.height <= LARGE_PIXELS:
            yield
            return
        while not self._large.acquire(timeout=GIVE_UP_SECONDS):
            job.check()
        try:
            yield
        finally:
            self._large.release()

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
    if browser_playable(job.source, limits=LIMITS):
        return job.source
    converted = job.output("browser")
    to_browser_mp4(job.source, converted, progress, limits=LIMITS)
    return converted

"""What is done with a stranger's video, in a worker process: read, drawn on, made playable.

Each is a task for `actionstream.batch.worker`. It tells its progress as (done, total or None), and
while the video is read every reading.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from actionstream.batch.worker import ProcessLimits, Tell
from actionstream.concurrency import default_threads
from actionstream.draw.annotate import annotate
from actionstream.recognizer import Recognizer
from actionstream.results import Answer, Notice
from actionstream.video import Limits
from actionstream.video.transcode import browser_playable, to_browser_mp4

NICENESS = 5
"""How far these processes stand back for cameras, where the system knows that."""

LIMITS = Limits(max_frame_pixels=4096 * 2304, max_total_pixels=250 * 10**9)
"""What a stranger's video may cost. A few hundred kilobytes of H.264 can hold pictures of
8192x8192, and drawing on those takes 4.5 GB. An hour of 1080p at 30 frames a second has 224 billion
pixels."""

PROCESS = ProcessLimits(memory_bytes=3 << 30, quiet_seconds=120, total_seconds=3600)
"""What its process may cost. Reading 4K and drawing on it took 1.5 GB with two threads."""

_PRIVATE = 0o077  # what is made is for the server's user alone


@dataclass(frozen=True, slots=True)
class Read:
    """Recognise a video; `name` is what its visitor calls it."""

    source: Path
    name: str

    def __call__(self, model: Recognizer, tell: Tell) -> Answer:
        return model.recognize(
            self.source,
            source=self.name,
            progress=_progress(tell),
            on_reading=tell,
            limits=LIMITS,
        )


@dataclass(frozen=True, slots=True)
class Draw:
    """Write the video with the answer drawn on it."""

    source: Path
    answer: Answer
    target: Path

    def __call__(self, model: Recognizer, tell: Tell) -> tuple[Notice, ...]:
        os.umask(_PRIVATE)
        return annotate(
            self.source,
            self.answer,
            self.target,
            threads=default_threads(),
            progress=_progress(tell),
            limits=LIMITS,
        )


@dataclass(frozen=True, slots=True)
class Convert:
    """Write a copy that browsers play; None if they play the video as it is."""

    source: Path
    target: Path

    def __call__(self, model: Recognizer, tell: Tell) -> tuple[Notice, ...] | None:
        if browser_playable(self.source, limits=LIMITS):
            return None
        os.umask(_PRIVATE)
        return tuple(
            to_browser_mp4(self.source, self.target, lambda part: tell((part, 1.0)), limits=LIMITS)
        )


def _progress(tell: Tell) -> Callable[[float, float | None, str], None]:
    return lambda done, total, _: tell((done, total))

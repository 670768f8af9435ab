"""Readings drawn onto the frames that they are of: live, or in a second pass over a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from actionstream.draw import (
    Corner,
    draw_reading,
    draw_skeleton,
    enlarge,
    enlargement,
    headline,
)
from actionstream.progress import Progress
from actionstream.results import Answer, Notice, Pixels, Reading
from actionstream.video import DEFAULT_LIMITS, Limits, VideoReader, VideoWriter

Item = TypeVar("Item")

_SAME_MOMENT_SECONDS = 1e-6


class Overlay:
    """Draws the readings of one video or camera on its frames. For one thread at a time.

    Args:
        looks_needed: for the warming up, "warming up 3/8".
        skeleton: whether the person's pose is drawn, too; may be changed on the way, as `mirror`,
            whether the picture is mirrored below the words.
        footer: a line at the edge across from the reading.
    """

    def __init__(
        self, looks_needed: int, *, skeleton: bool = False, footer: str | None = None
    ) -> None:
        self.skeleton, self.mirror = skeleton, False
        self._looks_needed, self._footer = looks_needed, footer
        self._corner = Corner()

    def draw(self, pixels: Pixels, reading: Reading | None) -> Pixels:
        """The frame [H, W, 3] with the smoothed label and raw runners-up; None warms up."""
        reading = reading or Reading("warming_up", 0.0, 0, ())
        corner = self._corner.choose(self._turned(pixels))
        if self.skeleton:
            pixels = draw_skeleton(pixels, reading.pose)
        return draw_reading(
            self._turned(pixels),
            reading.shown,
            reading.shown_confidence,
            reading.top(3),
            status=reading.status,
            looks_seen=reading.looks_seen,
            looks_needed=self._looks_needed,
            corner=corner,
            footer=self._footer,
        )

    def _turned(self, pixels: Pixels) -> Pixels:
        return pixels[:, ::-1] if self.mirror else pixels


def annotate(
    path: str | Path,
    answer: Answer,
    target: str | Path,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    limits: Limits = DEFAULT_LIMITS,
    skeleton: bool = False,
) -> tuple[Notice, ...]:
    """Write `target`, an MP4 that every browser plays: the video with what is shown at each moment.

    A frame carries the newest reading at or before its time; one under 120x90 is enlarged, see
    `enlargement`. Several actions stand with their times in a line at one edge. The file appears
    under its name when all of it is written. Returns what could not go along (sound).

    Args:
        answer: about the video `path`, from `Recognizer.recognize`, with its readings.
        threads: threads for decoding and for encoding; None for the machine's cores.
        progress: called with the seconds done, those in all, and the answer's source.
        limits: what the video may cost.
        skeleton: draw the person's pose as well, where the readings hold one.

    Raises:
        ValueError: the answer holds no readings.
        VideoError, VideoWriteError: `path` cannot be read, `target` cannot be written or is `path`.
    """
    if not answer.readings:
        raise ValueError(f"{answer.source}: an answer without readings cannot be drawn")
    footer = headline(answer) if answer.several else None
    overlay = Overlay(_looks_needed(answer.readings), skeleton=skeleton, footer=footer)
    with VideoReader(path, threads=threads, limits=limits) as reader:
        probe = reader.probe
        factor = enlargement(probe.width, probe.height)
        with VideoWriter(
            target,
            width=factor * probe.width,
            height=factor * probe.height,
            frame_rate=probe.frame_rate,
            audio_from=path,
            threads=threads,
        ) as writer:
            frames = ((frame.time_seconds, frame) for frame in reader)
            for seconds, frame, reading in newest(frames, answer.readings):
                picture = overlay.draw(enlarge(frame.to_rgb()), reading)
                writer.write(picture, seconds, frame.duration_seconds)
                if progress is not None:
                    progress(seconds, probe.duration_seconds, answer.source)
    return writer.warnings


def newest(
    timed: Iterable[tuple[float, Item]], readings: Sequence[Reading]
) -> Iterator[tuple[float, Item, Reading]]:
    """Each item with its time and the newest reading at or before it; before any, the first."""
    index = 0
    for seconds, item in timed:
        while (
            index + 1 < len(readings)
            and readings[index + 1].time_seconds <= seconds + _SAME_MOMENT_SECONDS
        ):
            index += 1
        yield seconds, item, readings[index]


def _looks_needed(readings: Sequence[Reading]) -> int:
    """Looks until the first answer, as "warming up 3/8" says them."""
    ready = (reading.looks_seen for reading in readings if reading.status == "ready")
    return next(ready, max(reading.looks_seen for reading in readings))

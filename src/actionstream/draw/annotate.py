"""A second pass over a file: its readings drawn onto its frames, its sound kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from actionstream.draw import (
    Corner,
    CornerName,
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

    A frame carries the newest reading at or before its time; nothing of the future shows. Frames
    under 120x90, too small for the words, are enlarged by a whole number: to 240 pixels on the
    short side or a little more. Where the answer tells of several actions, they stand with their
    times in a line at one edge. The file appears under its name when all of it is written. Returns
    what could not go along (sound).

    Args:
        path: the video that `answer` is about.
        answer: from `Recognizer.recognize`, with its readings.
        target: the file to write; an older one of that name is replaced.
        threads: threads for decoding and for encoding; None for the machine's cores.
        progress: called with the seconds done, those in all if known, and the answer's source.
        limits: what the video may cost.
        skeleton: draw the person's pose as well, where the readings hold one.

    Raises:
        ValueError: the answer holds no readings.
        VideoError: the video cannot be read (any more).
        VideoWriteError: the target cannot be written, or is the source itself.
    """
    if not answer.readings:
        raise ValueError(f"{answer.source}: an answer without readings cannot be drawn")
    needed, corner = _looks_needed(answer.readings), Corner()
    footer = headline(answer) if answer.several else None
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
                pixels = enlarge(frame.to_rgb())
                place = corner.choose(pixels)
                if skeleton:
                    pixels = draw_skeleton(pixels, reading.pose)
                picture = draw(pixels, reading, looks_needed=needed, corner=place, footer=footer)
                writer.write(picture, seconds, frame.duration_seconds)
                if progress is not None:
                    progress(seconds, probe.duration_seconds, answer.source)
    return writer.warnings


def draw(
    pixels: Pixels,
    reading: Reading,
    *,
    looks_needed: int = 0,
    corner: CornerName = "top left",
    footer: str | None = None,
) -> Pixels:
    """The frame [H, W, 3] with what the reading shows: smoothed label, raw runners-up."""
    return draw_reading(
        pixels,
        reading.shown,
        reading.shown_confidence,
        reading.top(3),
        status=reading.status,
        looks_seen=reading.looks_seen,
        looks_needed=looks_needed,
        corner=corner,
        footer=footer,
    )


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

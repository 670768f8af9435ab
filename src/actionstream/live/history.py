"""The newest readings of a stream, as far back as somebody wants to see."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from actionstream.inference import postprocess
from actionstream.inference.postprocess import Run, Shown
from actionstream.results import Reading, Segment


class History:
    """Readings of the last `keep_seconds` of a stream's own time, oldest first.

    Bounded by number too: a stream has at most one reading a tick. When time runs backwards the
    newer readings replace those that they overlap. Its owner holds the lock.
    """

    def __init__(self, keep_seconds: float, spacing_seconds: float) -> None:
        if not (math.isfinite(keep_seconds) and keep_seconds >= 0):
            raise ValueError(f"keep_seconds must be 0 or more and finite, got {keep_seconds}")
        most = math.ceil(keep_seconds / spacing_seconds) + 2
        self._keep_seconds = keep_seconds
        self._readings: deque[Reading] = deque(maxlen=most)

    def add(self, reading: Reading) -> None:
        kept, seconds = self._readings, reading.time_seconds
        while kept and kept[-1].time_seconds >= seconds:
            kept.pop()
        kept.append(reading)
        while seconds - kept[0].time_seconds > self._keep_seconds:
            kept.popleft()

    def clear(self) -> None:
        self._readings.clear()

    def readings(self) -> tuple[Reading, ...]:
        return tuple(self._readings)


def timeline(readings: tuple[Reading, ...], gap_seconds: float) -> tuple[Segment, ...]:
    """The readings as segments of equal shown label, from the first answer to the newest.

    Times are the stream's own. A label that was shown before the first reading starts with it.
    Nothing is said of a time without answers: more than `gap_seconds` between two of them, or
    readings of a new warming up. A segment before such a gap ends with its last answer::

        readings  a a a b b . . . . . . w w b b        . = none, w = warming up
        segments  [a   )[b]                 [b]
    """
    segments: list[Segment] = []
    for answers in _unbroken(readings, gap_seconds):
        segments += _tiled(answers)
    return tuple(segments)


def _unbroken(readings: tuple[Reading, ...], gap_seconds: float) -> list[list[Reading]]:
    """The answers, parted where there were none for a while."""
    stretches: list[list[Reading]] = []
    answering = False
    for reading in readings:
        if reading.status != "ready":
            answering = False
            continue
        if answering and reading.time_seconds - stretches[-1][-1].time_seconds <= gap_seconds:
            stretches[-1].append(reading)
        else:
            stretches.append([reading])
        answering = True
    return stretches


def _tiled(answers: list[Reading]) -> Iterator[Segment]:
    zero, labels = answers[0].time_seconds, answers[0].labels
    runs: tuple[Run, ...] = ()
    for reading in answers:
        label = None if reading.shown is None else labels.index(reading.shown)
        shown = Shown(reading.time_seconds - zero, label, reading.shown_confidence)
        runs = postprocess.extend(runs, shown)
    for segment in postprocess.segments(runs, labels, answers[-1].time_seconds - zero):
        yield replace(
            segment,
            start_seconds=segment.start_seconds + zero,
            end_seconds=segment.end_seconds + zero,
        )

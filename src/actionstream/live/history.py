"""What one live stream has been through: its newest readings, and its counts and rates."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from actionstream.inference import postprocess
from actionstream.inference.postprocess import Run, Shown
from actionstream.results import Reading, Segment

RATE_SECONDS = 5.0
"""Rates are over the last this many seconds: long enough for a steady figure, short to follow."""
MOST_ARRIVALS = 1024
"""Arrivals remembered for the rates, whatever the camera's rate."""
LATE_RESETS_IN_A_ROW = 2
"""So many without an answer between them, and the model counts as too slow: one may be a hiccup."""
MOST_AGES = 256
"""Ages remembered for the percentiles: about a minute of looks."""


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


@dataclass(frozen=True, slots=True)
class SessionStatistics:
    """Counts since the session was opened; rates and ages of the last seconds, and of all of it.

    frames_offered:      calls of `offer` that brought a picture, due or not.
    looks:               looks that entered the ring.
    readings:            readings published, warming up included.
    looks_dropped:       looks that were due and never made: the model was busy and a newer frame
                         took the slot in a later tick, or the stream was reset meanwhile.
    bad_frames:          looks whose picture could not be made or was no picture.
    frames_per_second:   frames that come in.
    readings_per_second: readings that go out.
    age_p50_seconds:     median time from a frame's arrival to its reading; 0 before the first.
    age_p95_seconds:     its 95th percentile.
    late_resets:         times that the stream was reset although its frames kept coming,
                         because no look was done within the card's `reset_after_seconds`.
    too_slow:            whether that is all that happens now: there will be no answer.
    seconds:             from the first frame to the newest, by this machine's clock.
    age_mean_seconds:    the mean over all readings; 0 before the first.
    """

    frames_offered: int = 0
    looks: int = 0
    readings: int = 0
    looks_dropped: int = 0
    bad_frames: int = 0
    frames_per_second: float = 0.0
    readings_per_second: float = 0.0
    age_p50_seconds: float = 0.0
    age_p95_seconds: float = 0.0
    late_resets: int = 0
    too_slow: bool = False
    seconds: float = 0.0
    age_mean_seconds: float = 0.0

    @property
    def mean_frames_per_second(self) -> float:
        """Over the whole session, times without a picture included."""
        return (self.frames_offered - 1) / self.seconds if self.seconds > 0 else 0.0

    @property
    def mean_readings_per_second(self) -> float:
        """Over the whole session, warming up and times without a picture included."""
        return self.readings / self.seconds if self.seconds > 0 else 0.0


@dataclass(slots=True)
class Rate:
    """How often something has happened lately. Bounded, whatever the pace."""

    times: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_ARRIVALS))

    def count(self, now: float) -> None:
        self.times.append(now)
        self._forget(now)

    def per_second(self, now: float) -> float:
        """Events a second over the last `RATE_SECONDS`, or since the first one if that is newer."""
        self._forget(now)
        if len(self.times) < 2:
            return 0.0
        stalled = now - self.times[-1]
        span = self.times[-1] - self.times[0]
        usual_gap = span / (len(self.times) - 1)
        # Counting a pause only beyond the usual gap keeps a steady stream's figure steady.
        length = span + max(stalled - usual_gap, 0.0)
        return (len(self.times) - 1) / length if length > 0 else 0.0

    def _forget(self, now: float) -> None:
        while self.times and now - self.times[0] > RATE_SECONDS:
            self.times.popleft()


@dataclass(slots=True)
class Meter:
    """The running counts behind `SessionStatistics`. Its owner holds the lock."""

    frames_offered: int = 0
    looks: int = 0
    readings: int = 0
    looks_dropped: int = 0
    bad_frames: int = 0
    late_resets: int = 0
    late_in_a_row: int = 0
    first_arrival: float | None = None
    newest_arrival: float = 0.0
    age_sum: float = 0.0
    arrivals: Rate = field(default_factory=Rate)
    publications: Rate = field(default_factory=Rate)
    ages: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_AGES))

    def frame(self, now: float) -> None:
        self.frames_offered += 1
        self.first_arrival = now if self.first_arrival is None else self.first_arrival
        self.newest_arrival = now
        self.arrivals.count(now)

    def reading(self, now: float, reading: Reading) -> None:
        self.readings += 1
        self.publications.count(now)
        self.ages.append(reading.age_seconds)
        self.age_sum += reading.age_seconds
        if reading.status == "ready":  # the model is fast enough
            self.late_in_a_row = 0

    def late_reset(self) -> None:
        self.late_resets += 1
        self.late_in_a_row += 1

    @property
    def too_slow(self) -> bool:
        return self.late_in_a_row >= LATE_RESETS_IN_A_ROW

    def statistics(self, now: float) -> SessionStatistics:
        p50, p95 = np.percentile(list(self.ages), (50, 95)) if self.ages else (0.0, 0.0)
        return SessionStatistics(
            self.frames_offered,
            self.looks,
            self.readings,
            self.looks_dropped,
            self.bad_frames,
            self.arrivals.per_second(now),
            self.publications.per_second(now),
            float(p50),
            float(p95),
            self.late_resets,
            self.too_slow,
            0.0 if self.first_arrival is None else self.newest_arrival - self.first_arrival,
            self.age_sum / max(self.readings, 1),
        )

"""What a stream's answer at the end is made of, as a value that grows with every reading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from actionstream.errors import NoFramesError
from actionstream.inference.postprocess import (
    Run,
    Shown,
    calibrate_clip,
    extend,
    file_runs,
    holds_several,
    segments,
)
from actionstream.inference.rules import Features, Rules
from actionstream.results import Answer, Notice, Reading, Timing, VideoFacts

Item = TypeVar("Item")
Grown = tuple[tuple[Item, ...], ...]
"""A list that is a value and cheap to grow: chunks whose sizes are falling powers of two."""

MOST_TICKS_A_LOOK = 3
"""Looks further apart than so many spacings show no movement."""
MOST_UNREADY = 256
"""Stretches too short for an answer that are kept, in case there is nothing else."""


def grow(chunks: Grown[Item], item: Item) -> Grown[Item]:
    """The list with one more item. n items are copied at most log2(n) times each, in all."""
    chunk: tuple[Item, ...] = (item,)
    while chunks and len(chunks[-1]) == len(chunk):
        chunk, chunks = chunks[-1] + chunk, chunks[:-1]
    return (*chunks, chunk)


def items(chunks: Grown[Item]) -> Iterator[Item]:
    """All items in order."""
    for chunk in chunks:
        yield from chunk


@dataclass(frozen=True, slots=True, eq=False)
class Accumulator:
    """Sums and readings since the stream began; a gap or time running back does not clear them.

    keep_readings:  False for streams that never end: then there are no `readings`, and segments
        follow what was shown live (`runs`), which grow by one when the label changes.
    zero_seconds:   time of the first frame; None before it.
    latest_seconds: the largest time of a frame.
    frame_seconds:  how long the newest frame is taken to be shown: the gap before it.
    looks, ticks:   pictures looked at, and the ticks that they filled.
    people:         looks at which a person's pose was read.
    count:          readings in the sums of probabilities, float64 [K], and known_score.
    unready:        time and window [16, D] of stretches that ended before there was an answer.
    padded:         whether the readings are of such windows, for want of better ones.
    """

    keep_readings: bool = True
    zero_seconds: float | None = None
    latest_seconds: float = 0.0
    frame_seconds: float = 0.0
    looks: int = 0
    ticks: int = 0
    people: int = 0
    probabilities: NDArray[np.float64] | None = None
    known_score: float = 0.0
    count: int = 0
    readings: Grown[Reading] = ()
    runs: tuple[Run, ...] = ()
    unready: Grown[tuple[float, Features]] = ()
    padded: bool = False

    @property
    def duration_seconds(self) -> float:
        """From the first frame to the end of the latest."""
        return self.latest_seconds - (self.zero_seconds or 0.0) + self.frame_seconds

    def with_frame(self, time_seconds: float, gap_seconds: float | None) -> Accumulator:
        """One more frame, looked at or not; the gap to the one before, None after a reset."""
        if self.zero_seconds is None:
            return replace(self, zero_seconds=time_seconds, latest_seconds=time_seconds)
        return replace(
            self,
            latest_seconds=max(self.latest_seconds, time_seconds),
            frame_seconds=self.frame_seconds if gap_seconds is None else gap_seconds,
        )

    def with_reading(self, reading: Reading, ticks: int = 0) -> Accumulator:
        """One more reading, of a look that filled so many ticks; 0 for one without a new look."""
        grown = replace(
            self,
            looks=self.looks + (ticks > 0),
            ticks=self.ticks + ticks,
            people=self.people + (reading.pose is not None),
        )
        if self.keep_readings:
            grown = replace(grown, readings=grow(self.readings, reading))
        if reading.probabilities is None:
            return grown
        before = 0.0 if self.probabilities is None else self.probabilities
        return replace(
            grown,
            probabilities=before + reading.probabilities.astype(np.float64),
            known_score=self.known_score + reading.known_score,
            count=self.count + 1,
            runs=self.runs if self.keep_readings else self._extended(reading),
            unready=(),
        )

    def _extended(self, reading: Reading) -> tuple[Run, ...]:
        label = None if reading.shown is None else reading.labels.index(reading.shown)
        seconds = reading.time_seconds - (self.zero_seconds or 0.0)
        return extend(self.runs, Shown(seconds, label, reading.shown_confidence))

    def with_unready(self, time_seconds: float, window: Features) -> Accumulator:
        """A stretch ended before there was an answer: its newest look's time, its padded window."""
        if self.count or sum(map(len, self.unready)) >= MOST_UNREADY:
            return self
        return replace(self, unready=grow(self.unready, (time_seconds, window)))

    def answer(
        self,
        rules: Rules,
        source: str,
        duration_seconds: float,
        *,
        model: Mapping[str, str],
        video: VideoFacts | None = None,
        timing: Timing | None = None,
        warnings: tuple[Notice, ...] = (),
    ) -> Answer:
        """The unweighted mean over all readings, calibrated for clips.

        Raises:
            NoFramesError: there is no reading.
        """
        if self.probabilities is None:
            raise NoFramesError(source, "no frame was looked at")
        known_score = self.known_score / self.count
        found = segments(self._runs(rules), rules.labels, duration_seconds)
        said = {notice.kind for notice in warnings}
        return Answer(
            source,
            rules.labels,
            calibrate_clip(self.probabilities / self.count, rules.file_temperature),
            known=known_score >= rules.known_threshold,
            known_score=known_score,
            segments=found,
            readings=tuple(items(self.readings)),
            video=video,
            timing=timing,
            model=model,
            several=holds_several(found, duration_seconds),
            warnings=(*warnings, *(one for one in self._notices(rules) if one.kind not in said)),
        )

    def _runs(self, rules: Rules) -> tuple[Run, ...]:
        if not self.keep_readings:
            return self.runs
        spacing, zero = rules.sampling.spacing_seconds, self.zero_seconds or 0.0
        return file_runs(items(self.readings), zero, spacing, rules.known_threshold)

    def _notices(self, rules: Rules) -> Iterator[Notice]:
        """What the answer rests on, where that is less than it should be."""
        spacing = rules.sampling.spacing_seconds
        needed, span = rules.ready_after * spacing, self.duration_seconds
        if self.padded and span < needed:
            yield Notice("too_short", f"{span:.1f} s long: an answer should rest on {needed:.1f} s")
        elif self.padded or self.ticks > MOST_TICKS_A_LOOK * self.looks:
            yield Notice("few_looks", f"{self.looks} pictures in {span:.0f} s show no movement")
        if rules.pose and not self.people:
            yield Notice("no_person", "nobody was found whose pose could be read")

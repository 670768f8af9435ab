"""One pass over one video file: decode, look, encode in batches, read, conclude."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from actionstream.bundle.card import Card
from actionstream.engines import Engine
from actionstream.errors import NoFramesError
from actionstream.inference.preprocess import preprocess
from actionstream.inference.sampling import Clock, fill, judge, see
from actionstream.inference.stream import (
    StreamState,
    Tally,
    add_look,
    conclude,
    is_ready,
    warming_up,
    window,
)
from actionstream.progress import Progress
from actionstream.results import Answer, Pixels, Reading, Timing, VideoFacts
from actionstream.video import Limits, VideoReader

BATCH = 4
"""Looks encoded at once when a file is read. On two cores 3 or 4 took 14 % less time than 8, whose
activations leave the caches, and 5 % less than 2."""


@dataclass(slots=True)
class _Look:
    """A frame that will be looked at: its time, whether the stream starts afresh, the input."""

    time_seconds: float
    afresh: bool
    image: Pixels


@dataclass(slots=True)
class FileReading:
    """One pass over one file, for one thread.

    path, source: the file, and how its answer names it.
    identity:     the model's name and fingerprint, for the answer.
    threads:      for decoding; None for the machine's cores.
    progress:     called after every batch.
    """

    engine: Engine
    card: Card
    identity: dict[str, str]
    path: str
    source: str
    threads: int | None
    progress: Progress | None
    limits: Limits
    state: StreamState = field(default_factory=StreamState)
    waiting: list[_Look] = field(default_factory=list)
    encoded: int = 0
    encode_seconds: float = 0.0
    head_seconds: float = 0.0

    def run(self) -> Answer:
        """The answer. To be called once.

        Raises:
            VideoError: the file gives no pictures.
        """
        began = time.perf_counter()
        tally = Tally(self.card)
        with VideoReader(self.path, threads=self.threads, limits=self.limits) as reader:
            duration = reader.probe.duration_seconds
            for look in self._looks(reader):
                self.waiting.append(look)
                if len(self.waiting) == BATCH:
                    self._read_waiting(tally)
                    if self.progress is not None:
                        self.progress(look.time_seconds, duration, self.source)
            self._read_waiting(tally)
        if tally.count == 0 and self.state.ring is not None:
            last = self.state.clock.last_look_seconds or 0.0
            tally.add(self._conclude([(self.state, last)])[0], 0.0)
        total = time.perf_counter() - began
        decode = total - self.encode_seconds - self.head_seconds
        timing = Timing(total, decode, self.encode_seconds)
        if tally.count == 0:
            raise NoFramesError(self.path, "no frame could be decoded")
        answer = tally.answer(
            self.source,
            reader.duration_seconds,
            model=self.identity,
            video=_facts(reader, self.encoded),
            timing=timing,
        )
        return replace(answer, warnings=reader.warnings)

    def _looks(self, reader: VideoReader) -> Iterator[_Look]:
        """The frames that are due, as encoder inputs. No look is dropped in a file."""
        rule, geometry = self.card.sampling, self.card.input_geometry
        clock = Clock()
        for frame in reader:
            moment = judge(clock, frame.time_seconds, rule)
            if moment == "repeated":
                continue
            clock = see(Clock() if moment == "afresh" else clock, frame.time_seconds)
            if moment != "not_due":
                clock, _ = fill(clock, frame.time_seconds, rule)
                image = preprocess(frame.to_rgb(), geometry)
                yield _Look(frame.time_seconds, moment == "afresh", image)

    def _read_waiting(self, tally: Tally) -> None:
        """Encode the waiting looks as one batch and add their readings to the tally."""
        if not self.waiting:
            return
        began = time.perf_counter()
        features = self.engine.encode(np.stack([look.image for look in self.waiting]))
        self.encode_seconds += time.perf_counter() - began
        self.encoded += len(self.waiting)
        moments: list[tuple[StreamState, float]] = []
        for look, feature in zip(self.waiting, features, strict=True):
            if look.afresh:
                self._add(moments, tally)
                self.state = StreamState()
            seen = replace(self.state, clock=see(self.state.clock, look.time_seconds))
            self.state = add_look(seen, look.time_seconds, feature, self.card)
            moments.append((self.state, look.time_seconds))
        self._add(moments, tally)
        self.waiting.clear()

    def _add(self, moments: list[tuple[StreamState, float]], tally: Tally) -> None:
        """Read these moments of one unbroken stretch and add their readings; empties the list."""
        ready = [moment for moment in moments if is_ready(moment[0], self.card)]
        for state, seconds in moments[: len(moments) - len(ready)]:
            tally.add(warming_up(state, seconds, self.card), 0.0)
        for reading in self._conclude(ready):
            tally.add(reading, 0.0)
        moments.clear()

    def _conclude(self, moments: list[tuple[StreamState, float]]) -> list[Reading]:
        if not moments:
            return []
        began = time.perf_counter()
        windows = np.stack([window(state) for state, _ in moments])
        logits, known = self.engine.read(windows)
        readings = []
        for (state, seconds), row, score in zip(moments, logits, known, strict=True):
            current = replace(state, smoothed=self.state.smoothed)
            done, reading = conclude(current, seconds, row, float(score), self.card)
            self.state = replace(self.state, smoothed=done.smoothed)
            readings.append(reading)
        self.head_seconds += time.perf_counter() - began
        return readings


def _facts(reader: VideoReader, encoded: int) -> VideoFacts:
    probe = reader.probe
    return VideoFacts(
        reader.duration_seconds,
        probe.frame_rate,
        probe.width,
        probe.height,
        reader.frames_read,
        encoded,
        reader.corrupt_packets,
        reader.truncated,
    )

"""One stream: frames with their time in, readings out, an answer at the end.

A file and a camera take this same path. The state of a stream is a value (`StreamState`); the
functions below return new ones and remember nothing, so that a worker can serve many streams
with one model. `Stream` holds one such value for a caller who has one stream.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from actionstream.bundle.card import Card
from actionstream.engines import Engine
from actionstream.errors import NoFramesError
from actionstream.inference import postprocess as decide
from actionstream.inference.postprocess import Run, Shown, Smoothed
from actionstream.inference.preprocess import preprocess
from actionstream.inference.sampling import WINDOW, Clock, Moment, fill, judge, see
from actionstream.results import Answer, Reading, Timing, VideoFacts, check_pixels, check_time

Features = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class StreamState:
    """All that a stream remembers.

    clock:      where its ticks stand.
    ring:       the newest looks' features, float32 [0..16, D], oldest first; None before any.
    looks_seen: ticks filled since the stream began or started afresh.
    smoothed:   what is shown; None before the first reading.
    """

    clock: Clock = field(default_factory=Clock)
    ring: Features | None = None
    looks_seen: int = 0
    smoothed: Smoothed | None = None


def see_frame(state: StreamState, time_seconds: float, card: Card) -> tuple[StreamState, Moment]:
    """The state after a frame with this time was seen, and what the frame is to the stream.

    A look is due when the moment is "due" or "afresh"; the tick advances only in `add_look`.
    """
    moment = judge(state.clock, time_seconds, card.sampling)
    if moment == "repeated":
        return state, moment
    if moment == "afresh":
        state = StreamState()
    return replace(state, clock=see(state.clock, time_seconds)), moment


def add_look(state: StreamState, time_seconds: float, feature: Features, card: Card) -> StreamState:
    """The state after the look at this time, feature float32 [D], entered the ring."""
    clock, filled = fill(state.clock, time_seconds, card.sampling)
    new = min(filled, WINDOW)
    old = np.empty((0, len(feature)), np.float32) if state.ring is None else state.ring
    kept = min(len(old), WINDOW - new)
    ring = np.empty((kept + new, len(feature)), dtype=np.float32)
    ring[:kept] = old[len(old) - kept :]
    ring[kept:] = feature
    return replace(state, clock=clock, ring=ring, looks_seen=state.looks_seen + filled)


def window(state: StreamState) -> Features:
    """What the head reads, float32 [16, D]: a short ring has its oldest look repeated in front."""
    if state.ring is None:
        raise ValueError("a stream without a look has no window")
    missing = WINDOW - len(state.ring)
    if missing == 0:
        return state.ring
    return np.concatenate([np.repeat(state.ring[:1], missing, axis=0), state.ring])


def is_ready(state: StreamState, card: Card) -> bool:
    """Whether enough looks were seen for an answer."""
    return state.looks_seen >= card.ready_after


def warming_up(state: StreamState, time_seconds: float, card: Card) -> Reading:
    """The reading before there is an answer."""
    return Reading("warming_up", time_seconds, state.looks_seen, card.labels)


def conclude(
    state: StreamState,
    time_seconds: float,
    logits: NDArray[np.float32],
    known_score: float,
    card: Card,
) -> tuple[StreamState, Reading]:
    """The state and the reading after the head said `logits` [K] and `known_score`."""
    probabilities = decide.calibrate(logits, card.temperature)
    smoothed = decide.smooth(
        state.smoothed, time_seconds, probabilities, known_score, card.smoothing
    )
    shown = smoothed.shown
    best = smoothed.probabilities.max() if shown is None else smoothed.probabilities[shown]
    reading = Reading(
        "ready",
        time_seconds,
        state.looks_seen,
        card.labels,
        probabilities,
        known=known_score >= card.threshold,
        known_score=known_score,
        shown=None if shown is None else card.labels[shown],
        shown_confidence=float(best),
    )
    return replace(state, smoothed=smoothed), reading


@dataclass(slots=True)
class Tally:
    """The running sums from which a stream's answer is made; `readings` only if `keep`."""

    card: Card
    keep: bool = True
    readings: list[Reading] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    probabilities: NDArray[np.float64] | None = None
    known_score: float = 0.0
    count: int = 0

    def add(self, reading: Reading, start_seconds: float) -> None:
        """Count one reading of a stream whose zero is at `start_seconds`."""
        if self.keep:
            self.readings.append(reading)
        if reading.probabilities is None:
            return
        total = (
            np.zeros(len(self.card.labels)) if self.probabilities is None else self.probabilities
        )
        self.probabilities = total + reading.probabilities
        self.known_score += reading.known_score
        self.count += 1
        label = None if reading.shown is None else self.card.labels.index(reading.shown)
        shown = Shown(reading.time_seconds - start_seconds, label, reading.shown_confidence)
        decide.extend(self.runs, shown)

    def answer(
        self,
        source: str,
        duration_seconds: float,
        *,
        model: Mapping[str, str],
        video: VideoFacts | None = None,
        timing: Timing | None = None,
    ) -> Answer:
        """The unweighted mean over all readings, calibrated for clips."""
        if self.probabilities is None:
            raise NoFramesError(source, "no frame was looked at")
        mean = self.probabilities / self.count
        known_score = self.known_score / self.count
        return Answer(
            source,
            self.card.labels,
            decide.calibrate_clip(mean, self.card.file_temperature),
            known=known_score >= self.card.known_threshold,
            known_score=known_score,
            segments=decide.segments(self.runs, self.card.labels, duration_seconds),
            readings=tuple(self.readings),
            video=video,
            timing=timing,
            model=model,
        )


class Stream:
    """One live stream on one model. Not for several threads at once; make one each.

    Every frame that is due is encoded once; a frame that is not due costs nothing.
    `state` may be read, kept and put back: it is a value.
    """

    def __init__(
        self, engine: Engine, card: Card, model: Mapping[str, str], *, keep_readings: bool = True
    ) -> None:
        self._engine, self._card, self._model = engine, card, model
        self._keep = keep_readings
        self.state = StreamState()
        self._begin()

    def _begin(self) -> None:
        self._tally = Tally(self._card, self._keep)
        self._zero: float | None = None
        self._newest = self._latest = self._frame_seconds = 0.0

    def push(self, rgb: NDArray[np.uint8], time_seconds: float) -> Reading | None:
        """Show one frame to the stream.

        Args:
            rgb: RGB uint8 [H, W, 3].
            time_seconds: when it was taken, by the caller's clock.

        Returns:
            A reading stamped with the frame's time, or None when the frame was not due.

        Raises:
            FrameError: the picture or the time is of the wrong kind; the stream stays as it was.
        """
        arrival = time.monotonic()
        moment_seconds, pixels = check_time(time_seconds), check_pixels(rgb)
        state, moment = see_frame(self.state, moment_seconds, self._card)
        if moment in ("due", "afresh"):
            image = preprocess(pixels, self._card.input_geometry)
            feature = self._engine.encode(image[None])[0]
            state = add_look(state, moment_seconds, feature, self._card)
            reading: Reading | None = warming_up(state, moment_seconds, self._card)
            if is_ready(state, self._card):
                state, reading = self._read(state, moment_seconds)
        else:
            reading = None
        self.state = state
        if moment != "repeated":
            self._count(moment_seconds, afresh=moment == "afresh")
        if reading is None or self._zero is None:
            return None
        self._tally.add(reading, self._zero)
        return replace(reading, age_seconds=time.monotonic() - arrival)

    def _count(self, time_seconds: float, *, afresh: bool) -> None:
        """Keep what the answer's duration is made of, as a file's reader does."""
        if self._zero is None:
            self._zero = self._latest = time_seconds
        elif not afresh:
            self._frame_seconds = time_seconds - self._newest
        self._newest, self._latest = time_seconds, max(self._latest, time_seconds)

    def _read(self, state: StreamState, time_seconds: float) -> tuple[StreamState, Reading]:
        logits, known = self._engine.read(window(state)[None])
        return conclude(state, time_seconds, logits[0], float(known[0]), self._card)

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a new stream."""
        self.state = StreamState()
        self._begin()

    def finish(self) -> Answer:
        """The answer over everything pushed since the beginning or `reset()`.

        It is what `recognize` would give for a file of these frames: segments count from the
        first frame. Only the end of the last segment can differ: how long the newest frame is
        shown stands in a file, and is taken here to be as long as the gap before it, which at an
        uneven rate may be more or less. A stream too short to be ready gets one reading from its
        padded ring. The stream can be pushed on afterwards.

        Raises:
            NoFramesError: no frame was pushed.
        """
        if self._zero is None:
            raise NoFramesError("stream", "no frame was pushed")
        tally = self._tally
        if tally.count == 0:
            tally = replace(tally, readings=list(tally.readings), runs=list(tally.runs))
            last = self.state.clock.last_look_seconds
            _, reading = self._read(self.state, self._newest if last is None else last)
            tally.add(reading, self._zero)
        duration = self._latest - self._zero + self._frame_seconds
        return tally.answer("stream", duration, model=self._model)

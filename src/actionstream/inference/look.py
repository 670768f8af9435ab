"""One look: from a frame that is due to a reading. Files, streams and the live worker all take it.

The state of a stream goes in and comes out; nothing here remembers anything. `take` says whether
a frame is looked at, `look` shows due frames of any number of streams to the model at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from actionstream.inference.accumulator import Accumulator, items
from actionstream.inference.pose import POSE_SIZE, SCORE, PoseNetworks, PoseState
from actionstream.inference.pose import look as look_for_person
from actionstream.inference.postprocess import Smoothed, calibrate, smooth
from actionstream.inference.preprocess import preprocess
from actionstream.inference.rules import Features, Graphs, Rules
from actionstream.inference.sampling import WINDOW, Clock, Moment, fill, step
from actionstream.results import Frame, Pixels, Reading

Output = tuple[Features, float]
"""What the head says of one window: logits [K] and known_score."""


@dataclass(frozen=True, slots=True, eq=False)
class StreamState:
    """All that a stream remembers: it can be kept, pickled, put back, and the stream goes on.

    clock:        where its ticks stand.
    stretch:      the clock's stretch that the ring belongs to.
    ring:         the newest looks' features, float32 [0..16, D], oldest first; None before any.
                  D is the picture's numbers, and behind them the pose's where the model has one.
    pose:         whom the stream follows, for models with a pose.
    look_seconds: time of the newest look in the ring.
    looks_seen:   ticks filled since the stream began or was reset.
    smoothed:     what is shown; None before the first reading.
    total:        what the answer at the end is made of; None for streams that want none.
    """

    clock: Clock = field(default_factory=Clock)
    stretch: int = 0
    ring: Features | None = None
    pose: PoseState = field(default_factory=PoseState)
    look_seconds: float = 0.0
    looks_seen: int = 0
    smoothed: Smoothed | None = None
    total: Accumulator | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A frame on its way through the model.

    image:   RGB uint8 [S, S, 3], what the encoder sees.
    ticks:   how many ticks of the ring it fills.
    stretch: of the clock that found it due: a newer one than the ring's empties the ring.
    frame:   all of it, RGB uint8 [H, W, 3], for models with a pose; else None.
    """

    time_seconds: float
    image: Pixels
    ticks: int
    stretch: int
    frame: Pixels | None = None

    @property
    def whole(self) -> Pixels:
        """The frame of a look that was made for a model with a pose."""
        if self.frame is None:
            raise ValueError("a look without its frame has no pose")
        return self.frame

    @classmethod
    def of(
        cls, pixels: Pixels, time_seconds: float, ticks: int, stretch: int, rules: Rules
    ) -> Look:
        """The look at this picture, RGB uint8 [H, W, 3].

        Raises:
            FrameError: it is of another dtype or shape.
        """
        image = preprocess(pixels, rules.geometry)
        frame = pixels.copy() if rules.pose else None  # the caller may fill the array again
        return cls(time_seconds, image, ticks, stretch, frame)


def see(state: StreamState, time_seconds: float, rules: Rules) -> tuple[StreamState, Moment]:
    """The state after a frame with this time was seen, and what the frame is to the stream."""
    clock, moment = step(state.clock, time_seconds, rules.sampling)
    total, before = state.total, state.clock.last_frame_seconds
    if total is not None and moment != "repeated":
        gap = None if moment == "reset" or before is None else time_seconds - before
        total = total.with_frame(time_seconds, gap)
    return replace(state, clock=clock, total=total), moment


def take(state: StreamState, frame: Frame, rules: Rules) -> tuple[StreamState, Look | None]:
    """The state after this frame, and the look if it is due: its tick then counts as filled.

    Raises:
        FrameError: the frame is due and gives no picture.
    """
    state, moment = see(state, frame.time_seconds, rules)
    if moment not in ("due", "reset"):
        return state, None
    pixels = frame.to_rgb()
    clock, ticks = fill(state.clock, frame.time_seconds, rules.sampling)
    due = Look.of(pixels, frame.time_seconds, ticks, clock.stretch, rules)
    return replace(state, clock=clock), due


def look(
    graphs: Graphs, rules: Rules, streams: Sequence[tuple[StreamState, Sequence[Look]]]
) -> list[tuple[StreamState, list[Reading]]]:
    """Show each stream its looks, in their order: each one's new state, and a reading a look.

    All pictures are encoded in one call and all windows read in another: batches change nothing.
    In between come the poses, each of which needs to know where the person was in the look before.
    """
    images = np.stack([one.image for _, looks in streams for one in looks])
    features, followed = graphs.encode(images), [state.pose for state, _ in streams]
    if (networks := graphs.pose if rules.pose else None) is not None:
        poses, followed = _follow(networks, streams)
        features = np.concatenate([features, poses], axis=1)
    rows = iter(features)
    entered: list[list[StreamState]] = []
    for (state, looks), pose in zip(streams, followed, strict=True):
        state, states = replace(state, pose=pose), []
        for one in looks:
            state = _enter(state, one, next(rows))
            states.append(state)
        entered.append(states)
    ready = [now for states in entered for now in states if _is_ready(now, rules)]
    outputs = iter(_read(graphs, [window(now) for now in ready]))
    return [
        _postprocess(state, looks, states, outputs, rules)
        for (state, looks), states in zip(streams, entered, strict=True)
    ]


def _follow(
    networks: PoseNetworks, streams: Sequence[tuple[StreamState, Sequence[Look]]]
) -> tuple[Features, list[PoseState]]:
    """The pose at every look, float32 [N, 236], and whom each stream follows after its last.

    Streams go side by side, the looks of one in their order.
    """
    followed = [(state.stretch, state.pose) for state, _ in streams]
    seen: list[list[Features]] = [[] for _ in streams]
    for turn in range(max((len(looks) for _, looks in streams), default=0)):
        now = {i: looks[turn] for i, (_, looks) in enumerate(streams) if turn < len(looks)}
        before = [
            pose if stretch == one.stretch else PoseState()
            for one, (stretch, pose) in ((one, followed[i]) for i, one in now.items())
        ]
        poses, after = look_for_person(networks, [one.whole for one in now.values()], before)
        for (i, one), pose, state in zip(now.items(), poses, after, strict=True):
            seen[i].append(pose)
            followed[i] = (one.stretch, state)
    return np.stack([pose for poses in seen for pose in poses]), [pose for _, pose in followed]


def _enter(state: StreamState, one: Look, feature: Features) -> StreamState:
    """The state after a look, feature float32 [D], entered the ring."""
    if one.stretch != state.stretch:
        state = replace(state, stretch=one.stretch, ring=None, looks_seen=0, smoothed=None)
    new = min(one.ticks, WINDOW)
    old = np.empty((0, len(feature)), np.float32) if state.ring is None else state.ring
    kept = min(len(old), WINDOW - new)
    ring = np.empty((kept + new, len(feature)), dtype=np.float32)
    ring[:kept] = old[len(old) - kept :]
    ring[kept:] = feature
    seen = state.looks_seen + one.ticks
    return replace(state, ring=ring, look_seconds=one.time_seconds, looks_seen=seen)


def window(state: StreamState) -> Features:
    """What the head reads, float32 [16, D]: a short ring has its oldest look repeated in front."""
    if state.ring is None:
        raise ValueError("a stream without a look has no window")
    missing = WINDOW - len(state.ring)
    if missing == 0:
        return state.ring
    return np.concatenate([np.repeat(state.ring[:1], missing, axis=0), state.ring])


def _is_ready(state: StreamState, rules: Rules) -> bool:
    """Whether enough looks were seen for an answer."""
    return state.looks_seen >= rules.ready_after


def _read(graphs: Graphs, windows: Sequence[Features]) -> list[Output]:
    if not windows:
        return []
    logits, known = graphs.read(np.stack(windows))
    return [(row, float(score)) for row, score in zip(logits, known, strict=True)]


def _postprocess(
    state: StreamState,
    looks: Sequence[Look],
    entered: Sequence[StreamState],
    outputs: Iterator[Output],
    rules: Rules,
) -> tuple[StreamState, list[Reading]]:
    """The readings of one stream's looks, in order; what is shown and the sums go along."""
    readings = []
    for one, now in zip(looks, entered, strict=True):
        total, same = state.total, now.stretch == state.stretch
        unready = state.ring is not None and not _is_ready(state, rules)
        if total is not None and not same and unready:
            total = total.with_unready(state.look_seconds, window(state))
        state = replace(now, smoothed=state.smoothed if same else None, total=total)
        reading = Reading("warming_up", one.time_seconds, state.looks_seen, rules.labels)
        if _is_ready(state, rules):
            state, reading = _answer(state, one.time_seconds, next(outputs), rules)
        if rules.pose:
            reading = replace(reading, pose=_pose(now))
        if total is not None:
            state = replace(state, total=total.with_reading(reading, one.ticks))
        readings.append(reading)
    return state, readings


def _pose(state: StreamState) -> Features | None:
    """The pose of the newest look, float32 [236]; None where nobody was found."""
    assert state.ring is not None
    pose = state.ring[-1, -POSE_SIZE:]
    return pose.copy() if pose[SCORE] > 0 else None


def _answer(
    state: StreamState, time_seconds: float, output: Output, rules: Rules
) -> tuple[StreamState, Reading]:
    """The state and the reading after the head said `output`."""
    logits, known_score = output
    probabilities = calibrate(logits, rules.temperature)
    smoothed = smooth(state.smoothed, time_seconds, probabilities, known_score, rules.smoothing)
    shown = smoothed.shown
    best = smoothed.probabilities.max() if shown is None else smoothed.probabilities[shown]
    reading = Reading(
        "ready",
        time_seconds,
        state.looks_seen,
        rules.labels,
        probabilities,
        known=known_score >= rules.smoothing.threshold,
        known_score=known_score,
        shown=None if shown is None else rules.labels[shown],
        shown_confidence=float(best),
    )
    return replace(state, smoothed=smoothed), reading


def finish(graphs: Graphs, rules: Rules, state: StreamState) -> Accumulator:
    """What the answer is made of. A stream that was never ready for one, be it too short or
    reset again and again, gets a reading of each stretch from its padded ring."""
    total = state.total or Accumulator()
    if total.count or state.ring is None:
        return total
    stretches = [*items(total.unready), (state.look_seconds, window(state))]
    outputs = _read(graphs, [padded for _, padded in stretches])
    for (seconds, _), output in zip(stretches, outputs, strict=True):
        _, reading = _answer(replace(state, smoothed=None), seconds, output, rules)
        total = total.with_reading(reading)
    return replace(total, padded=True)

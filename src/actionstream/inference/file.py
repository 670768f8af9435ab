"""All the frames of a file, or any others that are there at once: looked at in batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from actionstream.inference.accumulator import Accumulator
from actionstream.inference.look import Look, StreamState, finish, look, take
from actionstream.inference.pose import PoseNetworks
from actionstream.inference.rules import Features, Graphs, Rules
from actionstream.results import Frame, Pixels, Reading

Result = TypeVar("Result")

BATCH = 4
"""Looks encoded at once when a file is read. On two cores 3 or 4 took 14 % less time than 8, whose
activations leave the caches, and 5 % less than 2."""


@dataclass(slots=True)
class _Timed:
    """Graphs that say what they took."""

    graphs: Graphs
    encode_seconds: float = 0.0
    head_seconds: float = 0.0

    def encode(self, images: Pixels) -> Features:
        return self.looked(self.graphs.encode, images)

    @property
    def pose(self) -> _TimedPose | None:
        return None if self.graphs.pose is None else _TimedPose(self, self.graphs.pose)

    def looked(self, network: Callable[[Pixels], Result], pictures: Pixels) -> Result:
        began = time.perf_counter()
        seen = network(pictures)
        self.encode_seconds += time.perf_counter() - began
        return seen

    def read(self, features: Features) -> tuple[Features, Features]:
        began = time.perf_counter()
        outputs = self.graphs.read(features)
        self.head_seconds += time.perf_counter() - began
        return outputs


@dataclass(frozen=True, slots=True)
class _TimedPose:
    timed: _Timed
    networks: PoseNetworks

    def find_people(self, images: Pixels) -> tuple[Features, Features]:
        return self.timed.looked(self.networks.find_people, images)

    def find_landmarks(self, crops: Pixels) -> tuple[Features, Features, Features]:
        return self.timed.looked(self.networks.find_landmarks, crops)


@dataclass(frozen=True, slots=True)
class FramesRead:
    """What came of the frames, and the wall-clock seconds that the networks that look at pictures
    and the head took."""

    total: Accumulator
    encode_seconds: float
    head_seconds: float


def read_frames(
    frames: Iterable[Frame],
    graphs: Graphs,
    rules: Rules,
    progress: Callable[[float], None] | None = None,
    on_reading: Callable[[Reading], None] | None = None,
) -> FramesRead:
    """Show all frames to the model, in their order. What is not due is not even converted.

    Args:
        frames: with times in seconds.
        graphs, rules: of the model.
        progress: called after every batch with the time of its last look. To cancel, raise.
        on_reading: called before that with each of its readings, in their order.

    Raises:
        FrameError: a frame that is due gives no picture.
    """
    timed, waiting = _Timed(graphs), list[Look]()
    state = StreamState(total=Accumulator())
    for frame in frames:
        state, due = take(state, frame, rules)
        if due is None:
            continue
        waiting.append(due)
        if len(waiting) == BATCH:
            state = _look(timed, rules, state, waiting, on_reading)
            if progress is not None:
                progress(due.time_seconds)
    if waiting:
        state = _look(timed, rules, state, waiting, on_reading)
    total = finish(timed, rules, state)
    return FramesRead(total, timed.encode_seconds, timed.head_seconds)


def _look(
    timed: _Timed,
    rules: Rules,
    state: StreamState,
    waiting: list[Look],
    on_reading: Callable[[Reading], None] | None,
) -> StreamState:
    """The state after the waiting looks, of which none waits any longer."""
    ((state, readings),) = look(timed, rules, [(state, waiting)])
    waiting.clear()
    if on_reading is not None:
        for reading in readings:
            on_reading(reading)
    return state

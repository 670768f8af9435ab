"""Streams of pictures that change with time, and a real engine under observation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from actionstream.engines import Engine
from actionstream.results import Pixels

PATIENCE_SECONDS = 20.0  # for what must happen, on a machine that may be busy


def picture(seed: int, moment: float) -> Pixels:
    """A picture whose colours and edges depend on the stream and drift with time."""
    y, x = np.mgrid[0:72, 0:96]
    waves = [np.sin((x * (seed + 1) + y * c) / 17 + moment * (1 + c) + seed) for c in range(3)]
    return (127 + 120 * np.stack(waves, axis=-1)).astype(np.uint8)


def camera(
    seed: int, seconds: float, *, rate: float = 15.0, start: float = 0.0
) -> list[tuple[Pixels, float]]:
    """The frames of a stream: pictures and their times."""
    times = [start + i / rate for i in range(round(seconds * rate))]
    return [(picture(seed, moment), moment) for moment in times]


@dataclass
class Clock:
    """A clock that a test sets: call it for the seconds."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class WatchedEngine:
    """The real engine behind a gate, counting its calls; or failing on demand.

    `before_encode` is called in the thread that encodes, when the gate is open.
    """

    inner: Engine
    before_encode: Callable[[], object] = lambda: None
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    failure: Exception | None = None
    encoded: list[int] = field(default_factory=list)
    read_batches: list[int] = field(default_factory=list)

    name = property(lambda self: self.inner.name)
    device = property(lambda self: self.inner.device)

    def describe(self) -> str:
        return self.inner.describe()

    def encode(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.entered.set()
        assert self.gate.wait(PATIENCE_SECONDS)
        self.before_encode()
        if self.failure is not None:
            raise self.failure
        self.encoded.append(len(images))
        return self.inner.encode(images)

    def read(
        self, features: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.read_batches.append(len(features))
        return self.inner.read(features)


def eventually(holds: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until something holds; fail if it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.002)

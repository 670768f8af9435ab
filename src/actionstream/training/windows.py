"""From stored looks to what the head reads: the windows that serving would draw.

A window ends at a tick and holds the 16 ticks up to it, the oldest repeated in front when there
are fewer: exactly a stream's ring. Training draws ends at random, evaluation takes them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from actionstream.datasets.split import Clip
from actionstream.inference.sampling import WINDOW
from actionstream.training.store import FeatureStore, Looks

Ticks = NDArray[np.float16]
AnyNumber = TypeVar("AnyNumber", bound=np.number)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A clip with its stored views.

    target: index of its label; None for "no known action".
    views:  per view one row a tick, float16 [T, D]; view 0 is the served one.
    ends:   of view 0, the ticks filled after each look: where serving reads.
    """

    clip: Clip
    target: int | None
    views: tuple[Ticks, ...]
    ends: NDArray[np.int64]


def load_samples(
    store: FeatureStore, clips: Sequence[Clip], labels: Sequence[str], views: int
) -> list[Sample]:
    """The clips' samples from the store, in their order.

    Raises:
        TrainingError: a clip is not in the store.
    """
    index = {label: position for position, label in enumerate(labels)}
    samples = []
    for clip in clips:
        looks = [store.load(clip, number) for number in range(views)]
        target = None if clip.label is None else index[clip.label]
        rows = tuple(np.repeat(one.features, one.filled, axis=0) for one in looks)
        samples.append(Sample(clip, target, rows, read_ends(looks[0])))
    return samples


def read_ends(looks: Looks) -> NDArray[np.int64]:
    """Ticks filled after each look, int64 [n]."""
    ends: NDArray[np.int64] = np.cumsum(looks.filled, dtype=np.int64)
    return ends


def cut_window(ticks: NDArray[AnyNumber], end: int) -> NDArray[AnyNumber]:
    """The 16 ticks before `end`, the oldest repeated in front. [T, ...] to [16, ...]."""
    part = ticks[max(end - WINDOW, 0) : end]
    missing = WINDOW - len(part)
    return part if missing == 0 else np.concatenate([np.repeat(part[:1], missing, axis=0), part])


def served_windows(sample: Sample, ready_after: int) -> NDArray[np.float32]:
    """Every window that serving reads from the clip, float32 [R, 16, D], R at least 1."""
    ends = sample.ends[sample.ends >= ready_after]
    if len(ends) == 0:
        ends = sample.ends[-1:]
    return np.stack([cut_window(sample.views[0], int(end)) for end in ends]).astype(np.float32)


def random_windows(
    samples: Sequence[Sample], ready_after: int, random: np.random.Generator
) -> NDArray[np.float32]:
    """One window a sample, float32 [B, 16, D]: a random view, a random end that is ready."""
    windows = []
    for sample in samples:
        ticks = sample.views[random.integers(len(sample.views))]
        first = min(ready_after, len(ticks))
        windows.append(cut_window(ticks, int(random.integers(first, len(ticks) + 1))))
    return np.stack(windows).astype(np.float32)

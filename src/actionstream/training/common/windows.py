"""From looks to what the head reads: the windows that inference would draw.

A window ends at a tick and holds the 16 ticks up to it, the oldest repeated in front when there
are fewer: exactly a stream's ring. Training draws ends at random, evaluation takes them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from actionstream.datasets.split import Clip
from actionstream.inference.sampling import WINDOW
from actionstream.networks.heads import Head
from actionstream.training.common.loop import deterministic

Ticks = NDArray[np.float16]
AnyNumber = TypeVar("AnyNumber", bound=np.number)


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """A clip's looks in one view: float16 [n, D], and how many ticks each look filled [n]."""

    looks: NDArray[np.float16]
    filled: NDArray[np.int16]

    def ticks(self) -> Ticks:
        """One row a tick, float16 [T, D]: what a stream's ring saw go by."""
        return np.repeat(self.looks, self.filled, axis=0)

    def ends(self) -> NDArray[np.int64]:
        """Ticks filled after each look, int64 [n]: where inference reads."""
        return np.asarray(np.cumsum(self.filled, dtype=np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A clip with its stored views.

    target: index of its label; None for a negative.
    views:  per view one row a tick, float16 [T, D]; view 0 is the plain one.
    ends:   of view 0, the ticks filled after each look: where inference reads.
    """

    clip: Clip
    target: int | None
    views: tuple[Ticks, ...]
    ends: NDArray[np.int64]


def cut_window(ticks: NDArray[AnyNumber], end: int) -> NDArray[AnyNumber]:
    """The 16 ticks before `end`, the oldest repeated in front. [T, ...] to [16, ...]."""
    part = ticks[max(end - WINDOW, 0) : end]
    missing = WINDOW - len(part)
    return part if missing == 0 else np.concatenate([np.repeat(part[:1], missing, axis=0), part])


def ready_ends(ends: NDArray[np.int64], ready_after: int) -> NDArray[np.int64]:
    """The ends at which inference reads: the last one alone in a clip that is never ready."""
    ready = ends[ends >= ready_after]
    return ready if len(ready) else ends[-1:]


def inference_windows(sample: Sample, ready_after: int) -> NDArray[np.float32]:
    """Every window that inference reads from the clip, float32 [R, 16, D], R at least 1."""
    ends = ready_ends(sample.ends, ready_after)
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


@deterministic()
@torch.inference_mode()
def read_clip(head: Head, sample: Sample, ready_after: int) -> NDArray[np.float32]:
    """The head's logits at every reading that inference makes of the clip, float32 [R, K]."""
    windows = torch.from_numpy(inference_windows(sample, ready_after))
    logits: NDArray[np.float32] = head.eval()(windows).numpy()
    return logits

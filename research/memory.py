"""The bundle's memory: windows of the training clips with which new actions can be taught later.

fit.py writes OUT/memory.safetensors with it. Every action gets the same number of windows and no
known action a fifth of all, from as many sources as there are; each stands for a share of its
action's weight. What the window's scores are comes from the cross-fits: heads that saw neither it
nor its source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from actionstream.bundle.memory import Memory, quantise

if TYPE_CHECKING:
    from fit import Fit

WINDOWS, NONE_SHARE = 600, 0.2
"""How many are kept, and the share of those of no known action. 1,000 and 2,000 were not better."""


def choose(fit: Fit, closed: np.ndarray, order: np.ndarray, heat: float) -> Memory:
    """The memory of a fit; `closed` and `order` are out-of-fold scores [M, K + 1] as the graph
    gives them, `heat` is what the layers are divided by."""
    w, random = fit.windows, np.random.default_rng(0)
    rows, weight = [], []
    for label in range(fit.none + 1):
        share = NONE_SHARE if label == fit.none else (1 - NONE_SHARE) / fit.none
        own = np.flatnonzero(fit.usable & ~w.is_copy & (fit.row_target == label))
        kept = spread(own, w.group[w.clip[own]], random)[: round(WINDOWS * share)]
        rows.append(kept)
        weight.append(np.full(len(kept), fit.row_weight[own].sum() / len(kept)))
    chosen = np.concatenate(rows)
    (picture, picture_step), (pose, pose_step) = (
        quantise(part[chosen]) for part in (fit.direct.picture, fit.direct.pose)
    )
    looks = w.looks[w.source[chosen]].astype(np.float32)
    change = np.abs(np.diff(looks, axis=1)).mean((1, 2)) / (np.abs(looks).mean((1, 2)) + 1e-6)
    recipe, sizes = fit.direct.recipe, fit.direct.sizes
    return Memory(
        picture=picture,
        pose=pose,
        picture_step=picture_step,
        pose_step=pose_step,
        target=fit.row_target[chosen].astype(np.int16),
        source=np.unique(w.group[w.clip[chosen]], return_inverse=True)[1].astype(np.int32),
        clip=w.clip[chosen].astype(np.int32),
        weight=np.concatenate(weight).astype(np.float32),
        closed=closed[chosen].astype(np.float16),
        order=order[chosen].astype(np.float16),
        moves=np.log(change + 1e-4).astype(np.float32),
        picture_mean=fit.direct.mean.astype(np.float32),
        picture_std=fit.direct.std.astype(np.float32),
        pose_mean=fit.direct.random_mean.astype(np.float32),
        factors=np.array([recipe["picture"] / sizes[0], recipe["pose"] / sizes[1]], np.float32),
        penalty=np.float32(recipe["penalty"]),
        heat=np.float32(heat),
    )


def spread(rows: np.ndarray, group: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Rows in an order that takes one of each group before a second one of any."""
    mixed = random.permutation(len(rows))
    turn, seen = np.empty(len(rows), int), dict[str, int]()
    for place, row in enumerate(mixed):
        turn[place] = seen[group[row]] = seen.get(group[row], -1) + 1
    return rows[mixed][np.argsort(turn, kind="stable")]

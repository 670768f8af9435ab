"""Trains the LSTM of a `BothHead`: what to add to closed-form scores that never saw the clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from actionstream.networks.pose_head import Order

Floats = NDArray[np.float32]
BATCH, DECAY = 64, 0.99


@dataclass(frozen=True, slots=True, eq=False)
class OrderRows:
    """Windows of training clips, each read by lines that were fitted without the clip's fold.

    evidence: [M, 16, S] of `Order.evidence`.   closed: scores [M, K + 1] of both closed-form paths.
    target: class, K for none.   weight: of the clip.   clip: number of the clip, [M] each.
    """

    evidence: Floats
    closed: Floats
    target: NDArray[np.int64]
    weight: Floats
    clip: NDArray[np.int64]


def train_order(
    order: Order,
    rows: OrderRows,
    *,
    epochs: int = 5,
    rate: float = 1e-3,
    decay: float = 0.1,
    seed: int = 0,
) -> None:
    """Learn by AdamW, one random window a clip and epoch; keeps an average of the weights.

    The gradient reaches only `order.lstm` and `order.linear`: the evidence comes ready made.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    _fit_scale(order, rows.evidence)
    windows = [np.flatnonzero(rows.clip == clip) for clip in np.unique(rows.clip)]
    steps = epochs * -(-len(windows) // BATCH)
    learned = [*order.lstm.parameters(), *order.linear.parameters()]
    optimizer = torch.optim.AdamW(learned, lr=rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.2)
    average = [one.detach().clone() for one in learned]
    order.train()
    for step, batch in enumerate(_batches(windows, epochs, random), start=1):
        optimizer.zero_grad()
        _loss(order, rows, batch).backward()
        optimizer.step()
        schedule.step()
        kept = min(DECAY, (1 + step) / (10 + step))
        for mean, now in zip(average, learned, strict=True):
            mean.mul_(kept).add_(now.detach(), alpha=1 - kept)
    with torch.no_grad():
        for mean, now in zip(average, learned, strict=True):
            now.copy_(mean)
    order.eval()


def _fit_scale(order: Order, evidence: Floats) -> None:
    std = evidence.std((0, 1))
    order.mean.copy_(torch.from_numpy(evidence.mean((0, 1))))
    order.std.copy_(torch.from_numpy(np.maximum(std, 0.1 * std.mean())))


def _batches(windows: list[NDArray[np.int64]], epochs: int, random: np.random.Generator):
    for _ in range(epochs):
        drawn = np.array([random.choice(own) for own in windows])
        random.shuffle(drawn)
        yield from (drawn[i : i + BATCH] for i in range(0, len(drawn), BATCH))


def _loss(order: Order, rows: OrderRows, batch: NDArray[np.int64]) -> Tensor:
    scores = order.read(torch.from_numpy(rows.evidence[batch])) + torch.from_numpy(
        rows.closed[batch]
    )
    each = functional.cross_entropy(scores, torch.from_numpy(rows.target[batch]), reduction="none")
    weight = torch.from_numpy(rows.weight[batch])
    return (each * weight).sum() / weight.sum()

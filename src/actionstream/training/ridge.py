"""Linear layers in closed form: ridge regression from features to actions.

With fewer clips than numbers a clip, gradient descent on such a layer overfits at any learning
rate; the penalised least-squares solution does not, and needs no epochs. All that it needs of the
data are sums, which add up over folds: every row is computed once, whatever fold is then left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from actionstream.networks.heads import steady
from actionstream.training.threads import one_thread
from actionstream.training.windows import Sample

Rows = Callable[[Sample], Tensor]
"""The rows [M, P] of a clip, M at least 1."""

CHUNK = 2048
"""Rows summed up at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Weighted sums over rows, x [P] being a row less `shift` and y [K] its target."""

    shift: Tensor
    weight: float
    x: Tensor
    y: Tensor
    xx: Tensor
    xy: Tensor

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.shift,
            self.weight + other.weight,
            self.x + other.x,
            self.y + other.y,
            self.xx + other.xx,
            self.xy + other.xy,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """What ridge regression gives: scores [..., K] = x [..., P] @ weight.T + bias."""

    weight: Tensor
    bias: Tensor

    def __call__(self, rows: Tensor) -> Tensor:
        return rows @ self.weight.T + self.bias

    def scaled(self, factor: float) -> Line:
        return Line(self.weight * factor, self.bias * factor)


@dataclass(frozen=True, slots=True, eq=False)
class FoldSums:
    """The sums of each fold, and the fold of each sample."""

    moments: tuple[Moments, ...]
    fold_of: tuple[int, ...]

    def without(self, fold: int) -> FoldSums:
        """The same for the samples of the other folds, in their order."""
        kept = [number for number in range(len(self.moments)) if number != fold]
        return FoldSums(
            tuple(self.moments[number] for number in kept),
            tuple(kept.index(number) for number in self.fold_of if number != fold),
        )


@one_thread()
@torch.no_grad()
def gather(
    samples: Sequence[Sample],
    folds: Sequence[Sequence[int]],
    rows_of: Rows,
    num_classes: int,
    *,
    outlier_weight: float,
) -> FoldSums:
    """Sum up the rows of all clips. A clip weighs 1, one of no known action `outlier_weight`.

    Targets are 1 - 1/K for the clip's class and -1/K for the others; 0 for all classes where no
    action is known.

    Args:
        folds: for each fold the positions of its samples.
        rows_of: see `Rows`.
    """
    fold_of = np.empty(len(samples), dtype=int)
    for number, members in enumerate(folds):
        fold_of[list(members)] = number
    shift = rows_of(samples[0]).mean(dim=0)
    moments = []
    for members in folds:
        total = _nothing(shift, num_classes)
        for chunk in _chunks([samples[index] for index in members], rows_of):
            total = total + _sum(chunk, shift, num_classes, outlier_weight)
        moments.append(total)
    return FoldSums(tuple(moments), tuple(int(number) for number in fold_of))


def _nothing(shift: Tensor, num_classes: int) -> Moments:
    size = len(shift)
    sums = (torch.zeros(size), torch.zeros(num_classes))
    return Moments(shift, 0.0, *sums, torch.zeros(size, size), torch.zeros(size, num_classes))


def _chunks(samples: Iterable[Sample], rows_of: Rows) -> Iterable[list[tuple[Sample, Tensor]]]:
    chunk: list[tuple[Sample, Tensor]] = []
    count = 0
    for sample in samples:
        rows = rows_of(sample)
        chunk.append((sample, rows))
        count += len(rows)
        if count >= CHUNK:
            yield chunk
            chunk, count = [], 0
    if chunk:
        yield chunk


def _sum(
    chunk: Sequence[tuple[Sample, Tensor]],
    shift: Tensor,
    num_classes: int,
    outlier_weight: float,
) -> Moments:
    x = torch.cat([rows for _, rows in chunk]) - shift
    y = torch.zeros(len(x), num_classes)
    weight = torch.zeros(len(x), 1)
    start = 0
    for sample, rows in chunk:
        place = slice(start, start + len(rows))
        start += len(rows)
        weight[place] = (outlier_weight if sample.target is None else 1.0) / len(rows)
        if sample.target is not None:
            y[place] = -1.0 / num_classes
            y[place, sample.target] += 1.0
    root = x * weight.sqrt()
    return Moments(
        shift,
        float(weight.sum()),
        (x * weight).sum(dim=0),
        (y * weight).sum(dim=0),
        root.T @ root,
        x.T @ (y * weight),
    )


@one_thread()
@torch.no_grad()
def solve(moments: Iterable[Moments], penalty: float) -> Line:
    """Ridge regression on standardised rows.

    Args:
        penalty: added to the variance of every channel, which is 1 then.

    Source: Hoerl and Kennard 1970, "Ridge Regression: Biased Estimation for Nonorthogonal
    Problems", equation 2.1.
    """
    first, *others = moments
    total = sum(others, start=first)
    mean, targets = total.x / total.weight, total.y / total.weight
    covariance = total.xx / total.weight - torch.outer(mean, mean)
    std = steady(covariance.diagonal().clamp(min=0).sqrt())
    matrix = covariance / std[:, None] / std
    matrix.diagonal().add_(penalty)
    goal = (total.xy / total.weight - torch.outer(mean, targets)) / std[:, None]
    weight = torch.cholesky_solve(goal, torch.linalg.cholesky(matrix)) / std[:, None]
    return Line(weight.T.contiguous(), targets - (mean + total.shift) @ weight)


@dataclass(frozen=True, slots=True, eq=False)
class CrossFit:
    """A line from all folds, and for each fold the line that never saw it.

    served:   what the head gets.
    held_out: weight [F, K, P] and bias [F, K]. What comes after learns from these: on the clips
              that it was fitted on, the served line is right more often than on any other.
    """

    served: Line
    held_out: Line

    def scaled(self, factor: float) -> CrossFit:
        return CrossFit(self.served.scaled(factor), self.held_out.scaled(factor))

    @torch.no_grad()
    def read_held_out(self, rows: Tensor, folds: Tensor) -> Tensor:
        """Scores [B, ..., K] of rows [B, ..., P] of samples in these folds [B]."""
        scores = torch.einsum("b...p,fkp->bf...k", rows, self.held_out.weight)
        own = scores[torch.arange(len(rows)), folds]
        bias = self.held_out.bias[folds]
        return own + bias.reshape(len(rows), *[1] * (rows.ndim - 2), -1)


def cross_fit(sums: FoldSums, penalty: float) -> CrossFit:
    """Solve for all folds, and for all but one, in turn."""
    numbers = range(len(sums.moments))
    lines = [solve([sums.moments[j] for j in numbers if j != k], penalty) for k in numbers]
    held_out = Line(
        torch.stack([line.weight for line in lines]), torch.stack([line.bias for line in lines])
    )
    return CrossFit(solve(sums.moments, penalty), held_out)

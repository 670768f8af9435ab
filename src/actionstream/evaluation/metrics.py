"""Figures with their intervals. Clips of one group are not independent, so groups are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import binary_auroc, binary_calibration_error

BOOTSTRAP_DRAWS = 2000

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def grouped_mean(
    values: Sequence[float] | Floats, groups: Sequence[str], *, seed: int = 0
) -> Figure:
    """Mean of `values` with a bootstrap interval that draws whole groups.

    Source: Davison and Hinkley 1997, "Bootstrap Methods and their Application", section 3.8
    (cluster bootstrap, percentile interval, 2,000 draws).

    Raises:
        ValueError: no values, or values and groups of different length.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) == 0 or len(numbers) != len(groups):
        raise ValueError(
            f"need as many groups as values and at least one: {len(numbers)}, {len(groups)}"
        )
    _, position = np.unique(np.asarray(groups), return_inverse=True)
    count = int(position.max()) + 1
    sums = np.bincount(position, weights=numbers, minlength=count)
    sizes = np.bincount(position, minlength=count).astype(np.float64)
    drawn = np.random.default_rng(seed).integers(count, size=(BOOTSTRAP_DRAWS, count))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Figure(float(numbers.mean()), float(low), float(high))


def paired_difference(
    a: Sequence[float] | Floats,
    b: Sequence[float] | Floats,
    groups: Sequence[str],
    *,
    seed: int = 0,
) -> Figure:
    """Mean of a - b on the same clips, with the grouped bootstrap interval."""
    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    return grouped_mean(difference, groups, seed=seed)


def mean_over_classes(correct: Sequence[float] | Floats, targets: Sequence[int]) -> float:
    """Mean of the classes' accuracies: every class counts the same."""
    hits, classes = np.asarray(correct, dtype=np.float64), np.asarray(targets)
    return float(np.mean([hits[classes == one].mean() for one in np.unique(classes)]))


def expected_calibration_error(
    confidences: Sequence[float] | Floats, correct: Sequence[float] | Floats, *, bins: int = 15
) -> float:
    """Mean gap between confidence and accuracy over equal-width bins.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.
    """
    sure = torch.as_tensor(np.asarray(confidences, dtype=np.float64))
    hits = torch.as_tensor(np.asarray(correct)).long()
    return float(binary_calibration_error(sure, hits, n_bins=bins, norm="l1"))


def area_under_roc(positive: Sequence[float] | Floats, negative: Sequence[float] | Floats) -> float:
    """Probability that a positive scores above a negative, ties counted half."""
    scores = torch.as_tensor(np.concatenate([positive, negative]).astype(np.float64))
    sides = torch.cat([torch.ones(len(positive)), torch.zeros(len(negative))]).long()
    return float(binary_auroc(scores, sides))

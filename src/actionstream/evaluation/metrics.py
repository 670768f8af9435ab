"""Figures with their intervals. Clips of one group are not independent, so groups are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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


def mean_over_classes(correct: Sequence[float] | Floats, targets: Sequence[int]) -> float:
    """Mean of the classes' accuracies: every class counts the same."""
    hits, classes = np.asarray(correct, dtype=np.float64), np.asarray(targets)
    return float(np.mean([hits[classes == one].mean() for one in np.unique(classes)]))


def expected_calibration_error(
    confidences: Sequence[float] | Floats, correct: Sequence[float] | Floats, *, bins: int = 15
) -> float:
    """Mean gap between confidence and accuracy over bins of equal width.

    A confidence on an edge belongs to the bin above it; 1 belongs to the last bin.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.
    """
    sure = np.asarray(confidences, dtype=np.float64)
    edges = np.linspace(0.0, 1.0, bins + 1)[1:-1]
    place = np.digitize(sure, edges)
    gaps = np.bincount(place, weights=sure - np.asarray(correct, dtype=np.float64))
    return float(np.abs(gaps).sum() / len(sure))


def area_under_roc(positive: Sequence[float] | Floats, negative: Sequence[float] | Floats) -> float:
    """Probability that a positive scores above a negative, ties counted half.

    Source: Hanley and McNeil 1982, "The Meaning and Use of the Area under a Receiver Operating
    Characteristic (ROC) Curve": the area is the Mann-Whitney statistic.
    """
    above, below = np.asarray(positive, dtype=np.float64), np.sort(negative)
    beaten = np.searchsorted(below, above, side="left")
    not_lost = np.searchsorted(below, above, side="right")
    return float((beaten + not_lost).mean() / (2 * len(below)))

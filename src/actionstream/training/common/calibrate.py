"""Calibration: temperatures and thresholds, in the order in which inference applies them.

They are fitted on what heads say of clips that they never saw, nor had chosen an epoch by. All of
it is NumPy on arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actionstream.datasets.split import Clip
from actionstream.inference.postprocess import calibrate as softmax

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

KEPT_CORRECT = 0.95
"""Share of the right answers that the thresholds let pass. Wrong ones do not count: "no known
action" is better than a wrong guess."""

COLDEST, WARMEST = 0.05, 20.0


@dataclass(frozen=True, slots=True, eq=False)
class ClipOutput:
    """What a head that never saw the clip's group says at each of its readings.

    target: index of the clip's label; None for a negative.
    logits: float32 [R, K].   fold: the fold that held the clip out; 0 where there is but one.
    """

    clip: Clip
    target: int | None
    logits: Floats
    fold: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Temperatures:
    """`reading` is applied to the logits of a reading, `file` to the log of a clip's mean.

    probabilities: calibrated, of each clip, float32 [C, K].
    correct:       whether the clip is answered rightly, bool [C]; False for negatives.
    """

    reading: float
    file: float
    probabilities: Floats
    correct: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What the card carries. `clip_scores` [C]: the mean OOD score of each clip."""

    temperatures: Temperatures
    threshold: float
    known_threshold: float
    clip_scores: Doubles


def fit_temperatures(outputs: Sequence[ClipOutput]) -> Temperatures:
    """Both temperatures; every clip counts the same, however many readings it has.

    A temperature is 1 where every row is right: the likelihood then grows without end as it
    falls, and a handful of easy clips would make the model claim certainty.
    """
    known = np.array([output.target is not None for output in outputs])
    targets = np.array([output.target for output in outputs if output.target is not None])
    readings = [output.logits for output in outputs if output.target is not None]
    counts = np.array([len(logits) for logits in readings])
    reading = _unless_perfect(
        np.concatenate(readings), np.repeat(targets, counts), np.repeat(1.0 / counts, counts)
    )
    means = np.stack([softmax(output.logits, reading).mean(axis=0) for output in outputs])
    logs = np.log(np.maximum(means, 1e-12)).astype(np.float32)
    file = _unless_perfect(logs[known], targets, np.ones(len(targets)))
    correct = np.zeros(len(outputs), dtype=bool)
    correct[known] = means[known].argmax(axis=1) == targets
    return Temperatures(reading, file, softmax(logs, file), correct)


def _unless_perfect(logits: Floats, targets: NDArray[np.int64], weights: Doubles) -> float:
    if (logits.argmax(axis=1) == targets).all():
        return 1.0
    return fit_temperature(logits, targets, weights)


def fit_temperature(
    logits: Floats, targets: NDArray[np.int64], weights: Doubles | None = None
) -> float:
    """The temperature from 0.05 to 20 with the least negative log likelihood.

    In 1 / temperature the likelihood is convex: its slope, the mean of expected less true logit,
    changes sign once, and the place is found by bisection.

    Args:
        logits: float [M, K].   targets: int [M].   weights: [M], all 1 if None.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2.
    """
    rows = logits.astype(np.float64)
    rows -= rows.max(axis=1, keepdims=True)
    true = rows[np.arange(len(rows)), targets]
    low, high = 1.0 / WARMEST, 1.0 / COLDEST
    for _ in range(60):
        middle = float(np.sqrt(low * high))
        shares = np.exp(rows * middle)
        expected = (shares * rows).sum(axis=1) / shares.sum(axis=1)
        if np.average(expected - true, weights=weights) > 0:
            high = middle
        else:
            low = middle
    return float(1.0 / np.sqrt(low * high))


def fit_thresholds(
    outputs: Sequence[ClipOutput], temperatures: Temperatures, scores: Sequence[Doubles]
) -> Calibration:
    """Thresholds of the OOD score that let most right answers pass, of readings and of clips.

    `scores`: for each clip the OOD scores of its readings, [R].
    """
    clip_scores = np.array([one.mean() for one in scores])
    right = [
        one[output.logits.argmax(axis=1) == output.target]
        for output, one in zip(outputs, scores, strict=True)
        if output.target is not None
    ]
    return Calibration(
        temperatures,
        threshold=keeping(np.concatenate(right)),
        known_threshold=keeping(clip_scores[temperatures.correct]),
        clip_scores=clip_scores,
    )


def keeping(scores: Doubles) -> float:
    """The threshold that lets `KEPT_CORRECT` of these scores pass; 0 if there are none."""
    return float(np.quantile(scores, 1.0 - KEPT_CORRECT)) if len(scores) else 0.0

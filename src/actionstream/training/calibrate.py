"""Calibration on out-of-fold outputs: temperatures, the known score, and the two thresholds.

Nothing here sees a clip that its head was trained on, nor a clip that chose an epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from actionstream.inference import postprocess as decide
from actionstream.networks.known import STATISTICS, KnownScore
from actionstream.training.crossval import ClipOutput, CrossValidation
from actionstream.training.temperature import fit_temperature, minimise
from actionstream.training.threads import one_thread
from actionstream.training.windows import Sample, served_windows

Floats = NDArray[np.float32]

KEPT_CORRECT = 0.95
"""Share of the right out-of-fold answers that the thresholds let pass. Wrong ones do not count:
"no known action" is better than a wrong guess."""

RIGHT, WRONG, OTHER = 0, 1, 2

PROJECTION_SIZE = 26
WITHIN_SHRINKAGE = 0.3
"""Of the within-class covariance towards a multiple of the identity."""

PENALTY = 1e-2
"""L2 penalty of the known score's logistic regression, on standardised statistics."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What the card carries, and the known score as it will be served.

    known: fitted on all clips, to stand beside the final head.
    clip_scores: out-of-fold mean known_score by clip, in the order of the outputs.
    probabilities: out-of-fold calibrated clip probabilities, float32 [C, K].
    """

    temperature: float
    file_temperature: float
    threshold: float
    known_threshold: float
    known: KnownScore
    clip_scores: NDArray[np.float64]
    probabilities: Floats


@one_thread()
def calibrate(validation: CrossValidation, num_classes: int, ready_after: int) -> Calibration:
    """Fit everything on the out-of-fold outputs, in the order in which serving applies it."""
    outputs = validation.outputs
    known_clips = [output for output in outputs if output.sample.target is not None]
    temperature = _reading_temperature(known_clips)
    means = np.stack([decide.calibrate(o.logits, temperature).mean(axis=0) for o in outputs])
    is_known = np.array([output.sample.target is not None for output in outputs])
    targets = np.array([o.sample.target for o in known_clips], dtype=np.int64)
    logs = np.log(np.maximum(means, 1e-12)).astype(np.float32)
    file_temperature = fit_temperature(logs[is_known], targets)
    correct = np.zeros(len(outputs), dtype=bool)
    correct[is_known] = means[is_known].argmax(axis=1) == targets
    known, readings = _fit_known(validation, correct, num_classes, ready_after, temperature)
    clip_scores = np.array([float(scores.mean()) for scores in readings])
    correct_readings = [
        scores[output.logits.argmax(axis=1) == output.sample.target]
        for output, scores in zip(outputs, readings, strict=True)
    ]
    return Calibration(
        temperature,
        file_temperature,
        threshold=keeping(np.concatenate(correct_readings)),
        known_threshold=keeping(clip_scores[correct]),
        known=known,
        clip_scores=clip_scores,
        probabilities=decide.calibrate(logs, file_temperature),
    )


def keeping(scores: NDArray[np.float64]) -> float:
    """The threshold that lets `KEPT_CORRECT` of these scores pass; 0 if there are none."""
    return float(np.quantile(scores, 1.0 - KEPT_CORRECT)) if len(scores) else 0.0


def _reading_temperature(outputs: Sequence[ClipOutput]) -> float:
    """Fitted on single readings; every clip counts the same."""
    logits = np.concatenate([output.logits for output in outputs])
    targets = np.concatenate([[o.sample.target] * len(o.logits) for o in outputs])
    weights = np.concatenate([[1.0 / len(o.logits)] * len(o.logits) for o in outputs])
    return fit_temperature(logits, targets.astype(np.int64), weights)


def _fit_known(
    validation: CrossValidation,
    correct: NDArray[np.bool_],
    num_classes: int,
    ready_after: int,
    temperature: float,
) -> tuple[KnownScore, list[NDArray[np.float64]]]:
    """The served known score, and out-of-fold scores by reading, in the order of the outputs.

    Statistics of a clip come from the head and the class means of the fold that never saw it; the
    logistic regression that scores it was fitted on the other folds' clips.
    """
    outputs = validation.outputs
    modules = {
        fold.fold: new_known(fold.trained_on, num_classes, temperature) for fold in validation.heads
    }
    rows = [_statistics(modules[output.fold], output, ready_after) for output in outputs]
    sides = _sides(validation, correct)
    scores: list[NDArray[np.float64]] = [np.empty(0)] * len(outputs)
    for fold in modules:
        rest = [i for i, output in enumerate(outputs) if output.fold != fold]
        _set_regression(modules[fold], [rows[i] for i in rest], sides[rest])
        for index, output in enumerate(outputs):
            if output.fold == fold:
                scores[index] = _score(modules[fold], rows[index])
    everything = tuple(output.sample for output in outputs)
    served = new_known(everything, num_classes, temperature)
    _set_regression(served, rows, sides)
    return served, scores


def _sides(validation: CrossValidation, correct: NDArray[np.bool_]) -> NDArray[np.int64]:
    """By clip: answered rightly, answered wrongly, or of no known action."""
    is_other = np.array([output.sample.target is None for output in validation.outputs])
    sides: NDArray[np.int64] = np.where(is_other, OTHER, np.where(correct, RIGHT, WRONG))
    return sides


def new_known(samples: Sequence[Sample], num_classes: int, temperature: float) -> KnownScore:
    """A logistic known score with its projection and class means from these clips' served views.

    The projection is that of linear discriminant analysis with a shrunk within-class covariance,
    scaled so that distances are Mahalanobis distances.
    Source: Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution
    Samples", equation 1 (class means with one covariance), in the discriminant subspace.
    """
    known = [sample for sample in samples if sample.target is not None]
    rows = np.stack([sample.views[0].astype(np.float64).mean(axis=0) for sample in known])
    targets = np.array([sample.target for sample in known])
    size = min(PROJECTION_SIZE, num_classes - 1)
    module = KnownScore("logistic", rows.shape[1], num_classes, projection_size=max(size, 1)).eval()
    mean, std = rows.mean(axis=0), rows.std(axis=0)
    std = np.maximum(std, 0.1 * std.mean())
    scaled = (rows - mean) / std
    means = np.stack([scaled[targets == one].mean(axis=0) for one in range(num_classes)])
    projection = _discriminant(scaled, means, targets, max(size, 1))
    _set(module.temperature, np.array(temperature))
    _set(module.feature_mean, mean)
    _set(module.feature_std, std)
    _set(module.projection, projection)
    _set(module.class_means, means @ projection)
    return module


def _discriminant(
    rows: NDArray[np.float64], means: NDArray[np.float64], targets: NDArray[np.int64], size: int
) -> NDArray[np.float64]:
    """Directions [D, P] that separate the classes, in units of the within-class deviation."""
    inner = rows - means[targets]
    within = inner.T @ inner / len(rows)
    shrunk = (1.0 - WITHIN_SHRINKAGE) * within
    shrunk += WITHIN_SHRINKAGE * np.trace(within) / len(within) * np.eye(len(within))
    values, vectors = np.linalg.eigh(shrunk)
    whiten = vectors / np.sqrt(values)
    centred = (means - means.mean(axis=0)) @ whiten
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    projection: NDArray[np.float64] = whiten @ directions[:size].T
    return projection


@torch.inference_mode()
def _statistics(module: KnownScore, output: ClipOutput, ready_after: int) -> NDArray[np.float64]:
    windows = torch.from_numpy(served_windows(output.sample, ready_after))
    values = module.statistics(windows, torch.from_numpy(output.logits))
    return values.double().numpy().copy()


def _set_regression(
    module: KnownScore, rows: Sequence[NDArray[np.float64]], sides: NDArray[np.int64]
) -> None:
    """Fit statistics to a right answer (1), a wrong one or a clip of no known action (0).

    Both goals weigh the same, so do the two kinds of the second, and so do the clips of a kind.
    """
    stacked = np.concatenate(rows)
    clip_weights = balanced(sides)
    weights = np.concatenate(
        [np.full(len(row), one / len(row)) for one, row in zip(clip_weights, rows, strict=True)]
    )
    goal = np.concatenate(
        [np.full(len(row), float(side == RIGHT)) for side, row in zip(sides, rows, strict=True)]
    )
    mean = np.average(stacked, axis=0, weights=weights)
    std = np.maximum(np.sqrt(np.average((stacked - mean) ** 2, axis=0, weights=weights)), 1e-6)
    if not (sides == OTHER).any():
        return _without_outliers(module, mean, std)
    inputs = torch.from_numpy((stacked - mean) / std)
    goals, weigh = torch.from_numpy(goal), torch.from_numpy(weights)
    weight = torch.zeros(len(STATISTICS), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(1, dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        each = functional.binary_cross_entropy_with_logits(
            inputs @ weight + bias, goals, reduction="none"
        )
        return (each * weigh).sum() + PENALTY * weight.square().sum()

    minimise([weight, bias], loss)
    _set(module.statistic_mean, mean)
    _set(module.statistic_std, std)
    _set(module.weight, weight.detach().numpy())
    _set(module.bias, bias.detach().numpy()[0])
    return None


def balanced(sides: NDArray[np.int64]) -> NDArray[np.float64]:
    """A weight for each clip: half for all right answers together, half for the rest."""
    weights = np.zeros(len(sides))
    refused = [side for side in (WRONG, OTHER) if (sides == side).any()]
    for side in (RIGHT, *refused):
        clips = sides == side
        weights[clips] = (0.5 if side == RIGHT else 0.5 / len(refused)) / max(clips.sum(), 1)
    return weights


def _without_outliers(
    module: KnownScore, mean: NDArray[np.float64], std: NDArray[np.float64]
) -> None:
    """No clip shows "no known action": sure and near the class counts as known, nothing fitted."""
    _set(module.statistic_mean, mean)
    _set(module.statistic_std, std)
    signs = {"max_probability": 1.0, "margin": 0.0, "energy": 0.0, "entropy": 0.0}
    weights = [signs.get(name, -1.0 if name == "own_distance" else 0.0) for name in STATISTICS]
    _set(module.weight, np.array(weights))


@torch.inference_mode()
def _score(module: KnownScore, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    standardised = (torch.from_numpy(rows) - module.statistic_mean) / module.statistic_std
    score = torch.sigmoid((standardised * module.weight).sum(dim=1) + module.bias)
    return score.double().numpy().copy()


def _set(buffer: Tensor, value: NDArray[np.floating] | np.floating) -> None:
    with torch.no_grad():
        buffer.copy_(torch.as_tensor(np.asarray(value)).reshape(buffer.shape))

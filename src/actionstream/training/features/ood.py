"""The out-of-distribution (OOD) score: how much a clip looks like an action that is known.

A logistic regression on six statistics of a reading (`networks.ood.STATISTICS`). The fits are
functions on NumPy arrays; the statistics themselves are the inference module's, so that no second
copy of their rule exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from actionstream.networks.ood import STATISTICS, OODScore
from actionstream.training.common.calibrate import ClipOutput
from actionstream.training.common.loop import deterministic
from actionstream.training.common.windows import Sample, inference_windows

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]

RIGHT, WRONG, NEGATIVE = 0, 1, 2
"""Kinds of clips: answered rightly, answered wrongly, of no known action."""

PROJECTION_SIZE = 26
WITHIN_SHRINKAGE = 0.3
"""Of the within-class covariance towards a multiple of the identity."""

PENALTY = 1e-2
"""L2 penalty of the logistic regression, on standardised statistics."""


@dataclass(frozen=True, slots=True, eq=False)
class Regression:
    """score = sigmoid(weight . (row - mean) / std + bias), rows [..., S]."""

    mean: Doubles
    std: Doubles
    weight: Doubles
    bias: float

    def score(self, rows: Doubles) -> Doubles:
        """From 0 to 1, [...]."""
        linear = ((rows - self.mean) / self.std) @ self.weight + self.bias
        return np.asarray(1.0 / (1.0 + np.exp(-linear)))


@dataclass(frozen=True, slots=True, eq=False)
class Discriminant:
    """Rows [D] to distances: (row - mean) / std @ projection [D, P], against class means [K, P]."""

    mean: Doubles
    std: Doubles
    projection: Doubles
    class_means: Doubles


@deterministic()
def fit_ood(
    samples: Sequence[Sample],
    outputs: Sequence[ClipOutput],
    correct: NDArray[np.bool_],
    temperature: float,
    num_classes: int,
    ready_after: int,
) -> tuple[OODScore, list[Doubles]]:
    """The score for inference, fitted on all clips, and the out-of-fold scores of every reading.

    Statistics of a clip come from the head and the class means of the fold that never saw it.
    """
    modules = {}
    for fold in sorted({output.fold for output in outputs}):
        seen = [s for s, output in zip(samples, outputs, strict=True) if output.fold != fold]
        modules[fold] = new_score(seen, num_classes, temperature)
    rows = [
        _statistics(modules[output.fold], sample, output, ready_after)
        for sample, output in zip(samples, outputs, strict=True)
    ]
    negative = np.array([output.target is None for output in outputs])
    kinds = np.where(negative, NEGATIVE, np.where(correct, RIGHT, WRONG))
    scores = out_of_fold_scores(rows, kinds, np.array([output.fold for output in outputs]))
    score = new_score(samples, num_classes, temperature)
    _put(score, fit_regression(rows, kinds))
    return score, scores


def out_of_fold_scores(rows: Sequence[Doubles], kinds: Integers, folds: Integers) -> list[Doubles]:
    """The scores [R] of every clip by a regression that saw no clip of its fold.

    Args:
        rows: for each clip the statistics of its readings, [R, S].
        kinds, folds: of each clip, [C].
    """
    scores: list[Doubles] = [np.empty(0)] * len(rows)
    for fold in np.unique(folds):
        rest = [row for row, own in zip(rows, folds, strict=True) if own != fold]
        regression = fit_regression(rest, kinds[folds != fold])
        for index, (row, own) in enumerate(zip(rows, folds, strict=True)):
            if own == fold:
                scores[index] = regression.score(row)
    return scores


def fit_regression(rows: Sequence[Doubles], kinds: Integers) -> Regression:
    """Fit statistics to a right answer (1), a wrong one or a negative (0).

    Both goals weigh the same, so do the two kinds of the second, and so do the clips of a kind.
    Without negatives nothing shows "no known action": sure and near the class counts as known
    then, and nothing is fitted.
    """
    counts = [len(row) for row in rows]
    stacked = np.concatenate(rows)
    weights = np.repeat(balanced(kinds) / counts, counts)
    goals = np.repeat((kinds == RIGHT).astype(np.float64), counts)
    mean = np.average(stacked, axis=0, weights=weights)
    std = np.maximum(np.sqrt(np.average((stacked - mean) ** 2, axis=0, weights=weights)), 1e-6)
    if not (kinds == NEGATIVE).any():
        signs = {"max_probability": 1.0, "own_distance": -1.0}
        return Regression(mean, std, np.array([signs.get(name, 0.0) for name in STATISTICS]), 0.0)
    weight, bias = fit_logistic((stacked - mean) / std, goals, weights, penalty=PENALTY)
    return Regression(mean, std, weight, bias)


def fit_logistic(
    rows: Doubles, goals: Doubles, weights: Doubles, *, penalty: float
) -> tuple[Doubles, float]:
    """Weights [S] and bias of logistic regression with an L2 penalty, by Newton's method.

    Args:
        rows: [M, S].   goals: 0 or 1, [M].   weights: [M].
        penalty: factor of the squared weights; the bias is free.

    Source: Hastie, Tibshirani, Friedman 2009, "The Elements of Statistical Learning", 4.4.1.
    """
    wide = np.column_stack([rows, np.ones(len(rows))])
    ridge = 2.0 * penalty * np.append(np.ones(rows.shape[1]), 0.0)

    def loss(theta: Doubles) -> float:
        linear = wide @ theta
        return float(weights @ (np.logaddexp(0.0, linear) - goals * linear) + ridge @ theta**2 / 2)

    theta = np.zeros(wide.shape[1])
    for _ in range(100):
        shares = 1.0 / (1.0 + np.exp(-(wide @ theta)))
        slope = wide.T @ (weights * (shares - goals)) + ridge * theta
        curve = (wide * (weights * shares * (1.0 - shares))[:, None]).T @ wide + np.diag(ridge)
        step = np.linalg.solve(curve + 1e-12 * np.eye(len(theta)), slope)
        now = loss(theta)
        while loss(theta - step) > now and np.abs(step).max() > 1e-12:
            step /= 2.0
        theta = theta - step
        if np.abs(step).max() < 1e-10:
            break
    return theta[:-1], float(theta[-1])


def balanced(kinds: Integers) -> Doubles:
    """A weight for each clip: half for all right answers together, half for the rest."""
    weights = np.zeros(len(kinds))
    refused = [kind for kind in (WRONG, NEGATIVE) if (kinds == kind).any()]
    for kind in (RIGHT, *refused):
        clips = kinds == kind
        weights[clips] = (0.5 if kind == RIGHT else 0.5 / len(refused)) / max(clips.sum(), 1)
    return weights


def fit_discriminant(rows: Doubles, targets: Integers, num_classes: int) -> Discriminant:
    """Linear discriminant analysis with a shrunk within-class covariance, scaled so that distances
    are Mahalanobis distances. Rows [C, D] of clips, one a clip.

    Source: Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution
    Samples", equation 1 (class means with one covariance), in the discriminant subspace.
    """
    size = max(min(PROJECTION_SIZE, num_classes - 1), 1)
    mean, std = rows.mean(axis=0), rows.std(axis=0)
    std = np.maximum(std, 0.1 * std.mean())
    scaled = (rows - mean) / std
    means = np.stack([scaled[targets == one].mean(axis=0) for one in range(num_classes)])
    inner = scaled - means[targets]
    within = inner.T @ inner / len(inner)
    shrunk = (1.0 - WITHIN_SHRINKAGE) * within
    shrunk += WITHIN_SHRINKAGE * np.trace(within) / len(within) * np.eye(len(within))
    values, vectors = np.linalg.eigh(shrunk)
    whiten = vectors / np.sqrt(values)
    _, _, directions = np.linalg.svd((means - means.mean(axis=0)) @ whiten, full_matrices=False)
    projection: Doubles = whiten @ directions[:size].T
    return Discriminant(mean, std, projection, means @ projection)


def new_score(samples: Sequence[Sample], num_classes: int, temperature: float) -> OODScore:
    """A logistic score with its projection and class means from these clips' plain views."""
    known = [sample for sample in samples if sample.target is not None]
    rows = np.stack([sample.views[0].astype(np.float64).mean(axis=0) for sample in known])
    targets = np.array([sample.target for sample in known])
    found = fit_discriminant(rows, targets, num_classes)
    size = found.projection.shape[1]
    module = OODScore("logistic", rows.shape[1], num_classes, projection_size=size).eval()
    _set(module.temperature, np.array(temperature))
    _set(module.feature_mean, found.mean)
    _set(module.feature_std, found.std)
    _set(module.projection, found.projection)
    _set(module.class_means, found.class_means)
    return module


@torch.inference_mode()
def _statistics(module: OODScore, sample: Sample, output: ClipOutput, ready_after: int) -> Doubles:
    windows = torch.from_numpy(inference_windows(sample, ready_after))
    values = module.statistics(windows, torch.from_numpy(output.logits))
    return values.double().numpy().copy()


def _put(module: OODScore, regression: Regression) -> None:
    _set(module.statistic_mean, regression.mean)
    _set(module.statistic_std, regression.std)
    _set(module.weight, regression.weight)
    _set(module.bias, np.array(regression.bias))


def _set(buffer: Tensor, value: Doubles) -> None:
    with torch.no_grad():
        buffer.copy_(torch.as_tensor(value).reshape(buffer.shape))

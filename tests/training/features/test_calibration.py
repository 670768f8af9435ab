"""Calibration: temperatures that are known, thresholds that keep what they say, outliers found."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import toy
from numpy.typing import NDArray

from actionstream.evaluation.metrics import area_under_roc
from actionstream.inference import postprocess
from actionstream.networks.ood import OODScore
from actionstream.training.common.calibrate import (
    KEPT_CORRECT,
    Calibration,
    ClipOutput,
    fit_temperature,
)
from actionstream.training.common.card import held_out_figures
from actionstream.training.common.recipe import Settings
from actionstream.training.common.windows import Sample, inference_windows, read_clip
from actionstream.training.features.closed_form import closed_form
from actionstream.training.features.fit_head import fit_head
from actionstream.training.features.ood import (
    NEGATIVE,
    RIGHT,
    WRONG,
    balanced,
    fit_logistic,
    out_of_fold_scores,
)
from actionstream.training.features.train import calibrate, cross_validate

pytestmark = pytest.mark.torch

RECIPE = replace(toy.RECIPE, batch_size=8)


def drawn(count: int, temperature: float, seed: int = 0) -> tuple[NDArray, NDArray]:
    """Logits `temperature` times too large for targets that were drawn from them."""
    random = np.random.default_rng(seed)
    fair = random.normal(0, 2, (count, 5))
    shares = np.exp(fair) / np.exp(fair).sum(axis=1, keepdims=True)
    targets = np.array([random.choice(5, p=share) for share in shares])
    return (fair * temperature).astype(np.float32), targets


def loss(logits: NDArray, targets: NDArray, temperature: float) -> float:
    """Mean negative log likelihood, in double precision."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    logs = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    return float(-logs[np.arange(len(targets)), targets].mean())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_known_temperature_is_found(temperature: float) -> None:
    logits, targets = drawn(4000, temperature)
    assert fit_temperature(logits, targets) == pytest.approx(temperature, rel=0.06)


def test_the_fitted_temperature_is_never_worse() -> None:
    random = np.random.default_rng(1)
    for scale in (0.01, 0.3, 1, 10, 100):
        for seed in range(4):
            logits, targets = drawn(30, scale, seed)
            noise = random.integers(0, 5, 30)
            for goal in (targets, noise, logits.argmax(axis=1), logits.argmin(axis=1)):
                found = fit_temperature(logits, goal)
                assert 0.05 <= found <= 20
                tried = [loss(logits, goal, t) for t in (0.1, 0.5, 0.9, 1, 1.1, 2, 10)]
                assert loss(logits, goal, found) <= min(tried) + 1e-6


def test_weights_count() -> None:
    """Two populations: the weights choose whose temperature it is."""
    (warm, a), (cold, b) = drawn(2000, 3.0), drawn(2000, 0.5, seed=1)
    logits, targets = np.concatenate([warm, cold]), np.concatenate([a, b])
    weights = np.repeat([1.0, 1e-9], 2000)
    assert fit_temperature(logits, targets, weights) == pytest.approx(3.0, rel=0.1)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Sixty clips of three actions that are not quite apart, and others far away."""
    return toy.clusters(20, negatives=16, spread=1.5)


@dataclass(frozen=True)
class Found:
    """Out-of-fold outputs, and what was fitted on them."""

    outputs: list[ClipOutput]
    ood: OODScore
    calibration: Calibration

    @property
    def right(self) -> NDArray[np.bool_]:
        return self.calibration.temperatures.correct

    @property
    def known(self) -> NDArray[np.bool_]:
        return np.array([one.target is not None for one in self.outputs])


def find(samples: list[Sample], seed: int = 0) -> Found:
    data = toy.prepared(samples, RECIPE, seed=seed)
    layers = closed_form(data.template, samples, data.folds, RECIPE)
    settings = Settings(Path("unused"), Path("unused"), seed=seed)
    outputs = cross_validate(data, layers, RECIPE, settings, lambda *_: None)
    return Found(outputs, *calibrate(samples, outputs, RECIPE))


@pytest.fixture(scope="module")
def found(samples: list[Sample]) -> Found:
    return find(samples, seed=1)


def test_the_thresholds_keep_the_stated_share(found: Found) -> None:
    """Out of fold, by clip, up to the one clip that a share of sixty cannot be cut at."""
    scores, threshold = found.calibration.clip_scores, found.calibration.known_threshold
    kept = (scores[found.right] >= threshold).mean()
    one = 1 / found.right.sum()
    assert KEPT_CORRECT - one <= kept <= KEPT_CORRECT + one
    assert 0 < found.calibration.threshold < 1
    assert (scores[~found.known] < threshold).mean() > 0.9


def test_scores_and_probabilities_are_what_they_must_be(found: Found) -> None:
    calibration, temperatures = found.calibration, found.calibration.temperatures
    assert calibration.clip_scores.shape == (76,)
    assert ((calibration.clip_scores >= 0) & (calibration.clip_scores <= 1)).all()
    assert temperatures.probabilities.shape == (76, 3)
    np.testing.assert_allclose(temperatures.probabilities.sum(axis=1), 1, atol=1e-5)
    mean = postprocess.calibrate(found.outputs[3].logits, temperatures.reading).mean(axis=0)
    expected = postprocess.calibrate_clip(mean, temperatures.file)
    np.testing.assert_allclose(temperatures.probabilities[3], expected, atol=1e-6)


def test_the_file_temperature_fits_the_clips(found: Found) -> None:
    temperatures = found.calibration.temperatures
    known = np.flatnonzero(found.known)
    targets = np.array([found.outputs[i].target for i in known])
    means = np.stack(
        [
            postprocess.calibrate(found.outputs[i].logits, temperatures.reading).mean(axis=0)
            for i in known
        ]
    )
    fitted = -np.log(temperatures.probabilities[known, targets]).mean()
    assert fitted <= -np.log(means[np.arange(len(known)), targets]).mean() + 1e-6


def inference_scores(found: Found, samples: list[Sample], fresh: list[Sample]) -> list[float]:
    """The mean OOD score of clips that nothing was fitted on, as the bundle would give it."""
    head = fit_head(samples, 3, RECIPE, toy.solved(samples, RECIPE))
    scores = []
    for one in fresh:
        windows = torch.from_numpy(inference_windows(one, RECIPE.ready_after))
        logits = torch.from_numpy(read_clip(head, one, RECIPE.ready_after))
        with torch.no_grad():
            score = found.ood(windows, logits)
        assert torch.isfinite(score).all()
        assert ((score >= 0) & (score <= 1)).all()
        scores.append(float(score.mean()))
    return scores


def test_the_score_tells_negatives_from_known_clips(found: Found, samples: list[Sample]) -> None:
    fresh = toy.clusters(15, negatives=15, spread=1.5, first=40, seed=9)
    scores = inference_scores(found, samples, fresh)
    assert area_under_roc(scores[:45], scores[45:]) > 0.9
    assert np.mean(np.array(scores[:45]) >= found.calibration.known_threshold) > 0.85


def test_without_negatives_it_still_works(samples: list[Sample]) -> None:
    """Nothing shows what "no known action" is; far from every class still scores lower."""
    known = toy.with_targets(samples)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = find(known)
        figures = held_out_figures(found.outputs, found.calibration)
    assert (figures["others"], figures["known_area"], figures["others_refused"]) == (0, None, None)
    kept = (found.calibration.clip_scores[found.right] >= found.calibration.known_threshold).mean()
    assert kept == pytest.approx(KEPT_CORRECT, abs=1 / found.right.sum())
    fresh = toy.clusters(15, negatives=15, spread=1.5, first=40, seed=9)
    scores = inference_scores(found, known, fresh)
    assert area_under_roc(scores[:45], scores[45:]) > 0.7


def test_wrong_answers_score_lower_than_right_ones() -> None:
    """Classes that run into each other: the score knows where."""
    found = find(toy.clusters(40, negatives=16, spread=5.0), seed=1)
    wrong = found.known & ~found.right
    assert wrong.sum() > 15
    scores = found.calibration.clip_scores
    assert area_under_roc(scores[found.right].tolist(), scores[wrong].tolist()) > 0.65


@pytest.mark.parametrize(
    ("kinds", "weights"),
    [
        ([RIGHT, RIGHT, WRONG, NEGATIVE, NEGATIVE], [0.25, 0.25, 0.25, 0.125, 0.125]),
        ([RIGHT, NEGATIVE, NEGATIVE], [0.5, 0.25, 0.25]),
        ([WRONG, WRONG, NEGATIVE], [0.125, 0.125, 0.25]),
    ],
)
def test_every_kind_of_clip_has_its_say(kinds: list[int], weights: list[float]) -> None:
    assert balanced(np.array(kinds)).tolist() == weights


def test_a_folds_clips_do_not_shape_their_own_ood_scores() -> None:
    """What a clip is called changes the scores of the other folds' clips, never its own fold's."""
    random = np.random.default_rng(3)
    rows = [random.normal(number % 3, 1.0, (4, 6)) for number in range(30)]
    kinds = np.array([number % 3 for number in range(30)])
    folds = np.array([number // 10 for number in range(30)])
    before = out_of_fold_scores(rows, kinds, folds)
    swapped = np.where(folds == 1, (kinds + 1) % 3, kinds)
    after = out_of_fold_scores(rows, swapped, folds)
    for fold, one, other in zip(folds, before, after, strict=True):
        assert np.array_equal(one, other) == (fold == 1)


def test_logistic_regression_is_at_its_minimum() -> None:
    """Small steps in any direction are no better, with classes that overlap or are apart."""
    random = np.random.default_rng(0)
    for gap in (0.5, 3.0, 50.0):
        goals = np.repeat([0.0, 1.0], 40)
        rows = random.normal(0, 1, (80, 3)) + gap * goals[:, None]
        weights = random.uniform(0.1, 1.0, 80) / 40
        weight, bias = fit_logistic(rows, goals, weights, penalty=1e-2)

        def loss(w: NDArray, b: float, rows: NDArray = rows, each: NDArray = weights) -> float:
            linear = rows @ w + b
            fit = np.logaddexp(0, linear) - np.repeat([0.0, 1.0], 40) * linear
            return float(each @ fit + 1e-2 * w @ w)

        least = loss(weight, bias)
        for _ in range(50):
            step = random.normal(0, 1e-3, 4)
            assert loss(weight + step[:3], bias + step[3]) >= least


def test_negatives_of_one_fold_only(samples: list[Sample]) -> None:
    """One group of negatives: the fold that holds it out has no example of them."""
    some = [one for one in samples if one.target is not None or one.clip.group == "None/450"]
    assert len(some) == 62
    found = find(some)
    assert np.isfinite(found.calibration.clip_scores).all()
    assert 0 <= found.calibration.known_threshold <= 1


def test_figures_are_those_of_the_outputs(found: Found) -> None:
    figures = held_out_figures(found.outputs, found.calibration)
    probabilities = found.calibration.temperatures.probabilities
    right = [
        int(probabilities[i].argmax() == found.outputs[i].target)
        for i in np.flatnonzero(found.known)
    ]
    assert figures["top1"] == pytest.approx(np.mean(right))
    assert figures["class_mean"] == pytest.approx(np.mean(right))  # twenty clips each
    assert figures["top1_interval"][0] <= figures["top1"] <= figures["top1_interval"][1]
    assert (figures["clips"], figures["others"]) == (60, 16)
    assert figures["known_area"] > 0.9
    assert figures["others_refused"] > 0.9

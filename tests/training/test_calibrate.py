"""Calibration: temperatures that are known, thresholds that keep what they say, outliers found."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
import toy
from numpy.typing import NDArray

from actionstream.evaluation.metrics import area_under_roc
from actionstream.inference import postprocess as decide
from actionstream.training.calibrate import (
    KEPT_CORRECT,
    OTHER,
    RIGHT,
    WRONG,
    Calibration,
    balanced,
    calibrate,
    fit_temperature,
)
from actionstream.training.card_fields import validation_figures
from actionstream.training.crossval import CrossValidation, cross_validate, read_clip
from actionstream.training.loop import fit_head
from actionstream.training.windows import Sample, served_windows

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
    return toy.clusters(20, others=16, spread=1.5)


@pytest.fixture(scope="module")
def validation(samples: list[Sample]) -> CrossValidation:
    return cross_validate(samples, 3, RECIPE, seed=1)


@pytest.fixture(scope="module")
def calibration(validation: CrossValidation) -> Calibration:
    return calibrate(validation, 3, RECIPE.ready_after)


def correct_clips(validation: CrossValidation, calibration: Calibration) -> np.ndarray:
    """Which clips are answered rightly out of fold, bool [C]."""
    said = calibration.probabilities.argmax(axis=1)
    return np.array(
        [one.sample.target == best for one, best in zip(validation.outputs, said, strict=True)]
    )


def test_the_thresholds_keep_the_stated_share(
    validation: CrossValidation, calibration: Calibration
) -> None:
    """Out of fold, by clip, up to the one clip that a share of sixty cannot be cut at."""
    known = np.array([one.sample.target is not None for one in validation.outputs])
    right = correct_clips(validation, calibration)
    kept = (calibration.clip_scores[right] >= calibration.known_threshold).mean()
    assert KEPT_CORRECT - 1 / right.sum() <= kept <= KEPT_CORRECT + 1 / right.sum()
    assert 0 < calibration.threshold < 1
    refused = (calibration.clip_scores[~known] < calibration.known_threshold).mean()
    assert refused > 0.9


def test_scores_and_probabilities_are_what_they_must_be(
    validation: CrossValidation, calibration: Calibration
) -> None:
    assert calibration.clip_scores.shape == (76,)
    assert ((calibration.clip_scores >= 0) & (calibration.clip_scores <= 1)).all()
    assert calibration.probabilities.shape == (76, 3)
    np.testing.assert_allclose(calibration.probabilities.sum(axis=1), 1, atol=1e-5)
    one = validation.outputs[3]
    mean = decide.calibrate(one.logits, calibration.temperature).mean(axis=0)
    np.testing.assert_allclose(
        calibration.probabilities[3],
        decide.calibrate_clip(mean, calibration.file_temperature),
        atol=1e-6,
    )


def test_the_file_temperature_fits_the_clips(
    validation: CrossValidation, calibration: Calibration
) -> None:
    known = [i for i, one in enumerate(validation.outputs) if one.sample.target is not None]
    targets = np.array([validation.outputs[i].sample.target for i in known])
    means = np.stack(
        [
            decide.calibrate(validation.outputs[i].logits, calibration.temperature).mean(axis=0)
            for i in known
        ]
    )
    fitted = -np.log(calibration.probabilities[known, targets]).mean()
    assert fitted <= -np.log(means[np.arange(len(known)), targets]).mean() + 1e-6


def served_scores(
    calibration: Calibration, samples: list[Sample], fresh: list[Sample]
) -> list[float]:
    """The mean known_score of clips that nothing was fitted on, as the bundle would serve it."""
    head = fit_head(samples, 3, RECIPE)
    scores = []
    for one in fresh:
        windows = torch.from_numpy(served_windows(one, RECIPE.ready_after))
        logits = torch.from_numpy(read_clip(head, one, RECIPE.ready_after))
        with torch.no_grad():
            score = calibration.known(windows, logits)
        assert torch.isfinite(score).all()
        assert ((score >= 0) & (score <= 1)).all()
        scores.append(float(score.mean()))
    return scores


def test_the_served_score_tells_outliers_from_known_clips(
    calibration: Calibration, samples: list[Sample]
) -> None:
    fresh = toy.clusters(15, others=15, spread=1.5, first=40, seed=9)
    scores = served_scores(calibration, samples, fresh)
    assert area_under_roc(scores[:45], scores[45:]) > 0.9
    assert np.mean(np.array(scores[:45]) >= calibration.known_threshold) > 0.85


def test_without_outliers_it_still_works(samples: list[Sample]) -> None:
    """Nothing shows what "no known action" is; far from every class still scores lower."""
    known = toy.with_targets(samples)
    validation = cross_validate(known, 3, RECIPE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calibration = calibrate(validation, 3, RECIPE.ready_after)
        figures = validation_figures(validation, calibration)
    assert (figures["others"], figures["known_area"], figures["others_refused"]) == (0, None, None)
    right = correct_clips(validation, calibration)
    kept = (calibration.clip_scores[right] >= calibration.known_threshold).mean()
    assert kept == pytest.approx(KEPT_CORRECT, abs=1 / right.sum())
    fresh = toy.clusters(15, others=15, spread=1.5, first=40, seed=9)
    scores = served_scores(calibration, known, fresh)
    assert area_under_roc(scores[:45], scores[45:]) > 0.7


def test_wrong_answers_score_lower_than_right_ones() -> None:
    """Classes that run into each other: the score knows where."""
    blurred = toy.clusters(40, others=16, spread=5.0)
    validation = cross_validate(blurred, 3, RECIPE, seed=1)
    calibration = calibrate(validation, 3, RECIPE.ready_after)
    known = np.array([one.sample.target is not None for one in validation.outputs])
    right = correct_clips(validation, calibration)
    assert (known & ~right).sum() > 15
    scores = calibration.clip_scores
    assert area_under_roc(scores[right].tolist(), scores[known & ~right].tolist()) > 0.65


@pytest.mark.parametrize(
    ("sides", "weights"),
    [
        ([RIGHT, RIGHT, WRONG, OTHER, OTHER], [0.25, 0.25, 0.25, 0.125, 0.125]),
        ([RIGHT, OTHER, OTHER], [0.5, 0.25, 0.25]),
        ([WRONG, WRONG, OTHER], [0.125, 0.125, 0.25]),
    ],
)
def test_every_kind_of_clip_has_its_say(sides: list[int], weights: list[float]) -> None:
    assert balanced(np.array(sides)).tolist() == weights


def test_outliers_of_one_fold_only(samples: list[Sample]) -> None:
    """One group of others: the fold that holds it out has no example of them."""
    some = [one for one in samples if one.target is not None or one.clip.group == "None/450"]
    assert len(some) == 62
    calibration = calibrate(cross_validate(some, 3, RECIPE), 3, RECIPE.ready_after)
    assert np.isfinite(calibration.clip_scores).all()
    assert 0 <= calibration.known_threshold <= 1


def test_figures_are_those_of_the_outputs(
    validation: CrossValidation, calibration: Calibration
) -> None:
    figures = validation_figures(validation, calibration)
    known = [i for i, one in enumerate(validation.outputs) if one.sample.target is not None]
    right = [
        int(calibration.probabilities[i].argmax() == validation.outputs[i].sample.target)
        for i in known
    ]
    assert figures["top1"] == pytest.approx(np.mean(right))
    assert figures["class_mean"] == pytest.approx(np.mean(right))  # twenty clips each
    assert figures["top1_interval"][0] <= figures["top1"] <= figures["top1_interval"][1]
    assert (figures["clips"], figures["others"]) == (60, 16)
    assert figures["known_area"] > 0.9
    assert figures["others_refused"] > 0.9

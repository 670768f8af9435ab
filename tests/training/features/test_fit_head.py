"""The training loop: the same under a seed, the same after a kill, and it learns what it should."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy
from cli_process import environment

from actionstream.errors import TrainingError
from actionstream.networks.heads import Head, build_head
from actionstream.training.common.checkpoint import load_checkpoint
from actionstream.training.common.loop import schedule
from actionstream.training.common.recipe import FeatureRecipe
from actionstream.training.common.windows import Sample, random_windows, read_clip
from actionstream.training.features.fit_head import fit_head

pytestmark = pytest.mark.torch

TESTS = Path(__file__).resolve().parent.parent.parent
SAMPLES = toy.clusters(negatives=4)


def fit(
    samples: Sequence[Sample] = SAMPLES, recipe: FeatureRecipe = toy.RECIPE, **more: Any
) -> Head:
    seed = more.pop("seed", 5)
    layers = toy.solved(samples, recipe, seed=seed)
    return fit_head(samples, 3, recipe, layers, seed=seed, **more)


def same(one: Head, other: Head) -> bool:
    left, right = one.state_dict(), other.state_dict()
    assert left.keys() == right.keys()
    return all(torch.equal(left[key], right[key]) for key in left)


@pytest.fixture(scope="module")
def unbroken() -> Head:
    return fit()


def test_the_same_seed_gives_the_same_head_bit_for_bit(unbroken: Head) -> None:
    torch.rand(7)  # what happened before does not matter
    assert same(unbroken, fit())
    assert not same(unbroken, fit(seed=6))
    assert not unbroken.training


class _StopError(Exception):
    """Ends a run after an epoch."""


def test_resumed_after_every_epoch_it_is_the_unbroken_run(unbroken: Head, tmp_path: Path) -> None:
    path = tmp_path / "head.ckpt"
    reports = []

    def stop(done: int, loss: float) -> None:
        reports.append(done)
        torch.rand(done)
        raise _StopError

    for _ in range(toy.RECIPE.epochs):
        with pytest.raises(_StopError):
            fit(checkpoint=path, on_epoch=stop)
    assert reports == list(range(1, 13))
    assert same(unbroken, fit(checkpoint=path, on_epoch=stop))  # nothing left to do
    assert [one.name for one in tmp_path.iterdir()] == ["head.ckpt"]


def test_a_killed_training_goes_on_to_the_same_head(unbroken: Head, tmp_path: Path) -> None:
    path = tmp_path / "head.ckpt"
    words = [sys.executable, TESTS / "training_to_kill.py", "fit", path]
    done = subprocess.run(
        words, env=environment(), capture_output=True, timeout=280, check=False, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    epochs: list[int] = []
    resumed = fit(checkpoint=path, on_epoch=lambda done, loss: epochs.append(done))
    assert 1 <= len(epochs) <= 8  # it was killed after epoch 4
    assert same(unbroken, resumed)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"recipe": replace(toy.RECIPE, epochs=13)}, "recipe"),
        ({"seed": 6}, "seed"),
        ({"samples": SAMPLES[:-1]}, "clips, features or labels"),
        ({"samples": toy.clusters(negatives=4, seed=1)}, "features or labels"),
        ({"samples": [replace(SAMPLES[0], target=2), *SAMPLES[1:]]}, "features or labels"),
        ({"start": build_head("mean", 6, 3)}, "start"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    changed: dict[str, Any], named: str, tmp_path: Path
) -> None:
    short = replace(toy.RECIPE, epochs=1)
    path = tmp_path / "head.ckpt"
    fit(recipe=short, checkpoint=path)
    with pytest.raises(TrainingError, match=f"another run \\(its {named} differ\\)"):
        fit(**{"recipe": short, **changed}, checkpoint=path)


def answers(head: Head, samples: Sequence[Sample], recipe: FeatureRecipe = toy.RECIPE) -> list[int]:
    """What the head says about each clip by the mean of its readings."""
    return [int(read_clip(head, one, recipe.ready_after).mean(axis=0).argmax()) for one in samples]


@pytest.mark.parametrize("name", ["lstm", "mean"])
def test_actions_that_are_apart_are_all_learned(name: str) -> None:
    options = toy.RECIPE.options if name == "lstm" else {}
    recipe = replace(toy.RECIPE, head=name, options=options, batch_size=4)
    losses: list[float] = []
    head = fit(recipe=recipe, on_epoch=lambda done, loss: losses.append(loss))
    fresh = toy.with_targets(toy.clusters(first=50, seed=3))
    assert answers(head, fresh) == [one.target for one in fresh]
    assert len(losses) == (recipe.epochs if name == "lstm" else 0)


def test_order_is_learned_by_the_lstm_and_is_nothing_to_the_mean() -> None:
    """Every clip of one action is one of the other played backwards."""
    pairs = toy.mirrored_pairs()
    recipe = replace(toy.RECIPE, ready_after=16, views=1, epochs=15)
    targets = np.array([one.target for one in pairs])
    right = {}
    for name, options in {"lstm": {"hidden": 8, "dropout": 0.0}, "mean": {}}.items():
        changed = replace(recipe, head=name, options=options)
        layers = toy.solved(pairs, changed, num_classes=2, seed=1)
        head = fit_head(pairs, 2, changed, layers, seed=1)
        logits = np.concatenate([read_clip(head, one, 16) for one in pairs])
        right[name] = float((logits.argmax(axis=1) == targets).mean())
        if name == "mean":
            np.testing.assert_allclose(logits[::2], logits[1::2], atol=1e-3)
    assert right["lstm"] == 1.0
    assert right["mean"] == pytest.approx(0.5, abs=0.1)


def largest(head: Head, samples: Sequence[Sample]) -> float:
    """Mean of the largest probability over all readings."""
    logits = torch.from_numpy(np.concatenate([read_clip(head, one, 4) for one in samples]))
    return float(logits.softmax(dim=1).amax(dim=1).mean())


def test_clips_of_no_known_action_are_pulled_to_uniform() -> None:
    samples = toy.clusters(negatives=8)
    recipe = replace(toy.RECIPE, outlier_weight=1.0, batch_size=4)
    fresh = [one for one in toy.clusters(negatives=8, first=50, seed=3) if one.target is None]
    pulled = fit(samples, recipe)
    ignored = fit(samples, replace(recipe, outlier_weight=0.0))
    assert largest(pulled, fresh) < largest(ignored, fresh) - 0.1  # uniform is 0.33
    known = toy.with_targets(samples)
    assert answers(pulled, known) == [one.target for one in known]


def test_a_start_is_taken_over_where_it_fits() -> None:
    """With a learning rate next to nothing the head stays where it started."""
    still = replace(toy.RECIPE, epochs=1, learning_rate=1e-12, weight_decay=0.0)
    start = fit()
    head = fit(recipe=still, start=start)
    for name, parameter in head.named_parameters():
        torch.testing.assert_close(parameter, start.get_parameter(name), atol=1e-6, rtol=0)
    other = build_head("lstm", 6, 5, **toy.RECIPE.options)
    partly = fit(recipe=still, start=other)
    assert torch.allclose(partly.get_parameter("lstm.weight_hh_l0"), other.lstm.weight_hh_l0)
    assert partly.get_parameter("linear.weight").shape == (3, 8)


def test_the_scale_is_that_of_the_known_clips() -> None:
    """`fit` sees windows of the training clips; clips of no action do not move the scale."""
    head = fit(recipe=replace(toy.RECIPE, epochs=1))
    known = toy.with_targets(SAMPLES)
    windows = random_windows(known, toy.RECIPE.ready_after, np.random.default_rng(5))
    expected = torch.from_numpy(windows).mean(dim=(0, 1))
    torch.testing.assert_close(head.front.get_buffer("mean"), expected)


def test_the_losses_of_a_toy_are_these() -> None:
    """Pinned: schedule, warm-up, order of the clips, windows and the loss itself all show here."""
    pairs = toy.mirrored_pairs(8)
    options = {"hidden": 8, "dropout": 0.1}
    recipe = replace(toy.RECIPE, ready_after=16, views=1, epochs=6, batch_size=4, options=options)
    layers = toy.solved(pairs, recipe, num_classes=2, seed=1)
    losses: list[float] = []
    fit_head(pairs, 2, recipe, layers, seed=1, on_epoch=lambda _, loss: losses.append(loss))
    expected = [0.68835, 0.62997, 0.55674, 0.49157, 0.45941, 0.45121]
    assert losses == pytest.approx(expected, abs=1e-4)


def test_the_rate_warms_up_and_falls_along_half_a_cosine() -> None:
    assert schedule(0.0) == 0.0
    assert schedule(0.025) == pytest.approx(0.5, abs=0.01)
    assert schedule(0.05) == pytest.approx(1.0, abs=0.01)
    assert schedule(0.5) == pytest.approx(0.5)
    assert schedule(1.0) == pytest.approx(0.0)


def test_the_head_is_the_average_of_the_weights_and_not_the_last_ones(tmp_path: Path) -> None:
    path = tmp_path / "head.ckpt"
    head = fit(checkpoint=path).state_dict()
    identity = torch.load(path, weights_only=True)["identity"]
    state = load_checkpoint(path, identity)
    assert all(torch.equal(head[key], state["average"][key]) for key in head)
    assert not torch.equal(head["linear.weight"], state["network"]["linear.weight"])


def test_torch_is_left_as_it_was() -> None:
    layers, short = toy.solved(SAMPLES), replace(toy.RECIPE, epochs=1)
    threads, random = torch.get_num_threads(), torch.get_rng_state()
    fit_head(SAMPLES, 3, short, layers)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), random)

"""Recipes: found by name, changed field by field, refused where they make no sense."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from actionstream.errors import TrainingError
from actionstream.inference.sampling import WINDOW
from actionstream.networks.encoders import ENCODERS
from actionstream.networks.heads import build_head
from actionstream.training.common.recipe import RECIPES, FeatureRecipe, find_recipe

pytestmark = pytest.mark.torch


def test_every_recipe_can_be_built() -> None:
    assert set(RECIPES) == {"lite2", "lite0", "classic"}
    for name, recipe in RECIPES.items():
        assert recipe.name == name
        assert recipe.encoder in ENCODERS
        head = build_head(recipe.head, 8, 3, **recipe.options)
        assert (head.feature_size, head.num_classes) == (8, 3)
        rule = recipe.rule
        assert rule.reset_after_seconds == pytest.approx((WINDOW - 1) * recipe.spacing_seconds)
        assert json.loads(json.dumps(recipe.facts()))["encoder"] == recipe.encoder


def test_fields_and_options_are_changed() -> None:
    changes = {"epochs": 3, "learning_rate": 1, "options.dropout": 0.2}
    recipe = find_recipe("lite0", changes)
    assert isinstance(recipe, FeatureRecipe)
    assert (recipe.epochs, recipe.learning_rate, recipe.head) == (3, 1.0, "lstm")
    assert isinstance(recipe.learning_rate, float)
    assert recipe.options == {**RECIPES["lite0"].options, "dropout": 0.2}
    assert "dropout" not in RECIPES["lite0"].options or recipe != RECIPES["lite0"]
    assert find_recipe("lite0") == RECIPES["lite0"]
    mean = find_recipe("lite0", {"head": "mean", "options.deviation": True})
    assert (mean.head, mean.options) == ("mean", {"deviation": True})


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("lite9", {}, "there is no recipe 'lite9'; there are lite2, lite0, classic"),
        ("lite0", {"epoch": 3}, "a recipe has no 'epoch'; it has name, encoder"),
        ("lite0", {"options": {}}, "a recipe has no 'options'"),
        ("classic", {"phases": []}, "a recipe has no 'phases'"),
        ("classic", {"options.normalise": "standard"}, "normalise='none' or 'l2'"),
        ("lite0", {"epochs": "many"}, "epochs must be of type int, got 'many'"),
        ("lite0", {"epochs": 2.5}, "epochs must be of type int, got 2.5"),
        ("lite0", {"epochs": 0}, "epochs of a recipe is at least 1, got 0"),
        ("lite0", {"folds": 1}, "folds of a recipe is at least 3, got 1"),
        ("lite0", {"folds": 2}, "folds of a recipe is at least 3, got 2"),
        ("lite0", {"smooth_tau_seconds": 0.0}, "smooth_tau_seconds of a recipe is at least 0.01"),
        ("lite0", {"views": 0}, "views of a recipe is at least 1, got 0"),
        ("lite0", {"ready_after": 17}, "ready_after of a recipe is 1 to 16, got 17"),
        ("lite0", {"spacing_seconds": -0.1}, "spacing_seconds of a recipe is 0.01 to 10"),
        ("lite0", {"label_smoothing": float("nan")}, "label_smoothing of a recipe is 0 to 1"),
    ],
)
def test_what_is_refused(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        find_recipe(name, changes)


def test_a_recipe_is_checked_however_it_is_made() -> None:
    with pytest.raises(TrainingError, match="batch_size of a recipe is at least 1"):
        replace(RECIPES["lite2"], batch_size=0)

"""Named recipes: everything that decides what a training run gives, in one value.

A recipe for stored features trains a head on a frozen encoder; `classic` trains the well-known
ResNet18 + LSTM end to end (see `actionstream.training.classic`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from actionstream.errors import TrainingError
from actionstream.inference.sampling import WINDOW

Option = int | float | bool | str


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a head is trained on the stored features of a frozen encoder.

    input_size:       side of the encoder's input in pixels; 0 for the one it was pretrained at.
    spacing_seconds, ready_after: the sampling rule's, as the card will carry them.
    views:            stored views a clip, the served one included.
    head, options:    networks.heads' name and constructor options.
    epochs, batch_size, learning_rate, weight_decay: of AdamW with one cosine cycle.
    label_smoothing:  as in torch's cross_entropy.
    outlier_weight:   weight of the clips with no known action, whose target is uniform
                      (Hendrycks et al. 2019, outlier exposure).
    penalty:          of the ridge regression that solves for the head's closed-form layers.
    average_decay:    per step, of the exponential average of weights that is kept.
    folds:            of the grouped cross-validation that calibrates and chooses; 3 or more.

    Raises:
        TrainingError: at birth, a number out of its range.
    """

    name: str
    encoder: str
    input_size: int = 0
    spacing_seconds: float = 0.18
    ready_after: int = 6
    views: int = 4
    window_fraction: float = 1.0
    head: str = "lstm"
    options: Mapping[str, Option] = field(default_factory=dict)
    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    label_smoothing: float = 0.0
    outlier_weight: float = 0.2
    penalty: float = 0.3
    average_decay: float = 0.99
    folds: int = 5
    smooth_tau_seconds: float = 0.6
    hold_seconds: float = 0.35
    switch_margin: float = 0.1

    def __post_init__(self) -> None:
        for key, (low, high) in _BOUNDS.items():
            value = getattr(self, key)
            if not low <= value <= high:
                allowed = f"at least {low:g}" if high == math.inf else f"{low:g} to {high:g}"
                raise TrainingError(f"{key} of a recipe is {allowed}, got {value!r}")

    def facts(self) -> dict[str, Any]:
        """The recipe as JSON-ready values, for cards, checkpoints and records."""
        return {**asdict(self), "options": dict(self.options)}


_BOUNDS: Mapping[str, tuple[float, float]] = {
    "input_size": (0, 1024),
    "spacing_seconds": (0.01, 10.0),
    "ready_after": (1, WINDOW),
    "views": (1, math.inf),
    "window_fraction": (0.1, 1.0),
    "epochs": (1, math.inf),
    "batch_size": (1, math.inf),
    "learning_rate": (0.0, math.inf),
    "weight_decay": (0.0, math.inf),
    "label_smoothing": (0.0, 1.0),
    "outlier_weight": (0.0, math.inf),
    "penalty": (1e-6, math.inf),
    "average_decay": (0.0, 1.0),
    "folds": (3, math.inf),  # without one, the others are divided again: see `cross_fit`
    "smooth_tau_seconds": (0.01, math.inf),
    "hold_seconds": (0.0, math.inf),
    "switch_margin": (0.0, 1.0),
}

_HEAD: Mapping[str, Option] = {
    "hidden": 32,
    "dropout": 0.3,
    "input_dropout": 0.2,
    "evidence": True,
    "differences": True,
    "deviation": True,
    "readout": "mean",
}
"""Chosen by grouped cross-validation; see docs/experiments.md."""

RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("lite2", "efficientnet_lite2_bands", options=_HEAD),
        Recipe("lite0", "efficientnet_lite0_bands", input_size=192, options=_HEAD),
    )
}
"""By name; `classic`, which trains on frames, is in `actionstream.training.finetune`."""


def find_recipe(name: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """The named recipe with some fields changed; `options.NAME` changes one option of the head.

    Another `head` starts with its own defaults.

    Raises:
        TrainingError: no such recipe or field, or a value of another kind.
    """
    if name not in RECIPES:
        raise TrainingError(f"there is no recipe {name!r}; there are {', '.join(RECIPES)}, classic")
    recipe = RECIPES[name]
    fields: dict[str, Any] = {}
    kept = (changes or {}).get("head", recipe.head) == recipe.head
    options = dict(recipe.options) if kept else {}
    for key, value in (changes or {}).items():
        if key.startswith("options."):
            options[key.removeprefix("options.")] = value
            continue
        if key not in recipe.facts() or key == "options":
            raise TrainingError(f"a recipe has no {key!r}; it has {', '.join(recipe.facts())}")
        kind = type(getattr(recipe, key))
        if not isinstance(value, kind) and not (kind is float and isinstance(value, int)):
            raise TrainingError(f"{key} must be of type {kind.__name__}, got {value!r}")
        fields[key] = kind(value)
    return replace(recipe, options=options, **fields)

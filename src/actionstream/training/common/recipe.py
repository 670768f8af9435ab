"""Named recipes: everything that decides what a training run gives, in one value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from actionstream.engines import Device
from actionstream.errors import TrainingError
from actionstream.inference.preprocess import Geometry
from actionstream.inference.sampling import WINDOW, SamplingRule
from actionstream.networks.heads import Option

CLASSIC_SIZE = 112
CLASSIC_SPACING_SECONDS = 0.4
"""The classic project spreads 16 frames over the whole clip; 16 looks 0.4 s apart span 6.4 s, about
the length of a UCF101 clip (7.2 s on average)."""

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
    "folds": (3, math.inf),  # without one fold, the others are divided again
    "validation_fraction": (0.01, 0.9),
    "smooth_tau_seconds": (0.01, math.inf),
    "hold_seconds": (0.0, math.inf),
    "switch_margin": (0.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What both ways of training share.

    encoder, input_size, window_fraction: which encoder and its geometry; input_size 0 is the one
                      it was pretrained at.
    spacing_seconds, ready_after: the sampling rule's, as the card will carry them.
    head, options:    networks.heads' name and constructor options.
    batch_size, weight_decay, label_smoothing: windows a step; of AdamW and of the cross-entropy.
    smooth_tau_seconds, hold_seconds, switch_margin: what is shown live, for the card.

    Raises:
        TrainingError: at birth, a number out of its range.
    """

    name: str
    encoder: str
    input_size: int = 0
    spacing_seconds: float = 0.18
    ready_after: int = 6
    window_fraction: float = 1.0
    head: str = "lstm"
    options: Mapping[str, Option] = field(default_factory=dict)
    batch_size: int = 64
    weight_decay: float = 0.1
    label_smoothing: float = 0.0
    smooth_tau_seconds: float = 0.6
    hold_seconds: float = 0.35
    switch_margin: float = 0.1

    def __post_init__(self) -> None:
        for key in _BOUNDS.keys() & self.facts().keys():
            (low, high), value = _BOUNDS[key], getattr(self, key)
            if not low <= value <= high:
                allowed = f"at least {low:g}" if high == math.inf else f"{low:g} to {high:g}"
                raise TrainingError(f"{key} of a recipe is {allowed}, got {value!r}")

    @property
    def rule(self) -> SamplingRule:
        """A stream is reset when its whole ring would be stale."""
        return SamplingRule(self.spacing_seconds, (WINDOW - 1) * self.spacing_seconds)

    def facts(self) -> dict[str, Any]:
        """The recipe as JSON-ready values, for cards, checkpoints and records."""
        return {**asdict(self), "options": dict(self.options)}


@dataclass(frozen=True, slots=True)
class FeatureRecipe(Recipe):
    """How a head is trained on the stored features of a frozen encoder.

    views:            stored views a clip, the plain one included.
    epochs, learning_rate: of AdamW with one cosine cycle.
    outlier_weight:   weight of the negatives, whose target is uniform (Hendrycks et al. 2019,
                      outlier exposure).
    penalty:          of the ridge regression that solves for the head's closed-form layers.
    average_decay:    per step, of the exponential average of weights that is kept.
    folds:            of the grouped cross-validation that calibrates and chooses; 3 or more.
    """

    views: int = 4
    epochs: int = 8
    learning_rate: float = 1e-3
    outlier_weight: float = 0.2
    penalty: float = 0.3
    average_decay: float = 0.99
    folds: int = 5


TrainedPart = Literal["none", "last_stage", "all"]


@dataclass(frozen=True, slots=True)
class Phase:
    """Epochs with one learning rate for the head and one for the encoder's `trains` part.

    Both fall to zero along half a cosine, after a short warm-up.
    """

    epochs: int
    learning_rate: float
    encoder_learning_rate: float = 0.0
    trains: TrainedPart = "none"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.learning_rate <= 0:
            raise TrainingError("a phase needs an epoch and a learning rate above 0")
        if (self.trains == "none") != (self.encoder_learning_rate == 0.0):
            raise TrainingError(
                "encoder_learning_rate is above 0 exactly when a part of the encoder trains, got "
                f"{self.encoder_learning_rate} with trains={self.trains!r}"
            )


@dataclass(frozen=True, slots=True)
class EndToEndRecipe(Recipe):
    """How encoder and head are trained together, from frames.

    phases:              one after the other; each starts its optimizer anew.
    augment:             draw a view (window, mirror, colors, speed, phase) for each clip and
                         epoch; without it every clip is seen as in inference.
    validation_fraction: of the training list, held out by group where the split has no
                         validation clips.
    """

    phases: tuple[Phase, ...] = ()
    augment: bool = True
    validation_fraction: float = 0.1

    def __post_init__(self) -> None:
        Recipe.__post_init__(self)  # super() does not know a class with slots
        if not self.phases:
            raise TrainingError("a recipe needs at least one phase")
        if self.options.get("normalise", "standard") == "standard":
            raise TrainingError(
                "the scale of a moving encoder's features cannot be fitted once: give the head "
                "the option normalise='none' or 'l2'"
            )

    @property
    def epochs(self) -> int:
        """Epochs of all phases."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.input_size, self.window_fraction)

    def phase_at(self, epoch: int) -> tuple[Phase, int]:
        """The phase of an epoch counted from 0, and which of the phase's epochs it is."""
        for phase in self.phases:
            if epoch < phase.epochs:
                return phase, epoch
            epoch -= phase.epochs
        raise ValueError(f"the recipe has {self.epochs} epochs")


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

CLASSIC = EndToEndRecipe(
    "classic",
    "resnet18",
    input_size=CLASSIC_SIZE,
    spacing_seconds=CLASSIC_SPACING_SECONDS,
    ready_after=4,
    options={"hidden": 256, "layers": 1, "dropout": 0.5, "normalise": "none", "direct": False},
    batch_size=16,
    weight_decay=1e-4,
    label_smoothing=0.1,
    smooth_tau_seconds=2 * CLASSIC_SPACING_SECONDS,
    hold_seconds=CLASSIC_SPACING_SECONDS,
    switch_margin=0.05,
    phases=(
        Phase(epochs=8, learning_rate=1e-3),
        Phase(epochs=12, learning_rate=3e-4, encoder_learning_rate=3e-5, trains="last_stage"),
    ),
)
"""ResNet18 (ImageNet) at 112 pixels, 16 looks, a one-layer LSTM of 256, dropout 0.5, linear; first
the head alone, then with the encoder's last stage at a tenth of its learning rate."""

RECIPES: dict[str, FeatureRecipe | EndToEndRecipe] = {
    recipe.name: recipe
    for recipe in (
        FeatureRecipe("lite2", "efficientnet_lite2_bands", options=_HEAD),
        FeatureRecipe("lite0", "efficientnet_lite0_bands", input_size=192, options=_HEAD),
        CLASSIC,
    )
}
"""By name, as `actionstream train --recipe` takes them."""


def find_recipe(
    name: str, changes: Mapping[str, Any] | None = None
) -> FeatureRecipe | EndToEndRecipe:
    """The named recipe with some fields changed; `options.NAME` changes one option of the head.

    Another `head` starts with its own defaults.

    Raises:
        TrainingError: no such recipe or field, or a value of another kind.
    """
    if name not in RECIPES:
        raise TrainingError(f"there is no recipe {name!r}; there are {', '.join(RECIPES)}")
    recipe = RECIPES[name]
    fields: dict[str, Any] = {}
    kept = (changes or {}).get("head", recipe.head) == recipe.head
    options = dict(recipe.options) if kept else {}
    for key, value in (changes or {}).items():
        if key.startswith("options."):
            options[key.removeprefix("options.")] = value
            continue
        if key not in recipe.facts() or key in ("options", "phases"):
            raise TrainingError(f"a recipe has no {key!r}; it has {', '.join(recipe.facts())}")
        kind = type(getattr(recipe, key))
        if not isinstance(value, kind) and not (kind is float and isinstance(value, int)):
            raise TrainingError(f"{key} must be of type {kind.__name__}, got {value!r}")
        fields[key] = kind(value)
    return replace(recipe, options=options, **fields)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a run lives and how it is done; nothing here changes what it gives but seed and init.

    folder: checkpoints, record and the bundle.   store: root of the feature stores.
    seed: of folds, first weights, order, windows and dropout; the stored views have their own.
    weights: ImageNet weights as a file, for encoders that would be downloaded.
    init: a bundle whose encoder (and head, where shapes fit) is started from.
    workers: threads that decode (and encode).   device: "cuda" only for training end to end.
    name: of the model, on its card.   command: for the card.
    """

    folder: Path
    store: Path
    seed: int = 0
    resume: bool = False
    weights: Path | None = None
    init: Path | None = None
    workers: int = 2
    device: Device = "cpu"
    name: str | None = None
    command: str = ""

    def check(self) -> None:
        """Raises:
        TrainingError: the folder holds a run, and `resume` is not set.
        """
        started = [*self.folder.glob("*.ckpt"), *self.folder.glob("folds/*.ckpt")]
        if started and not self.resume:
            raise TrainingError(
                f"{self.folder}: holds a run already; go on with --resume or choose another --out"
            )

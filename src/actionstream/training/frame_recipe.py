"""Recipes that train encoder and head together, from frames; `CLASSIC` is the well-known one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from actionstream.inference.preprocess import Geometry
from actionstream.inference.sampling import WINDOW, SamplingRule
from actionstream.networks.heads import Option
from actionstream.training.classic import CLASSIC_SIZE, CLASSIC_SPACING_SECONDS

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
            raise ValueError("a phase needs an epoch and a learning rate above 0")
        if (self.trains == "none") != (self.encoder_learning_rate == 0.0):
            raise ValueError(
                "encoder_learning_rate is above 0 exactly when a part of the encoder trains, got "
                f"{self.encoder_learning_rate} with trains={self.trains!r}"
            )


@dataclass(frozen=True, slots=True)
class FrameRecipe:
    """How encoder and head are trained from frames.

    encoder, input_size, window_fraction: which encoder, and the geometry it sees, as served.
    spacing_seconds, ready_after: the sampling rule's, as the card will carry them.
    head, options:       networks.heads' name and constructor options.
    phases:              one after the other; each starts its optimizer anew.
    batch_size:          windows of 16 looks a step.
    weight_decay, label_smoothing: of AdamW and of the cross-entropy.
    augment:             draw a view (window, mirror, colours, speed, phase) for each clip and
                         epoch; without it every clip is seen as it is served.
    validation_fraction: of the training list, held out by group where the split has no
                         validation side.
    """

    name: str
    encoder: str
    input_size: int
    spacing_seconds: float
    ready_after: int
    phases: tuple[Phase, ...]
    window_fraction: float = 1.0
    head: str = "lstm"
    options: Mapping[str, Option] = field(default_factory=dict)
    batch_size: int = 16
    weight_decay: float = 1e-4
    label_smoothing: float = 0.1
    augment: bool = True
    validation_fraction: float = 0.1
    smooth_tau_seconds: float = 2 * CLASSIC_SPACING_SECONDS
    hold_seconds: float = CLASSIC_SPACING_SECONDS
    switch_margin: float = 0.05

    def __post_init__(self) -> None:
        if not self.phases:
            raise ValueError("a recipe needs at least one phase")
        if self.options.get("normalise", "standard") == "standard":
            raise ValueError(
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

    @property
    def rule(self) -> SamplingRule:
        """A stream starts afresh when its whole ring would be stale."""
        return SamplingRule(self.spacing_seconds, (WINDOW - 1) * self.spacing_seconds)

    def phase_at(self, epoch: int) -> tuple[Phase, int]:
        """The phase of an epoch counted from 0, and which of the phase's epochs it is."""
        for phase in self.phases:
            if epoch < phase.epochs:
                return phase, epoch
            epoch -= phase.epochs
        raise ValueError(f"the recipe has {self.epochs} epochs")

    def facts(self) -> dict[str, Any]:
        """The recipe as JSON-ready values, for cards, checkpoints and records."""
        phases = [asdict(phase) for phase in self.phases]
        return {**asdict(self), "options": dict(self.options), "phases": phases}


CLASSIC = FrameRecipe(
    name="classic",
    encoder="resnet18",
    input_size=CLASSIC_SIZE,
    spacing_seconds=CLASSIC_SPACING_SECONDS,
    ready_after=4,
    options={"hidden": 256, "layers": 1, "dropout": 0.5, "normalise": "none", "direct": False},
    phases=(
        Phase(epochs=8, learning_rate=1e-3),
        Phase(epochs=12, learning_rate=3e-4, encoder_learning_rate=3e-5, trains="last_stage"),
    ),
)
"""ResNet18 (ImageNet) at 112 pixels, 16 looks, a one-layer LSTM of 256, dropout 0.5, linear; first
the head alone, then with the encoder's last stage at a tenth of its learning rate."""

FRAME_RECIPES: Mapping[str, FrameRecipe] = MappingProxyType({CLASSIC.name: CLASSIC})
"""By name, as `actionstream train --recipe` takes them."""

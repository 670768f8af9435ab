"""What inference needs of a model: its rules and its graphs. A bundle's card gives the rules, an
engine runs the graphs; nothing here knows either of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from actionstream.inference.pose import PoseNetworks
from actionstream.inference.postprocess import SmoothingRule
from actionstream.inference.preprocess import Geometry
from actionstream.inference.sampling import SamplingRule
from actionstream.results import Pixels

Features = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Rules:
    """All that decides an answer besides the weights.

    labels:           the actions, in the order of the probabilities.
    ready_after:      looks from which on there is an answer.
    temperature:      of single readings.
    file_temperature: of the mean over a clip.
    known_threshold:  mean known_score from which a clip has a label; that of what is shown at
        one moment is `smoothing.threshold`.
    pose:             whether a look also holds the person's pose, behind the picture's feature.
    """

    labels: tuple[str, ...]
    geometry: Geometry
    sampling: SamplingRule
    smoothing: SmoothingRule
    ready_after: int
    temperature: float
    file_temperature: float
    known_threshold: float
    pose: bool = False


class Graphs(Protocol):
    """The networks, without memory: see `actionstream.engines.Engine`."""

    @property
    def pose(self) -> PoseNetworks | None:
        """Those of the pose, where `Rules.pose` says that there are some."""
        ...

    def encode(self, images: Pixels) -> Features:
        """Pictures RGB uint8 [N, S, S, 3] to features float32 [N, D]."""
        ...

    def read(self, features: Features) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Windows float32 [B, 16, D] to logits [B, K] and known_score [B]."""
        ...

"""A model whose answers can be worked out by hand: it names the colour of what it sees.

A look's feature is the picture's mean colour. The head weighs the 16 looks 1, 2, ... 16 (the newest
counts most), and says how much of each colour that is; grey is no known action. It keeps the
engines' contract, so everything around it is the real thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actionstream.bundle.card import BUNDLE_FILES, Card
from actionstream.bundle.folder import Bundle
from actionstream.engines import EngineName, check_features, check_images
from actionstream.inference.preprocess import Geometry, fingerprint
from actionstream.inference.sampling import WINDOW
from actionstream.recognizer import Recognizer
from actionstream.results import Pixels

SIZE = 16
SHARPNESS = 6.0  # logits of a pure colour
LABELS = ("red", "green", "blue")
WEIGHTS = np.arange(1, WINDOW + 1, dtype=np.float64) / (WINDOW * (WINDOW + 1) / 2)
SPACING = 0.2
READY_AFTER = 4
RESET_AFTER = 2.0

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)


class TinyEngine:
    """Counts what it encodes: `encoded` is the number of pictures, `batches` their sizes."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    @property
    def encoded(self) -> int:
        return sum(self.batches)

    @property
    def name(self) -> EngineName:
        return "onnx"

    @property
    def device(self) -> str:
        return "cpu"

    def describe(self) -> str:
        return "tiny"

    def encode(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        check_images(images, SIZE)
        self.batches.append(len(images))
        return (images.mean(axis=(1, 2)) / 255).astype(np.float32)

    def read(
        self, features: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        check_features(features, 3)
        colour = np.einsum("bwd,w->bd", features.astype(np.float64), WEIGHTS)
        known = colour.max(axis=1) - colour.min(axis=1)
        return (SHARPNESS * colour).astype(np.float32), known.astype(np.float32)


def tiny_card() -> Card:
    geometry = Geometry(SIZE)
    return Card.model_validate(
        {
            "schema_version": 1,
            "name": "tiny",
            "labels": LABELS,
            "encoder": {"name": "mean colour", "feature_size": 3, "precision": "float32"},
            "head": {"name": "weighted", "options": {}},
            "geometry": {"input_size": SIZE, "window_fraction": 1.0},
            "spacing_seconds": SPACING,
            "ready_after": READY_AFTER,
            "reset_after_seconds": RESET_AFTER,
            "temperature": 1.5,
            "file_temperature": 0.8,
            "threshold": 0.4,
            "known_threshold": 0.55,
            "smooth_tau_seconds": 0.5,
            "hold_seconds": 0.3,
            "switch_margin": 0.05,
            "preprocessing_fingerprint": fingerprint(geometry, SPACING),
            "files": dict.fromkeys(BUNDLE_FILES, "0" * 64),
            "training": {
                "data": "none",
                "split": "none",
                "clips": 0,
                "clips_per_label": {},
                "no_action_clips": 0,
                "lists": "none",
                "comparable": False,
                "recipe": {},
                "command": "none",
            },
            "measured": {"figures": (), "per_class": {}},
            "limits": (),
            "versions": {},
            "licence": {"code": "MIT", "weights": "none", "data": "none"},
        }
    )


def tiny_model() -> Recognizer:
    return Recognizer(Bundle(Path("tiny"), tiny_card(), "0" * 12), TinyEngine())


def engine_of(model: Recognizer) -> TinyEngine:
    assert isinstance(model.engine, TinyEngine)
    return model.engine


def plain(colour: tuple[int, int, int], width: int = 32, height: int = 24) -> Pixels:
    """A picture of one colour, RGB uint8 [height, width, 3]."""
    return np.full((height, width, 3), colour, dtype=np.uint8)


def by_hand(seen: Sequence[tuple[int, int, int]]) -> tuple[list[float], float]:
    """Probabilities and OOD score of the newest 16 looks, the oldest repeated in front."""
    ring = list(seen[-WINDOW:])
    ring = [ring[0]] * (WINDOW - len(ring)) + ring
    colour = [
        sum(w * look[c] / 255 for w, look in zip(WEIGHTS, ring, strict=True)) for c in (0, 1, 2)
    ]
    powers = [float(np.exp(SHARPNESS * value / 1.5)) for value in colour]
    return [power / sum(powers) for power in powers], max(colour) - min(colour)

"""Small real bundles for tests: Lite0 at 64 pixels with its ImageNet weights, a small LSTM head.

Needs the extra `train`. Making one takes seconds, so each is made once a run and copied.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from actionstream.networks.encoders import Encoder, build_encoder
from actionstream.networks.ood import InferenceHead, OODScore
from actionstream.networks.ood import build_inference_head as build
from actionstream.training.common.export import export_bundle

SIZE = 64
LABELS = ("PushUps", "JumpRope", "Lunges")
OPTIONS: dict[str, Any] = {"hidden": 16, "differences": True, "known": "logistic"}


def pictures(count: int, size: int = SIZE, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Random pictures uint8 [N, S, S, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def card_fields(**changed: Any) -> dict[str, Any]:
    """What `export_bundle` needs of a card."""
    fields: dict[str, Any] = {
        "name": "small",
        "labels": list(LABELS),
        "spacing_seconds": 0.2,
        "ready_after": 4,
        "reset_after_seconds": 1.0,
        "temperature": 1.3,
        "file_temperature": 1.1,
        "threshold": 0.3,
        "known_threshold": 0.4,
        "smooth_tau_seconds": 0.5,
        "hold_seconds": 0.4,
        "switch_margin": 0.05,
        "training": {
            "data": "nothing",
            "split": "none",
            "clips": 3,
            "clips_per_label": dict.fromkeys(LABELS, 1),
            "no_action_clips": 2,
            "lists": "0123456789abcdef",
            "comparable": True,
            "recipe": {"epochs": 0},
            "command": "none",
        },
        "measured": {
            "figures": [
                {
                    "name": "top-1",
                    "value": 0.875,
                    "low": 0.8,
                    "high": 0.95,
                    "evaluated": 40,
                    "listed": 50,
                    "how": "made up for a test",
                }
            ],
            "per_class": {"PushUps": 0.5},
        },
        "limits": ["It was never trained."],
        "licence": {"code": "MIT", "weights": "none", "data": "none"},
    }
    return {**fields, **changed}


def fill_ood(known: OODScore, seed: int = 0) -> None:
    """Numbers that make every statistic count and keep the score away from 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    known.weight.copy_(torch.rand(known.weight.shape, generator=generator) * 0.4 - 0.2)
    known.class_means.copy_(torch.rand(known.class_means.shape, generator=generator))


@cache
def networks() -> tuple[Encoder, InferenceHead]:
    """The networks in the small bundle. Do not change them."""
    torch.manual_seed(3)
    encoder = build_encoder("efficientnet_lite0", input_size=SIZE)
    inference_head = build("lstm", encoder.spec.feature_size, len(LABELS), OPTIONS)
    inference_head.head.fit(torch.rand(40, 16, encoder.spec.feature_size))
    fill_ood(inference_head.known)
    return encoder, inference_head


@cache
def _made() -> Path:
    place = Path(tempfile.mkdtemp(prefix="small-bundle-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    folder = place / "small"
    encoder, inference_head = networks()
    export_bundle(
        folder,
        encoder=encoder,
        inference_head=inference_head,
        card_fields=card_fields(),
        check_frames=pictures(20),
    )
    return folder


def small_bundle(to: Path) -> Path:
    """A copy of the small bundle at `to`, which the caller may damage."""
    shutil.copytree(_made(), to)
    return to

"""The last checkpoint of a run: all that a bundle is made of, for `export` to make it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from actionstream.bundle.folder import Bundle
from actionstream.errors import TrainingError
from actionstream.networks.encoders import Encoder, build_encoder
from actionstream.networks.known import ServedHead, build_served_head
from actionstream.training.checkpoint import DAMAGE, load_checkpoint, save_checkpoint
from actionstream.training.export import export_bundle

_IDENTITY = {"kind": "final"}


def save_final(
    path: Path,
    encoder: Encoder,
    served: ServedHead,
    card_fields: Mapping[str, Any],
    check_frames: NDArray[np.uint8],
) -> None:
    """Write both networks, the card's fields and the frames on which an export is checked."""
    state = {
        "encoder": encoder.state_dict(),
        "encoder_name": encoder.spec.name,
        "input_size": encoder.input_size,
        "served": served.state_dict(),
        "head_name": served.head.name,
        "head_options": dict(served.options),
        "card_fields": json.dumps(card_fields),
        "check_frames": torch.from_numpy(check_frames),
    }
    save_checkpoint(path, state, _IDENTITY)


def export_checkpoint(path: Path, folder: Path, *, overwrite: bool = False) -> Bundle:
    """Write the bundle of a run's `final.ckpt`.

    Raises:
        TrainingError: not such a checkpoint, or ONNX and PyTorch differ.
        BundleError: the place is taken.
    """
    state = load_checkpoint(path, _IDENTITY)
    try:
        fields = json.loads(state["card_fields"])
        encoder = build_encoder(
            state["encoder_name"], pretrained=False, input_size=state["input_size"]
        )
        encoder.load_state_dict(state["encoder"])
        served = build_served_head(
            state["head_name"],
            encoder.spec.feature_size,
            len(fields["labels"]),
            state["head_options"],
        )
        served.load_state_dict(state["served"])
        check_frames = state["check_frames"].numpy()
    except DAMAGE as error:
        cause = f"{type(error).__name__}: {error}"
        raise TrainingError(f"{path}: not the final checkpoint of a run ({cause})") from None
    return export_bundle(
        folder,
        encoder=encoder.eval(),
        served_head=served.eval(),
        card_fields=fields,
        check_frames=check_frames,
        overwrite=overwrite,
    )

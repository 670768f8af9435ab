"""From PyTorch to a bundle: ONNX graphs, weights, card, and the proof that they agree.

A run's last checkpoint holds all that a bundle is made of, for `export` to make it again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

import actionstream
from actionstream.bundle import card as cards
from actionstream.bundle.card import Card
from actionstream.bundle.folder import Bundle, write_bundle
from actionstream.engines import check_images
from actionstream.engines.onnx import open_encoder, open_head
from actionstream.errors import TrainingError
from actionstream.inference.postprocess import calibrate
from actionstream.inference.preprocess import Geometry, fingerprint
from actionstream.inference.sampling import WINDOW
from actionstream.networks.encoders import Encoder, build_encoder
from actionstream.networks.ood import InferenceHead, build_inference_head
from actionstream.training.common.checkpoint import (
    DAMAGE,
    append_record,
    load_checkpoint,
    save_checkpoint,
)
from actionstream.training.common.onnx_export import export_encoder, export_head, frozen

LARGEST_DIFFERENCE = 1e-4
"""Between PyTorch and ONNX, of calibrated probabilities and of known_score."""

_FINAL = {"kind": "final"}

_log = logging.getLogger(__name__)


def export_bundle(
    folder: str | Path,
    *,
    encoder: Encoder,
    inference_head: InferenceHead,
    card_fields: Mapping[str, Any],
    check_frames: NDArray[np.uint8],
    overwrite: bool = False,
) -> Bundle:
    """Write a bundle, and prove that its ONNX graphs are the PyTorch networks.

    Args:
        folder: where the bundle shall be.
        encoder: with its trained weights.
        inference_head: head and OOD score; the head made by `build_head`.
        card_fields: the card as JSON-like values, without what follows from the networks, see
            `complete_fields`. `geometry` may be left out.
        check_frames: preprocessed frames uint8 [N, S, S, 3], N at least 1; both are compared on
            windows of 16 of them in their order.
        overwrite: replace a bundle that is there.

    Raises:
        TrainingError: ONNX and PyTorch differ by more than 1e-4, or the networks do not fit.
        BundleError: the card's fields are not as they must be, or the place is taken.
        FrameError: frames of another dtype or shape.
    """
    encoder, inference_head = frozen(encoder), frozen(inference_head)
    fields = complete_fields(card_fields, encoder, inference_head)

    def make_card(files: dict[str, str]) -> Card:
        return cards.parse(json.dumps({**fields, "files": files}), "the card's fields")

    def make(place: Path) -> None:
        export_encoder(encoder, place / "encoder.onnx")
        export_head(inference_head, place / "head.onnx")
        save_weights(inference_head, place / "weights.safetensors")
        by = largest_difference(encoder, inference_head, place, check_frames, fields["temperature"])
        if by > LARGEST_DIFFERENCE:
            raise TrainingError(
                f"{folder}: ONNX and PyTorch differ by {by:.2g} on {len(check_frames)} "
                f"frames, {LARGEST_DIFFERENCE:g} is allowed; nothing was written"
            )
        _log.info("ONNX and PyTorch differ by %.2g at most", by)

    check_images(check_frames, encoder.input_size)
    make_card(dict.fromkeys(cards.BUNDLE_FILES, "0" * 64))  # refused before the work
    return write_bundle(folder, make, make_card, overwrite=overwrite)


def complete_fields(
    given: Mapping[str, Any], encoder: Encoder, inference_head: InferenceHead
) -> dict[str, Any]:
    """The card's fields but for `files`: those given, and those that follow from the networks.

    Raises:
        TrainingError: a given field contradicts the networks.
    """
    spec, head = encoder.spec, inference_head.head
    window = dict(given.get("geometry", {})).get("window_fraction", spec.window_fraction)
    geometry = Geometry(encoder.input_size, window)
    follows = {
        "schema_version": cards.SCHEMA_VERSION,
        "encoder": {
            "name": spec.name,
            "feature_size": spec.feature_size,
            "precision": "float32",
        },
        "head": {"name": head.name, "options": inference_head.options},
        "geometry": {"input_size": encoder.input_size, "window_fraction": window},
        "preprocessing_fingerprint": fingerprint(geometry, given.get("spacing_seconds", 0.0)),
        "versions": library_versions(),
    }
    completed = {"input_size": encoder.input_size, **dict(given.get("geometry", {}))}
    stated = {**given, "geometry": {"window_fraction": window, **completed}}
    wrong = [key for key in follows if key in stated and stated[key] != follows[key]]
    if head.feature_size != spec.feature_size:
        wrong.append(f"a head for {head.feature_size} features on {spec.name}")
    if head.num_classes != len(given.get("labels", ())):
        wrong.append(f"{len(given.get('labels', ()))} labels for {head.num_classes} logits")
    if wrong:
        raise TrainingError(f"the card's fields contradict the networks: {', '.join(wrong)}")
    return {**given, **follows}


def library_versions() -> dict[str, str]:
    """What the bundle was made with."""
    names = ("torch", "timm", "onnx", "onnxscript", "onnxruntime", "numpy")
    versions = {name: metadata.version(name) for name in names}
    return {"actionstream": actionstream.__version__, **versions}


def save_weights(inference_head: InferenceHead, path: Path) -> None:
    """Write the head's tensors as `head.*` and `known.*`; the encoder's are in encoder.onnx."""
    save_file({key: value.contiguous() for key, value in inference_head.state_dict().items()}, path)
    path.chmod(0o644)  # safetensors leaves it readable by its owner alone


def largest_difference(
    encoder: Encoder,
    inference_head: InferenceHead,
    folder: Path,
    frames: NDArray[np.uint8],
    temperature: float,
) -> float:
    """Between a folder's ONNX files and networks on the CPU in evaluation mode, from frames to
    calibrated probabilities and known_score.
    """
    onnx_encoder = open_encoder(folder / "encoder.onnx")
    onnx_head = open_head(folder / "head.onnx")
    onnx_logits, onnx_known = onnx_head.read(_windows(onnx_encoder.encode(frames)))
    with torch.inference_mode():
        features = encoder(torch.from_numpy(frames)).numpy()
        logits, known = inference_head(torch.from_numpy(_windows(features)))
    gaps = (
        calibrate(onnx_logits, temperature) - calibrate(logits.numpy(), temperature),
        onnx_known - known.numpy(),
    )
    return max(float(np.nan_to_num(np.abs(gap), nan=np.inf).max()) for gap in gaps)


def _windows(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every window of 16 looks, the first one padded in front with its oldest look."""
    padded = np.concatenate([np.repeat(features[:1], WINDOW - 1, axis=0), features])
    return np.stack([padded[i : i + WINDOW] for i in range(len(features))])


def save_final(
    path: Path,
    encoder: Encoder,
    inference_head: InferenceHead,
    card_fields: Mapping[str, Any],
    check_frames: NDArray[np.uint8],
) -> None:
    """Write both networks, the card's fields and the frames on which an export is checked."""
    state = {
        "encoder": encoder.state_dict(),
        "encoder_name": encoder.spec.name,
        "input_size": encoder.input_size,
        "served": inference_head.state_dict(),
        "head_name": inference_head.head.name,
        "head_options": dict(inference_head.options),
        "card_fields": json.dumps(card_fields),
        "check_frames": torch.from_numpy(check_frames),
    }
    save_checkpoint(path, state, _FINAL)


def finish_run(
    folder: Path,
    encoder: Encoder,
    inference_head: InferenceHead,
    card_fields: Mapping[str, Any],
    check_frames: NDArray[np.uint8],
    record: Mapping[str, Any],
) -> Bundle:
    """A run's last steps: final.ckpt, the bundle, and the line in records.jsonl.

    Raises:
        TrainingError: ONNX and PyTorch differ.
    """
    final = folder / "final.ckpt"
    save_final(final, encoder, inference_head, card_fields, check_frames)
    bundle = export_checkpoint(final, folder / "bundle", overwrite=True)
    append_record(folder / "records.jsonl", {**record, "bundle": bundle.fingerprint})
    return bundle


def export_checkpoint(path: Path, folder: Path, *, overwrite: bool = False) -> Bundle:
    """Write the bundle of a run's `final.ckpt`.

    Raises:
        TrainingError: not such a checkpoint, or ONNX and PyTorch differ.
        BundleError: the place is taken.
    """
    state = load_checkpoint(path, _FINAL)
    try:
        fields = json.loads(state["card_fields"])
        encoder = build_encoder(
            state["encoder_name"], pretrained=False, input_size=state["input_size"]
        )
        encoder.load_state_dict(state["encoder"])
        inference_head = build_inference_head(
            state["head_name"],
            encoder.spec.feature_size,
            len(fields["labels"]),
            state["head_options"],
        )
        inference_head.load_state_dict(state["served"])
        check_frames = state["check_frames"].numpy()
    except DAMAGE as error:
        cause = f"{type(error).__name__}: {error}"
        raise TrainingError(f"{path}: not the final checkpoint of a run ({cause})") from None
    return export_bundle(
        folder,
        encoder=encoder.eval(),
        inference_head=inference_head.eval(),
        card_fields=fields,
        check_frames=check_frames,
        overwrite=overwrite,
    )

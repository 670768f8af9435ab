"""A training run on frames, from clips to a bundle: train, calibrate, export, record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actionstream.bundle.folder import Bundle
from actionstream.datasets.split import Clip, Split
from actionstream.datasets.leak import check_leaks
from actionstream.engines import Device
from actionstream.errors import TrainingError
from actionstream.networks.known import KnownScore, ServedHead
from actionstream.training.clip_frames import read_pictures
from actionstream.training.crossval import Report
from actionstream.training.export import export_bundle
from actionstream.training.final import save_final
from actionstream.training.frame_calibration import Output, fit, read_outputs
from actionstream.training.frame_card import card_fields
from actionstream.training.frame_loop import TrainedNetworks, train_frames
from actionstream.training.frame_recipe import CLASSIC, FRAME_RECIPES, FrameRecipe
from actionstream.training.records import append_record

__all__ = ["CLASSIC", "FRAME_RECIPES", "export_frames", "train_frames", "train_frames_command"]

CHECK_CLIPS = 4
"""Clips whose looks are what ONNX and PyTorch are compared on."""


def train_frames_command(
    split: Split,
    recipe_name: str,
    out_folder: Path,
    *,
    weights: Path | None = None,
    seed: int = 0,
    resume: bool = False,
    device: Device = "cpu",
    report: Report | None = None,
    others: Sequence[Clip] = (),
    workers: int = 2,
    command: str = "",
    name: str | None = None,
) -> Bundle:
    """What `actionstream train --recipe classic` does: train, calibrate, export, record.

    The bundle lies in `out_folder / "bundle"`, beside the checkpoints and `records.jsonl`.

    Args:
        recipe_name: a key of `FRAME_RECIPES`.
        weights: the encoder's ImageNet weights as a file; None downloads them.
        others: clips of "no known action": they set the thresholds and are not learned from.
        command: the command line, for the card.

    Raises:
        TrainingError: no such recipe, and what `train_frames` raises.
        LeakError, DatasetError: see `train_frames`.
    """
    if recipe_name not in FRAME_RECIPES:
        listed = ", ".join(FRAME_RECIPES)
        raise TrainingError(f"there is no frame recipe {recipe_name!r}; there are {listed}")
    recipe = FRAME_RECIPES[recipe_name]
    trained = train_frames(
        split,
        recipe,
        folder=out_folder,
        pretrained=weights or True,
        seed=seed,
        resume=resume,
        device=device,
        workers=workers,
        on_progress=report,
    )
    bundle = export_frames(
        trained,
        split,
        recipe,
        out_folder,
        others=others,
        name=name,
        command=command or f"actionstream train --recipe {recipe_name} --seed {seed}",
        start="the ImageNet weights of torchvision" if weights is None else weights.name,
        report=report,
    )
    record = {
        "kind": "train",
        "split": split.name,
        "seed": seed,
        "recipe": recipe.facts(),
        "losses": list(trained.losses),
        "validation": [one.model_dump() for one in bundle.card.measured.figures],
        "failed": trained.failed,
        "bundle": bundle.fingerprint,
    }
    append_record(out_folder / "records.jsonl", record)
    return bundle


def export_frames(
    trained: TrainedNetworks,
    split: Split,
    recipe: FrameRecipe,
    folder: Path,
    *,
    others: Sequence[Clip] = (),
    name: str | None = None,
    command: str = "",
    start: str = "",
    report: Report | None = None,
) -> Bundle:
    """Read the validation side, fit the temperatures, measure, and write `folder / "bundle"`, with
    `final.ckpt` beside it.

    `start` says in words which weights training started from.

    Raises:
        LeakError: a clip of `others` is on a side of the split, too.
        TrainingError: no validation clip could be read, or ONNX and PyTorch differ.
    """
    if others and not split.leaking:
        check_leaks({**split.subsets, "others": others})
    clips = [*trained.subsets.validation, *others]
    outputs = read_outputs(trained.encoder, trained.head, clips, recipe, report)
    known = [output for output in outputs if output.clip.label is not None]
    if not known:
        raise TrainingError(f"none of the {len(trained.subsets.validation)} validation clips reads")
    calibration = fit(known, split.labels, thresholds=len(known) < len(outputs))
    score = KnownScore("max_probability", trained.head.feature_size, len(split.labels)).eval()
    score.temperature.fill_(calibration.temperature)
    served = ServedHead(trained.head, score)
    fields = card_fields(trained, split, recipe, calibration, outputs, start=start)
    fields["name"] = name or f"{recipe.name}-{split.name}"
    fields["training"]["command"] = command
    frames = _check_frames(known, recipe)
    save_final(folder / "final.ckpt", trained.encoder, served, fields, frames)
    return export_bundle(
        folder / "bundle",
        encoder=trained.encoder,
        served_head=served,
        card_fields=fields,
        check_frames=frames,
        overwrite=True,
    )


def _check_frames(outputs: Sequence[Output], recipe: FrameRecipe) -> NDArray[np.uint8]:
    step = max(len(outputs) // CHECK_CLIPS, 1)
    clips = [output.clip for output in outputs[::step]][:CHECK_CLIPS]
    pictures = [read_pictures(clip, recipe.geometry, recipe.rule).images[:16] for clip in clips]
    return np.concatenate(pictures)

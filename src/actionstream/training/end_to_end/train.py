"""A training run end to end, from clips to a bundle: train, calibrate, export, record.

Encoder and head learn together from frames, in phases. The weights are those after the last epoch:
no clip chooses one, so the held-out clips may fit the temperatures and their figures are not
flattered.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from actionstream.bundle.folder import Bundle
from actionstream.datasets.folds import hold_out_groups
from actionstream.datasets.leak import check_leaks, join_groups_of
from actionstream.datasets.split import Clip, Split
from actionstream.errors import TrainingError, VideoError
from actionstream.networks.encoders import Encoder
from actionstream.networks.heads import Head
from actionstream.networks.ood import InferenceHead, OODScore
from actionstream.progress import Progress
from actionstream.training.common.calibrate import (
    Calibration,
    ClipOutput,
    fit_temperatures,
    fit_thresholds,
)
from actionstream.training.common.card import card_fields, held_out_figures, top1_figure
from actionstream.training.common.export import finish_run
from actionstream.training.common.looks import frames_to_check
from actionstream.training.common.recipe import EndToEndRecipe, Settings
from actionstream.training.common.windows import Features, Sample, read_clip
from actionstream.training.end_to_end.fit_networks import TrainedNetworks, train_networks
from actionstream.training.end_to_end.frames import read_pictures

ENCODED_AT_ONCE = 64

NEVER_SAYS_NONE = 'It never says "no known action": both thresholds are 0.'
TEST_UNREAD = "The test list was not read: `actionstream evaluate` measures on it."

_log = logging.getLogger(__name__)


def train(
    split: Split,
    negatives: Sequence[Clip],
    recipe: EndToEndRecipe,
    settings: Settings,
    progress: Progress,
) -> Bundle:
    """Train a bundle; it lies in `settings.folder / "bundle"`.

    Args:
        negatives: clips of no known action: they set the thresholds and are not learned from.

    Raises:
        TrainingError: the folder holds a run and `resume` is not set, or one of another recipe,
            seed, start or clip list; weights that are missing; a loss that is not finite; clips
            that cannot be read; ONNX and PyTorch differ.
        LeakError: clips of one origin in two subsets (not checked for a split that leaks).
        DatasetError: no clips can be held out.
    """
    settings.check()
    parts = hold_out(split, negatives, recipe, settings.seed)
    networks = train_networks(parts.train, split.labels, recipe, settings, progress)
    encoder, head = networks.encoder, networks.head
    held_out = [*parts.validation, *negatives]
    outputs = read_outputs(encoder, head, held_out, split.labels, recipe, progress)
    if not any(output.target is not None for output in outputs):
        raise TrainingError(f"none of the {len(parts.validation)} validation clips reads")
    ood, calibration = calibrate(head, outputs, thresholds=bool(negatives))
    record = {
        "kind": "train",
        "split": split.name,
        "seed": settings.seed,
        "recipe": recipe.facts(),
        "losses": networks.losses,
        "validation": held_out_figures(outputs, calibration),
        "failed": networks.failed,
    }
    return finish_run(
        settings.folder,
        encoder,
        InferenceHead(head, ood),
        _card(split, parts, networks, recipe, settings, calibration, outputs),
        frames_to_check([one.clip.path for one in outputs], recipe.geometry, recipe.rule),
        record,
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """The clips that train, and those that fit temperatures and measure."""

    train: tuple[Clip, ...]
    validation: tuple[Clip, ...]


def hold_out(split: Split, negatives: Sequence[Clip], recipe: EndToEndRecipe, seed: int) -> Parts:
    """The labelled training clips, and the split's validation clips or some held out by group.

    Raises:
        LeakError: clips of one origin in two subsets, the test clips and negatives included.
        DatasetError: nothing can be held out.
    """
    joined = join_groups_of(split)
    train = tuple(clip for clip in joined.train if clip.label is not None)
    validation = tuple(clip for clip in joined.validation if clip.label is not None)
    if not validation:
        stay, out = hold_out_groups(train, fraction=recipe.validation_fraction, seed=seed)
        validation = tuple(train[index] for index in out)
        train = tuple(train[index] for index in stay)
    if not split.leaking:
        subsets = {"train": train, "validation": validation, "test": joined.test}
        check_leaks({**subsets, "negatives": negatives})
    return Parts(train, validation)


def read_outputs(
    encoder: Encoder,
    head: Head,
    clips: Sequence[Clip],
    labels: Sequence[str],
    recipe: EndToEndRecipe,
    progress: Progress,
) -> list[ClipOutput]:
    """Logits at every reading that inference makes of the clips; those that cannot be read are
    left out with a warning.
    """
    outputs = []
    for done, clip in enumerate(clips, start=1):
        target = None if clip.label is None else labels.index(clip.label)
        try:
            sample = _encode(encoder, clip, target, recipe)
        except VideoError as error:
            _log.warning("left out: %s", error)
        else:
            outputs.append(ClipOutput(clip, target, read_clip(head, sample, recipe.ready_after)))
        progress(done, len(clips), "reading validation clips")
    return outputs


@torch.inference_mode()
def _encode(encoder: Encoder, clip: Clip, target: int | None, recipe: EndToEndRecipe) -> Sample:
    """The clip as a head reads it, its features as the feature store would keep them."""
    pictures = read_pictures(clip.path, recipe.geometry, recipe.rule)
    batches = torch.split(torch.from_numpy(pictures.images), ENCODED_AT_ONCE)
    looks = torch.cat([encoder(batch) for batch in batches]).numpy()
    features = Features(looks.astype(np.float16), pictures.filled)
    return Sample(clip, target, (features.ticks(),), features.ends())


def calibrate(
    head: Head, outputs: Sequence[ClipOutput], *, thresholds: bool
) -> tuple[OODScore, Calibration]:
    """Temperatures, and thresholds of the largest calibrated probability (0 unless wanted)."""
    temperatures = fit_temperatures(outputs)
    ood = OODScore("max_probability", head.feature_size, head.num_classes).eval()
    ood.temperature.fill_(temperatures.reading)
    scores = [_largest(output.logits / temperatures.reading) for output in outputs]
    found = fit_thresholds(outputs, temperatures, scores)
    if not thresholds:
        found = replace(found, threshold=0.0, known_threshold=0.0)
    return ood, found


def _largest(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """The largest probability of each row."""
    shares = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(1.0 / shares.sum(axis=1))


def _card(
    split: Split,
    parts: Parts,
    networks: TrainedNetworks,
    recipe: EndToEndRecipe,
    settings: Settings,
    calibration: Calibration,
    outputs: Sequence[ClipOutput],
) -> dict[str, Any]:
    learned = [clip for clip in parts.train if clip.stem not in networks.failed]
    negatives = [output.clip for output in outputs if output.target is None]
    how = "clips held out of the training list by group; they also set the temperatures"
    figures = held_out_figures(outputs, calibration)
    start = settings.weights.name if settings.weights else "the encoder's ImageNet weights"
    fields = card_fields(
        split,
        recipe,
        settings,
        calibration,
        learned=learned,
        negatives=negatives,
        figures=[top1_figure("validation top-1", figures, len(parts.validation), how)],
        limits=list(_limits(bool(negatives), len(networks.failed))),
        weights=f"it started from {start} under their licence",
    )
    fields["training"]["data"] += (
        f"; {len(parts.validation)} further clips held out by group for calibration"
    )
    return fields


def _limits(has_negatives: bool, failed: int) -> Iterator[str]:
    if not has_negatives:
        yield NEVER_SAYS_NONE
    if failed:
        yield f"{failed} training clips could not be read and were left out."
    yield TEST_UNREAD

"""A training run end to end, from clips to a bundle: train, calibrate, export, record.

Encoder and head learn together from frames, in phases. The weights are those after the last epoch:
no clip chooses one, so the held-out clips may fit the temperatures and their figures are not
flattered.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from actionstream.bundle.card import file_digest
from actionstream.bundle.folder import Bundle
from actionstream.datasets.folds import hold_out_groups
from actionstream.datasets.leak import check_leaks, join_groups_of
from actionstream.datasets.split import Clip, Split
from actionstream.engines import Device
from actionstream.errors import TrainingError, VideoError
from actionstream.networks.encoders import Encoder, build_encoder
from actionstream.networks.heads import Head, build_head
from actionstream.networks.known import KnownScore, ServedHead
from actionstream.progress import Progress
from actionstream.training.common.calibrate import (
    Calibration,
    ClipOutput,
    fit_temperatures,
    fit_thresholds,
)
from actionstream.training.common.card import card_fields, held_out_figures, top1_figure
from actionstream.training.common.checkpoint import append_record
from actionstream.training.common.determinism import deterministic
from actionstream.training.common.export import export_checkpoint, save_final
from actionstream.training.common.loop import TrainState, descend, load_if_there, run_epochs
from actionstream.training.common.recipe import EndToEndRecipe, Phase, Settings, TrainedPart
from actionstream.training.common.windows import Features, Sample, read_clip
from actionstream.training.end_to_end.frames import Batch, FrameLoader, read_pictures

CHECKPOINT_NAME = "frames.ckpt"
CHECK_CLIPS = 4
"""Clips whose looks are what ONNX and PyTorch are compared on."""
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
    fields = _card(split, parts, networks, recipe, settings, calibration, outputs)
    final = settings.folder / "final.ckpt"
    save_final(final, encoder, ServedHead(head, ood), fields, check_frames(outputs, recipe))
    bundle = export_checkpoint(final, settings.folder / "bundle", overwrite=True)
    record = {
        "kind": "train",
        "split": split.name,
        "seed": settings.seed,
        "recipe": recipe.facts(),
        "losses": networks.losses,
        "validation": held_out_figures(outputs, calibration),
        "failed": networks.failed,
        "bundle": bundle.fingerprint,
    }
    append_record(settings.folder / "records.jsonl", record)
    return bundle


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


@dataclass(frozen=True, slots=True, eq=False)
class TrainedNetworks:
    """What training gave, on the CPU and in evaluation mode.

    losses: mean training loss of every epoch.
    failed: training clips that could not be read: stem to cause.
    """

    encoder: Encoder
    head: Head
    losses: list[float]
    failed: dict[str, str]


class _Networks(nn.Module):
    """Encoder and head as one: windows uint8 [B, 16, S, S, 3] to logits [B, K]."""

    def __init__(self, encoder: Encoder, head: Head) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, windows: Tensor) -> Tensor:
        features = self.encoder(windows.flatten(0, 1))
        logits: Tensor = self.head(features.unflatten(0, windows.shape[:2]))
        return logits


def train_networks(
    clips: Sequence[Clip],
    labels: Sequence[str],
    recipe: EndToEndRecipe,
    settings: Settings,
    progress: Progress,
) -> TrainedNetworks:
    """Train encoder and head in the recipe's phases, or go on from the folder's checkpoint.

    Raises:
        TrainingError: a checkpoint of another run, weights that are missing, a loss that is not
            finite, no clip that could be read.
    """
    checkpoint = settings.folder / CHECKPOINT_NAME
    identity = {
        "recipe": recipe.facts(),
        "seed": settings.seed,
        "start": "imagenet" if settings.weights is None else _digest(settings.weights),
        "labels": list(labels),
        "clips": [clip.stem for clip in clips],
    }
    saved = load_if_there(checkpoint, identity)
    on_cuda = settings.device == "cuda"
    with (
        deterministic(threads=None, warn_only=on_cuda),  # CUDA has none for some of its sums
        FrameLoader(recipe, seed=settings.seed, workers=settings.workers) as loader,
    ):
        state = _start(len(labels), recipe, settings, saved)

        def train_epoch(_: np.random.Generator) -> float:
            return _train_epoch(state, clips, labels, recipe, settings.device, loader, progress)

        run_epochs(
            state,
            recipe.epochs,
            train_epoch,
            seed=settings.seed,
            checkpoint=checkpoint,
            identity=identity,
        )
    networks = state.network.cpu().eval()
    assert isinstance(networks, _Networks)
    return TrainedNetworks(networks.encoder, networks.head, state.losses, state.failed)


def _digest(weights: Path) -> str:
    return file_digest(weights) if weights.is_file() else str(weights)


def _start(
    num_classes: int, recipe: EndToEndRecipe, settings: Settings, saved: dict[str, Any] | None
) -> TrainState:
    torch.manual_seed(settings.seed)
    source = (settings.weights or True) if saved is None else False
    size = recipe.input_size or None
    encoder = build_encoder(recipe.encoder, pretrained=source, input_size=size)
    head = build_head(recipe.head, encoder.spec.feature_size, num_classes, **recipe.options)
    networks = _Networks(encoder, head).to(settings.device)
    last = 0 if saved is None else max(saved["epoch"] - 1, 0)
    phase, _ = recipe.phase_at(last)
    state = TrainState(networks, enter(phase, encoder, head, recipe))
    if saved is not None:
        state.restore(saved)
        _log.info("resumed after epoch %d of %d", state.epoch, recipe.epochs)
    return state


def enter(
    phase: Phase, encoder: Encoder, head: Head, recipe: EndToEndRecipe
) -> torch.optim.Optimizer:
    """Freeze and unfreeze as the phase wants, with a new optimizer."""
    encoder.requires_grad_(False)
    groups: list[dict[str, Any]] = [
        {"params": list(head.parameters()), "base": phase.learning_rate}
    ]
    for part in trained_modules(encoder, phase.trains):
        part.requires_grad_(True)
        groups.append({"params": list(part.parameters()), "base": phase.encoder_learning_rate})
    return torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)


def trained_modules(encoder: Encoder, part: TrainedPart) -> tuple[nn.Module, ...]:
    """The modules of an encoder that `part` names; together they hold its parameters."""
    if part == "none":
        return ()
    if part == "all":
        return (encoder.trunk,)
    if encoder.spec.name == "resnet18":
        return (encoder.trunk.get_submodule("layer4"),)
    blocks = encoder.trunk.get_submodule("blocks")
    last = [name for name, _ in blocks.named_children()][-1]
    trunk = encoder.trunk
    return (blocks.get_submodule(last), *map(trunk.get_submodule, ("conv_head", "bn2")))


def _train_epoch(
    state: TrainState,
    clips: Sequence[Clip],
    labels: Sequence[str],
    recipe: EndToEndRecipe,
    device: Device,
    loader: FrameLoader,
    progress: Progress,
) -> float:
    """One pass over the clips, a window each. The encoder's batch norms stay as they were learned:
    16 pictures of a few clips are too much alike to measure a mean and a variance on.
    """
    networks = state.network
    assert isinstance(networks, _Networks)
    phase, at = recipe.phase_at(state.epoch)
    if at == 0 and state.epoch > 0:
        state.optimizer = enter(phase, networks.encoder, networks.head, recipe)
    networks.encoder.eval()
    networks.head.train()
    steps = math.ceil(len(clips) / recipe.batch_size)
    losses, counts = [], []
    for step, batch in enumerate(loader.batches(clips, state.epoch)):
        state.failed.update({clip.stem: cause for clip, cause in batch.failed})
        if batch.clips:
            loss = _loss(networks, batch, labels, recipe, device)
            losses.append(descend(state, loss, (at + (step + 0.5) / steps) / phase.epochs))
            counts.append(len(batch.clips))
            what = f"epoch {state.epoch + 1} of {recipe.epochs}, loss {losses[-1]:.3f}"
            progress(state.epoch * steps + step + 1, recipe.epochs * steps, what)
    if not losses:
        raise TrainingError(
            f"none of the {len(clips)} training clips could be read, the first because: "
            f"{next(iter(state.failed.values()), 'there is none')}"
        )
    return float(np.average(losses, weights=counts))


def _loss(
    networks: nn.Module,
    batch: Batch,
    labels: Sequence[str],
    recipe: EndToEndRecipe,
    device: Device,
) -> Tensor:
    targets = torch.tensor([labels.index(str(clip.label)) for clip in batch.clips])
    windows = torch.from_numpy(batch.windows).to(device)
    with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
        logits = networks(windows)
    return functional.cross_entropy(
        logits.float(), targets.to(device), label_smoothing=recipe.label_smoothing
    )


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
) -> tuple[KnownScore, Calibration]:
    """Temperatures, and thresholds of the largest calibrated probability (0 unless wanted)."""
    temperatures = fit_temperatures(outputs)
    ood = KnownScore("max_probability", head.feature_size, head.num_classes).eval()
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
    fields = card_fields(
        split,
        recipe,
        settings,
        calibration,
        learned=learned,
        negatives=negatives,
        figures=[top1_figure("validation top-1", figures, len(parts.validation), how)],
        limits=list(_limits(bool(negatives), len(networks.failed))),
        weights=f"it started from {_start_in_words(settings)} under their licence",
    )
    fields["training"]["data"] += (
        f"; {len(parts.validation)} further clips held out by group for calibration"
    )
    return fields


def _start_in_words(settings: Settings) -> str:
    if settings.weights is not None:
        return settings.weights.name
    return "the encoder's ImageNet weights"


def _limits(has_negatives: bool, failed: int) -> Iterator[str]:
    if not has_negatives:
        yield NEVER_SAYS_NONE
    if failed:
        yield f"{failed} training clips could not be read and were left out."
    yield TEST_UNREAD


def check_frames(outputs: Sequence[ClipOutput], recipe: EndToEndRecipe) -> NDArray[np.uint8]:
    """The first looks of a few of the clips, uint8 [N, S, S, 3]."""
    step = max(len(outputs) // CHECK_CLIPS, 1)
    clips = [output.clip for output in outputs[::step]][:CHECK_CLIPS]
    pictures = [read_pictures(clip.path, recipe.geometry, recipe.rule) for clip in clips]
    return np.concatenate([one.images[:16] for one in pictures])

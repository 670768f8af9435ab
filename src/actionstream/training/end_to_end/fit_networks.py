"""Encoder and head trained together from frames, in phases, with a checkpoint after every epoch."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from actionstream.bundle.card import file_digest
from actionstream.datasets.split import Clip
from actionstream.engines import Device
from actionstream.errors import TrainingError
from actionstream.networks.encoders import Encoder, build_encoder
from actionstream.networks.heads import Head, build_head
from actionstream.progress import Progress
from actionstream.training.common.loop import (
    TrainState,
    descend,
    deterministic,
    load_if_there,
    run_epochs,
)
from actionstream.training.common.recipe import EndToEndRecipe, Phase, Settings, TrainedPart
from actionstream.training.end_to_end.frames import Batch, FrameLoader

CHECKPOINT_NAME = "frames.ckpt"

_log = logging.getLogger(__name__)


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

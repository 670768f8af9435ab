"""Train encoder and head together, end to end on frames: in phases, resumable after every epoch.

All randomness of an epoch comes from the seed and the epoch's number, so a run that was killed and
resumed gives the same weights as one that was not (on a CPU to the last bit).
The weights are those after the last epoch: no clip chooses one, so the validation side may fit the
temperatures and its figures are not flattered.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from actionstream.bundle.card import file_digest
from actionstream.datasets.split import Clip, Split
from actionstream.engines import Device
from actionstream.errors import TrainingError
from actionstream.networks.encoders import Encoder, build_encoder
from actionstream.networks.heads import Head, build_head
from actionstream.training.checkpoint import load_checkpoint, save_checkpoint
from actionstream.training.clip_frames import Batch, FrameLoader
from actionstream.training.crossval import Report
from actionstream.training.frame_phases import enter
from actionstream.training.frame_recipe import FrameRecipe
from actionstream.training.subsets import Sides, divide

CHECKPOINT_NAME = "frames.ckpt"
LARGEST_GRADIENT = 1.0
"""Norm to which gradients are clipped."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class TrainedNetworks:
    """What training gave, on the CPU and in evaluation mode.

    sides:  which clips were used for what.
    losses: mean training loss of every epoch.
    failed: training clips that could not be read: stem to cause.
    """

    encoder: Encoder
    head: Head
    sides: Sides
    losses: tuple[float, ...]
    failed: dict[str, str]


def train_frames(
    split: Split,
    recipe: FrameRecipe,
    *,
    folder: Path,
    pretrained: bool | Path = True,
    seed: int = 0,
    resume: bool = False,
    device: Device = "cpu",
    workers: int = 2,
    on_progress: Report | None = None,
) -> TrainedNetworks:
    """Train a recipe on the split's training clips; its test side is only guarded, never read.

    Args:
        split: clips without a label are left out.
        folder: holds the checkpoint, written after every epoch.
        pretrained: True for ImageNet weights from their source, a file of weights, False for
            random ones; unused where a checkpoint is resumed.
        seed: decides weights, order, views and windows.
        resume: go on from the folder's checkpoint, or start if there is none.
        device: "cuda" computes in mixed precision (bfloat16).
        workers: threads that decode; they do not change the result.
        on_progress: called after every batch.

    Raises:
        LeakError: clips of one origin in two subsets (not checked for a split that says it leaks).
        DatasetError: no validation side can be carved.
        TrainingError: the folder holds a run and `resume` is not set, or one of another recipe,
            seed, start or clip list; weights that are missing; a loss that is not finite; no clip
            that could be read.
    """
    sides = divide(split, fraction=recipe.validation_fraction, seed=seed)
    checkpoint = folder / CHECKPOINT_NAME
    if checkpoint.exists() and not resume:
        raise TrainingError(
            f"{folder}: holds a run already; go on with --resume or choose another folder"
        )
    identity = {
        "recipe": recipe.facts(),
        "seed": seed,
        "start": _start_name(pretrained),
        "labels": list(split.labels),
        "clips": [clip.stem for clip in sides.train],
    }
    saved = load_checkpoint(checkpoint, identity) if checkpoint.exists() else None
    run = _Run.start(recipe, len(split.labels), pretrained, seed, device, saved)
    with _repeatable(), FrameLoader(recipe, seed=seed, workers=workers) as loader:
        while run.epoch < recipe.epochs:
            _train_epoch(run, recipe, loader, sides.train, split.labels, seed, on_progress)
            save_checkpoint(checkpoint, run.state(), identity)
    return TrainedNetworks(
        run.encoder.cpu().eval(), run.head.cpu().eval(), sides, tuple(run.losses), run.failed
    )


def _start_name(pretrained: bool | Path) -> str:
    if isinstance(pretrained, Path):
        return file_digest(pretrained) if pretrained.is_file() else str(pretrained)
    return "imagenet" if pretrained else "random"


@dataclass(slots=True)
class _Run:
    """All that changes while training: what a checkpoint holds."""

    encoder: Encoder
    head: Head
    optimizer: torch.optim.Optimizer
    device: Device
    epoch: int = 0
    losses: list[float] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    @classmethod
    def start(
        cls,
        recipe: FrameRecipe,
        num_classes: int,
        pretrained: bool | Path,
        seed: int,
        device: Device,
        saved: dict[str, Any] | None,
    ) -> _Run:
        torch.manual_seed(seed)
        source = False if saved is not None else pretrained
        encoder = build_encoder(recipe.encoder, pretrained=source, input_size=recipe.input_size)
        head = build_head(recipe.head, encoder.spec.feature_size, num_classes, **recipe.options)
        encoder, head = encoder.to(device), head.to(device)
        phase, _ = recipe.phase_at(0)
        run = cls(encoder, head, enter(phase, encoder, head, recipe), device)
        if saved is not None:
            run.restore(saved, recipe)
        return run

    def state(self) -> dict[str, Any]:
        return {
            "encoder": self.encoder.state_dict(),
            "head": self.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "losses": self.losses,
            "failed": self.failed,
        }

    def restore(self, state: dict[str, Any], recipe: FrameRecipe) -> None:
        self.encoder.load_state_dict(state["encoder"])
        self.head.load_state_dict(state["head"])
        self.epoch, self.losses = state["epoch"], state["losses"]
        self.failed = state["failed"]
        phase, _ = recipe.phase_at(self.epoch - 1)
        self.optimizer = enter(phase, self.encoder, self.head, recipe)
        self.optimizer.load_state_dict(state["optimizer"])
        _log.info("resumed after epoch %d of %d", self.epoch, recipe.epochs)


def _train_epoch(
    run: _Run,
    recipe: FrameRecipe,
    loader: FrameLoader,
    clips: Sequence[Clip],
    labels: Sequence[str],
    seed: int,
    on_progress: Report | None,
) -> None:
    """One pass over the clips, a window each. The encoder's batch norms stay as they were learned:
    16 pictures of a few clips are too much alike to measure a mean and a variance on.
    """
    phase, at = recipe.phase_at(run.epoch)
    if at == 0 and run.epoch > 0:
        run.optimizer = enter(phase, run.encoder, run.head, recipe)
    torch.manual_seed(int(np.random.default_rng([seed, run.epoch, 1]).integers(2**31)))
    run.encoder.eval()
    run.head.train()
    steps = math.ceil(len(clips) / recipe.batch_size)
    losses, counts = [], []
    for step, batch in enumerate(loader.batches(clips, run.epoch)):
        run.failed.update({clip.stem: cause for clip, cause in batch.failed})
        if batch.clips:
            _set_rates(run.optimizer, (at + (step + 0.5) / steps) / phase.epochs)
            losses.append(_learn(run, batch, labels, recipe))
            counts.append(len(batch.clips))
        if on_progress is not None and losses:
            epoch = f"epoch {run.epoch + 1} of {recipe.epochs}"
            what = f"training on frames, {epoch}, loss {losses[-1]:.3f}"
            on_progress(what, run.epoch * steps + step + 1, recipe.epochs * steps)
    if not losses:
        raise TrainingError(
            f"none of the {len(clips)} training clips could be read, the first because: "
            f"{next(iter(run.failed.values()), 'there is none')}"
        )
    run.losses.append(float(np.average(losses, weights=counts)))
    run.epoch += 1


def _set_rates(optimizer: torch.optim.Optimizer, progress: float) -> None:
    """Linear warm-up over the first twentieth of a phase, then half a cosine to zero."""
    scale = min(progress / 0.05, 1.0) * 0.5 * (1.0 + math.cos(math.pi * progress))
    for group in optimizer.param_groups:
        group["lr"] = group["base"] * scale


def _learn(run: _Run, batch: Batch, labels: Sequence[str], recipe: FrameRecipe) -> float:
    targets = torch.tensor([labels.index(str(clip.label)) for clip in batch.clips])
    windows = torch.from_numpy(batch.windows).to(run.device)
    with torch.autocast(run.device, dtype=torch.bfloat16, enabled=run.device == "cuda"):
        logits = read_windows(run.encoder, run.head, windows)
    loss = functional.cross_entropy(
        logits.float(), targets.to(run.device), label_smoothing=recipe.label_smoothing
    )
    if not torch.isfinite(loss):
        raise TrainingError(f"the loss became {loss.item()} in epoch {run.epoch + 1}")
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    trained = [one for group in run.optimizer.param_groups for one in group["params"]]
    nn.utils.clip_grad_norm_(trained, LARGEST_GRADIENT)
    run.optimizer.step()
    return loss.item()


def read_windows(encoder: Encoder, head: Head, windows: Tensor) -> Tensor:
    """Windows uint8 [B, 16, S, S, 3] to logits [B, K], both networks at once."""
    features = encoder(windows.flatten(0, 1))
    logits: Tensor = head(features.unflatten(0, windows.shape[:2]))
    return logits


@contextlib.contextmanager
def _repeatable() -> Iterator[None]:
    """Deterministic algorithms, and no trying out of convolutions that may choose differently."""
    before = torch.are_deterministic_algorithms_enabled()
    tries = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True, warn_only=True)  # CUDA has none for some of its sums
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.backends.cudnn.benchmark = tries

"""The training loop of a head on stored features: deterministic, resumable after every epoch."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from actionstream.networks.heads import Head, build_head
from actionstream.training.checkpoint import load_checkpoint, save_checkpoint
from actionstream.training.recipe import Recipe
from actionstream.training.threads import one_thread
from actionstream.training.windows import Sample, random_windows

_log = logging.getLogger(__name__)

EpochReport = Callable[[int, int, float], None]
"""Called with (epochs done, in all, mean loss of the epoch)."""


@dataclass(slots=True)
class _Run:
    """All that changes while a head is trained: what a checkpoint holds."""

    head: Head
    average: Head
    optimizer: torch.optim.Optimizer
    random: np.random.Generator
    epoch: int = 0

    def state(self) -> dict[str, Any]:
        return {
            "head": self.head.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": json.dumps(self.random.bit_generator.state),
            "torch_random": torch.get_rng_state(),
            "epoch": self.epoch,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.head.load_state_dict(state["head"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.random.bit_generator.state = json.loads(state["random"])
        torch.set_rng_state(state["torch_random"])
        self.epoch = state["epoch"]


@one_thread()
def fit_head(
    samples: Sequence[Sample],
    num_classes: int,
    recipe: Recipe,
    *,
    seed: int = 0,
    checkpoint: Path | None = None,
    on_epoch: EpochReport | None = None,
    start: Head | None = None,
) -> Head:
    """Train a head from scratch, or go on from `checkpoint` if it is there.

    Args:
        samples: training clips; those without a target are pulled to the uniform distribution.
        num_classes: K.
        recipe: see `Recipe`.
        seed: decides weights, order and windows; the same seed gives the same head.
        checkpoint: file written after every epoch, and read first.
        on_epoch: progress.
        start: a trained head whose parameters are taken over where name and shape fit.

    Returns:
        The averaged head in evaluation mode.

    Raises:
        TrainingError: the checkpoint is damaged, or of another recipe, seed, clip list, encoder,
            labels or start.
    """
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    run = _start(samples, num_classes, recipe, seed, start)
    identity = {
        "recipe": recipe.facts(),
        "seed": seed,
        "clips": [sample.clip.stem for sample in samples],
        "features or labels": _features_digest(samples, num_classes),
        "start": None if start is None else _parameters_digest(start),
    }
    if checkpoint is not None and checkpoint.exists():
        run.restore(load_checkpoint(checkpoint, identity))
        _log.info("resumed %s after epoch %d", checkpoint, run.epoch)
    while run.epoch < recipe.epochs:
        loss = _epoch(run, samples, num_classes, recipe)
        run.epoch += 1
        if checkpoint is not None:
            save_checkpoint(checkpoint, run.state(), identity)
        if on_epoch is not None:
            on_epoch(run.epoch, recipe.epochs, loss)
    return run.average.eval()


def _features_digest(samples: Sequence[Sample], num_classes: int) -> str:
    """Of the labels and of each view's length and first look: another encoder changes them."""
    digest = hashlib.sha256(str(num_classes).encode())
    for sample in samples:
        digest.update(f"{sample.target}".encode())
        for view in sample.views:
            digest.update(f"{view.shape}".encode() + view[:1].tobytes())
    return digest.hexdigest()


def _parameters_digest(head: Head) -> str:
    digest = hashlib.sha256()
    for name, value in head.named_parameters():
        digest.update(name.encode() + value.detach().numpy().tobytes())
    return digest.hexdigest()


def _start(
    samples: Sequence[Sample], num_classes: int, recipe: Recipe, seed: int, start: Head | None
) -> _Run:
    feature_size = samples[0].views[0].shape[1]
    head = build_head(recipe.head, feature_size, num_classes, **recipe.options)
    random = np.random.default_rng(seed)
    known = [sample for sample in samples if sample.target is not None]
    head.fit(torch.from_numpy(random_windows(known, recipe.ready_after, random)))
    if start is not None:
        _take_over(head, start)
    optimizer = torch.optim.AdamW(
        head.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    return _Run(head, copy.deepcopy(head).eval(), optimizer, random)


@torch.no_grad()
def _take_over(head: Head, start: Head) -> None:
    """Copy the parameters that fit; the scale of the features stays that of the new clips."""
    given = dict(start.named_parameters())
    for name, parameter in head.named_parameters():
        if name in given and given[name].shape == parameter.shape:
            parameter.copy_(given[name])


def _epoch(run: _Run, samples: Sequence[Sample], num_classes: int, recipe: Recipe) -> float:
    """One pass over the clips, one window each; returns the mean loss."""
    run.head.train()
    order = run.random.permutation(len(samples))
    steps = math.ceil(len(order) / recipe.batch_size)
    losses = []
    for step in range(steps):
        batch = [samples[i] for i in order[step * recipe.batch_size :][: recipe.batch_size]]
        progress = (run.epoch + step / steps) / recipe.epochs
        for group in run.optimizer.param_groups:
            group["lr"] = recipe.learning_rate * _schedule(progress)
        features = torch.from_numpy(random_windows(batch, recipe.ready_after, run.random))
        loss = _loss(run.head(features), batch, num_classes, recipe)
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(run.head.parameters(), 1.0)
        run.optimizer.step()
        _average(run, recipe.average_decay, run.epoch * steps + step)
        losses.append(loss.item())
    return float(np.mean(losses))


def _schedule(progress: float) -> float:
    """Linear warm-up over the first twentieth, then half a cosine to zero."""
    return min(progress / 0.05, 1.0) * 0.5 * (1.0 + math.cos(math.pi * progress)) + 1e-4


def _loss(logits: Tensor, batch: Sequence[Sample], num_classes: int, recipe: Recipe) -> Tensor:
    uniform = torch.full((num_classes,), 1.0 / num_classes)
    keep = 1.0 - recipe.label_smoothing
    targets, weights = [], []
    for sample in batch:
        if sample.target is None:
            targets.append(uniform)
            weights.append(recipe.outlier_weight)
        else:
            hot = functional.one_hot(torch.tensor(sample.target), num_classes)
            targets.append(hot * keep + uniform * recipe.label_smoothing)
            weights.append(1.0)
    each = functional.cross_entropy(logits, torch.stack(targets), reduction="none")
    scale = torch.tensor(weights)
    return (each * scale).sum() / scale.sum()


@torch.no_grad()
def _average(run: _Run, decay: float, step: int) -> None:
    """Exponential average of the weights; early steps count more so that it starts unbiased."""
    rate = min(decay, (1.0 + step) / (10.0 + step))
    for kept, new in zip(run.average.parameters(), run.head.parameters(), strict=True):
        kept.lerp_(new, 1.0 - rate)

"""The training of a head on stored features: deterministic, resumable after every epoch.

The layers with a closed form are solved for first (see `actionstream.training.closed_form`). The
LSTM then learns, by gradient descent, what to add to the direct path; for a clip it is shown what
layers say that never saw its group, since on clips that they were fitted on they leave nothing to
learn.
"""

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
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from actionstream.networks.heads import Head, LSTMHead, build_head
from actionstream.training.checkpoint import load_checkpoint, save_checkpoint
from actionstream.training.closed_form import HeadFits, Sums, fit_closed_form
from actionstream.training.recipe import Recipe
from actionstream.training.threads import one_thread
from actionstream.training.windows import Sample, random_windows

_log = logging.getLogger(__name__)

EpochReport = Callable[[int, int, float], None]
"""Called with (epochs done, in all, mean loss of the epoch)."""


@dataclass(slots=True)
class _Run:
    """All that changes while a head is trained: what a checkpoint holds.

    optimizer: None where nothing is left to learn by gradient descent.
    """

    head: Head
    average: Head
    optimizer: torch.optim.Optimizer | None
    random: np.random.Generator
    epoch: int = 0

    def state(self) -> dict[str, Any]:
        return {
            "head": self.head.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": {} if self.optimizer is None else self.optimizer.state_dict(),
            "random": json.dumps(self.random.bit_generator.state),
            "torch_random": torch.get_rng_state(),
            "epoch": self.epoch,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.head.load_state_dict(state["head"])
        self.average.load_state_dict(state["average"])
        if self.optimizer is not None:
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
    sums: Sums | None = None,
) -> Head:
    """Train a head from scratch, or go on from `checkpoint` if it is there.

    Args:
        samples: training clips; those without a target are pulled to the uniform distribution.
        num_classes: K.
        recipe: see `Recipe`.
        seed: decides weights, order and windows; the same seed gives the same head.
        checkpoint: file written after every epoch, and read first.
        on_epoch: progress.
        start: a trained head whose LSTM is taken over where name and shape fit.
        sums: gives what `fit_closed_form` takes, where somebody has it.

    Returns:
        The averaged head in evaluation mode.

    Raises:
        TrainingError: the checkpoint is damaged, or of another recipe, seed, clip list, encoder,
            labels or start; or classes that cannot be dealt into folds.
    """
    torch.use_deterministic_algorithms(True)
    identity = {
        "recipe": recipe.facts(),
        "seed": seed,
        "clips": [sample.clip.stem for sample in samples],
        "features or labels": _features_digest(samples, num_classes),
        "start": None if start is None else _parameters_digest(start),
    }
    resumed = None
    if checkpoint is not None and checkpoint.exists():
        resumed = load_checkpoint(checkpoint, identity)
        _log.info("resuming %s", checkpoint)
    unfinished = resumed is None or resumed["epoch"] < recipe.epochs
    taken = sums() if sums is not None and unfinished else None
    torch.manual_seed(seed)  # after the sums, which draw numbers where they are taken first
    head = build_head(recipe.head, samples[0].views[0].shape[1], num_classes, **recipe.options)
    _add_nothing(head)
    if start is not None:
        _take_over(head, start)
    fits = None
    if unfinished:
        fits = fit_closed_form(head, samples, recipe, seed=seed, sums=taken)
    run = _start(head, samples, recipe, seed, fits)
    if resumed is not None:
        run.restore(resumed)
    while run.epoch < _epochs(head, recipe):
        loss = _epoch(run, samples, num_classes, recipe, fits)
        run.epoch += 1
        if checkpoint is not None:
            save_checkpoint(checkpoint, run.state(), identity)
        if on_epoch is not None:
            on_epoch(run.epoch, recipe.epochs, loss)
    return run.average.eval()


def _epochs(head: Head, recipe: Recipe) -> int:
    """A head that is a direct path alone needs none."""
    return recipe.epochs if isinstance(head, LSTMHead) else 0


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
    head: Head,
    samples: Sequence[Sample],
    recipe: Recipe,
    seed: int,
    fits: HeadFits | None,
) -> _Run:
    random = np.random.default_rng(seed)
    if not isinstance(head, LSTMHead):
        return _Run(head, head, None, random)
    known = np.flatnonzero([sample.target is not None for sample in samples])
    windows = random_windows([samples[int(i)] for i in known], recipe.ready_after, random)
    head.fit(_evidence(head, torch.from_numpy(windows), known, fits))
    optimizer = torch.optim.AdamW(
        _learnt(head), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    return _Run(head, copy.deepcopy(head).eval(), optimizer, random)


def _add_nothing(head: Head) -> None:
    """Let the LSTM begin with nothing to add to the direct path."""
    if isinstance(head, LSTMHead) and head.direct is not None:
        nn.init.zeros_(head.linear.weight)
        nn.init.zeros_(head.linear.bias)


def _learnt(head: Head) -> list[nn.Parameter]:
    """What gradient descent learns: all but what has a closed form."""
    solved = ("direct.", "evidence.")
    return [p for name, p in head.named_parameters() if not name.startswith(solved)]


@torch.no_grad()
def _take_over(head: Head, start: Head) -> None:
    """Copy the parameters that fit; scale and closed-form layers become those of the clips."""
    given = dict(start.named_parameters())
    for name, parameter in head.named_parameters():
        if name in given and given[name].shape == parameter.shape:
            parameter.copy_(given[name])


def _epoch(
    run: _Run,
    samples: Sequence[Sample],
    num_classes: int,
    recipe: Recipe,
    fits: HeadFits | None,
) -> float:
    """One pass over the clips, one window each; returns the mean loss."""
    assert run.optimizer is not None
    run.head.train()
    order = run.random.permutation(len(samples))
    steps = math.ceil(len(order) / recipe.batch_size)
    losses = []
    for step in range(steps):
        positions = order[step * recipe.batch_size :][: recipe.batch_size]
        batch = [samples[position] for position in positions]
        progress = (run.epoch + step / steps) / recipe.epochs
        for group in run.optimizer.param_groups:
            group["lr"] = recipe.learning_rate * _schedule(progress)
        features = torch.from_numpy(random_windows(batch, recipe.ready_after, run.random))
        logits = _held_out_logits(run.head, features, positions, fits)
        loss = _loss(logits, batch, num_classes, recipe)
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(_learnt(run.head), 1.0)
        run.optimizer.step()
        _average(run, recipe.average_decay, run.epoch * steps + step)
        losses.append(loss.item())
    return float(np.mean(losses))


def _held_out_logits(
    head: Head, features: Tensor, positions: NDArray[np.int64], fits: HeadFits | None
) -> Tensor:
    """The head's logits, with closed-form layers that never saw the clips' fold."""
    assert isinstance(head, LSTMHead)
    logits = head.read_order(_evidence(head, features, positions, fits))
    if fits is None or fits.direct is None or head.summary is None:
        return logits
    folds = fits.fold_of[torch.from_numpy(positions)]
    with torch.no_grad():
        direct = fits.direct.read_held_out(head.summary(features), folds)
    return logits + direct


@torch.no_grad()
def _evidence(
    head: LSTMHead, features: Tensor, positions: NDArray[np.int64], fits: HeadFits | None
) -> Tensor:
    """What the LSTM reads of windows of the samples at these positions."""
    if fits is None or fits.evidence is None:
        return head.read_evidence(features)
    folds = fits.fold_of[torch.from_numpy(positions)]
    return fits.evidence.read_held_out(head.widen(features), folds)


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
    for kept, new in zip(_learnt(run.average), _learnt(run.head), strict=True):
        kept.lerp_(new, 1.0 - rate)

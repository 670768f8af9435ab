"""One head on stored features: closed-form layers are given, the LSTM learns what to add to them.

For a clip the LSTM is shown what layers say that never saw the clip's fold, since on clips that
they were fitted on they leave nothing to learn.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from actionstream.networks.heads import Head, LSTMHead, build_head
from actionstream.training.common.loop import (
    EpochReport,
    TrainState,
    descend,
    deterministic,
    load_if_there,
    run_epochs,
)
from actionstream.training.common.recipe import FeatureRecipe
from actionstream.training.common.windows import Sample, random_windows
from actionstream.training.features.closed_form import HeadLayers


@deterministic()
def fit_head(
    samples: Sequence[Sample],
    num_classes: int,
    recipe: FeatureRecipe,
    layers: HeadLayers,
    *,
    seed: int = 0,
    checkpoint: Path | None = None,
    on_epoch: EpochReport | None = None,
    start: Head | None = None,
) -> Head:
    """Train a head from scratch, or go on from `checkpoint` if it is there.

    Args:
        samples: training clips; negatives are pulled to the uniform distribution.
        layers: its closed-form layers, solved for on these samples.
        seed: decides weights, order and windows; the same seed gives the same head.
        checkpoint: file written after every epoch, and read first.
        start: a trained head whose LSTM is taken over where name and shape fit.

    Returns:
        The averaged head in evaluation mode.

    Raises:
        TrainingError: the checkpoint is damaged, or of another recipe, seed, clip list, encoder,
            labels or start.
    """
    torch.manual_seed(seed)
    head = build_head(recipe.head, samples[0].views[0].shape[1], num_classes, **recipe.options)
    layers.put_into(head)
    if not isinstance(head, LSTMHead):
        return head.eval()  # a direct path alone: nothing is left to learn
    state = _begin(head, samples, recipe, layers, seed=seed, start=start)
    identity = run_identity(samples, num_classes, recipe, seed=seed, start=start)
    saved = load_if_there(checkpoint, identity)
    if saved is not None:
        state.restore(saved)

    run_epochs(
        state,
        recipe.epochs,
        lambda random: _train_epoch(state, samples, recipe, layers, random),
        seed=seed,
        checkpoint=checkpoint,
        identity=identity,
        on_epoch=on_epoch,
    )
    assert isinstance(state.average, Head)
    return state.average.eval()


def run_identity(
    samples: Sequence[Sample],
    num_classes: int,
    recipe: FeatureRecipe,
    *,
    seed: int,
    start: Head | None = None,
) -> dict[str, Any]:
    """What tells a checkpoint of this run from those of others."""
    return {
        "recipe": recipe.facts(),
        "seed": seed,
        "clips": [sample.clip.stem for sample in samples],
        "features or labels": _features_digest(samples, num_classes),
        "start": None if start is None else _parameters_digest(start),
    }


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


def _begin(
    head: LSTMHead,
    samples: Sequence[Sample],
    recipe: FeatureRecipe,
    layers: HeadLayers,
    *,
    seed: int,
    start: Head | None,
) -> TrainState:
    """Let the LSTM begin with nothing to add to the direct path, or where `start` ended, on the
    scale of what it reads of a window of every clip of a known action.
    """
    _take_over(head, start)
    known = np.flatnonzero([sample.target is not None for sample in samples])
    random = np.random.default_rng(seed)
    windows = random_windows([samples[int(i)] for i in known], recipe.ready_after, random)
    head.fit(_evidence(head, torch.from_numpy(windows), known, layers))
    optimizer = torch.optim.AdamW(
        [{"params": learnt(head), "base": recipe.learning_rate}], weight_decay=recipe.weight_decay
    )
    return TrainState(head, optimizer, average=copy.deepcopy(head).eval())


@torch.no_grad()
def _take_over(head: LSTMHead, start: Head | None) -> None:
    """The parameters of `start` that fit, but for the closed-form layers, which are those of the
    clips; the LSTM adds nothing without them.
    """
    if head.direct is not None:
        nn.init.zeros_(head.linear.weight)
        nn.init.zeros_(head.linear.bias)
    given = {} if start is None else dict(start.named_parameters())
    for name, parameter in head.named_parameters():
        fits = name in given and given[name].shape == parameter.shape
        if fits and not _is_solved(name):
            parameter.copy_(given[name])


def _is_solved(name: str) -> bool:
    return name.startswith(("direct.", "evidence."))


def learnt(head: nn.Module) -> list[nn.Parameter]:
    """What gradient descent learns: all but what has a closed form."""
    return [p for name, p in head.named_parameters() if not _is_solved(name)]


def _train_epoch(
    state: TrainState,
    samples: Sequence[Sample],
    recipe: FeatureRecipe,
    layers: HeadLayers,
    random: np.random.Generator,
) -> float:
    """One pass over the clips, one window each; returns the mean loss."""
    head = state.network
    assert isinstance(head, LSTMHead)
    head.train()
    order = random.permutation(len(samples))
    steps = math.ceil(len(order) / recipe.batch_size)
    losses = []
    for step in range(steps):
        positions = order[step * recipe.batch_size :][: recipe.batch_size]
        batch = [samples[position] for position in positions]
        features = torch.from_numpy(random_windows(batch, recipe.ready_after, random))
        loss = _loss(_held_out_logits(head, features, positions, layers), batch, recipe)
        progress = (state.epoch + (step + 0.5) / steps) / recipe.epochs
        losses.append(descend(state, loss, progress))
        _average(state, recipe.average_decay, state.epoch * steps + step)
    return float(np.mean(losses))


def _held_out_logits(
    head: LSTMHead, features: Tensor, positions: NDArray[np.int64], layers: HeadLayers
) -> Tensor:
    """The head's logits, with closed-form layers that never saw the clips' fold."""
    logits = head.read_order(_evidence(head, features, positions, layers))
    if layers.direct is None or head.summary is None:
        return logits
    folds = layers.fold_of[torch.from_numpy(positions)]
    return logits + layers.direct.read_held_out(head.summary(features), folds)


@torch.no_grad()
def _evidence(
    head: LSTMHead, features: Tensor, positions: NDArray[np.int64], layers: HeadLayers
) -> Tensor:
    """What the LSTM reads of windows of the samples at these positions."""
    if layers.evidence is None:
        return features
    folds = layers.fold_of[torch.from_numpy(positions)]
    return layers.evidence.read_held_out(head.widen(features), folds)


def _loss(logits: Tensor, batch: Sequence[Sample], recipe: FeatureRecipe) -> Tensor:
    num_classes = logits.shape[1]
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
    return (each * scale).sum() / scale.sum().clamp(min=1e-12)


@torch.no_grad()
def _average(state: TrainState, decay: float, step: int) -> None:
    """Exponential average of the weights; early steps count more so that it starts unbiased."""
    assert state.average is not None
    rate = min(decay, (1.0 + step) / (10.0 + step))
    for kept, new in zip(learnt(state.average), learnt(state.network), strict=True):
        kept.lerp_(new, 1.0 - rate)

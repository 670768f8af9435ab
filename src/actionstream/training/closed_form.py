"""The layers of a head that are solved for instead of learnt: direct path and evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from actionstream.networks.heads import Head, LSTMHead
from actionstream.training.folds import deal_folds
from actionstream.training.recipe import Recipe
from actionstream.training.ridge import CrossFit, FoldSums, Line, Rows, cross_fit, gather
from actionstream.training.temperature import fit_temperature
from actionstream.training.threads import one_thread
from actionstream.training.windows import Sample, cut_window, served_windows

STRIDE = 3
"""Of the windows of a clip, every third is used: neighbours share 15 of 16 looks."""


@dataclass(frozen=True, slots=True, eq=False)
class HeadSums:
    """The folds' sums for each layer that the head has; None for one that it has not."""

    direct: FoldSums | None
    evidence: FoldSums | None

    def without(self, fold: int) -> HeadSums:
        """See `FoldSums.without`."""
        return HeadSums(
            None if self.direct is None else self.direct.without(fold),
            None if self.evidence is None else self.evidence.without(fold),
        )


Sums = Callable[[], HeadSums]
"""Taken when asked for: they cost minutes, and a resumed run may not need them."""


@dataclass(frozen=True, slots=True, eq=False)
class HeadFits:
    """The layers, cross-fitted. `fold_of` [M] is the fold of each sample."""

    direct: CrossFit | None
    evidence: CrossFit | None
    fold_of: Tensor


def gather_sums(
    head: Head,
    samples: Sequence[Sample],
    folds: Sequence[Sequence[int]],
    recipe: Recipe,
) -> HeadSums:
    """Sum up what the head's closed-form layers need, over all views of the samples."""

    def summed(rows_of: Rows) -> FoldSums:
        return gather(
            samples, folds, rows_of, head.num_classes, outlier_weight=recipe.outlier_weight
        )

    return HeadSums(
        summed(_summaries(head, recipe)) if head.summary is not None else None,
        summed(_looks(head)) if isinstance(head, LSTMHead) and head.evidence else None,
    )


def _summaries(head: Head, recipe: Recipe) -> Rows:
    """Every third window of every view, from its end backwards."""

    def rows(sample: Sample) -> Tensor:
        windows = []
        for ticks in sample.views:
            first = min(recipe.ready_after, len(ticks))
            windows += [cut_window(ticks, end) for end in range(len(ticks), first - 1, -STRIDE)]
        assert head.summary is not None
        summaries: Tensor = head.summary(torch.from_numpy(np.stack(windows).astype(np.float32)))
        return summaries

    return rows


def _looks(head: LSTMHead) -> Rows:
    """Every look of every view, as the evidence layer sees it."""

    def rows(sample: Sample) -> Tensor:
        views = [torch.from_numpy(ticks.astype(np.float32))[None] for ticks in sample.views]
        return torch.cat([head.widen(view)[0] for view in views])

    return rows


def fit_closed_form(
    head: Head,
    samples: Sequence[Sample],
    recipe: Recipe,
    *,
    seed: int,
    sums: HeadSums | None = None,
) -> HeadFits:
    """Solve for the head's closed-form layers and put the served ones into it.

    The direct path's scores become logits by one temperature, fitted on windows of folds that were
    left out.

    Args:
        sums: of these samples, where they are there already; else folds are dealt with this seed.

    Raises:
        TrainingError, DatasetError: see `deal_folds`.
    """
    if sums is None:
        clips = [sample.clip for sample in samples]
        folds = deal_folds(clips, head.num_classes, folds=recipe.folds, seed=seed)
        sums = gather_sums(head, samples, folds, recipe)
    direct = evidence = None
    fold_of: tuple[int, ...] = (0,) * len(samples)
    if sums.direct is not None:
        fold_of = sums.direct.fold_of
        direct = cross_fit(sums.direct, recipe.penalty)
        direct = direct.scaled(1.0 / _temperature(head, samples, fold_of, direct, recipe))
        _put(head.direct, direct.served)
    if sums.evidence is not None and isinstance(head, LSTMHead):
        fold_of = sums.evidence.fold_of
        evidence = cross_fit(sums.evidence, recipe.penalty)
        _put(head.evidence, evidence.served)
    return HeadFits(direct, evidence, torch.tensor(fold_of))


@torch.no_grad()
def _put(layer: nn.Linear | None, line: Line) -> None:
    assert layer is not None
    layer.weight.copy_(line.weight)
    assert layer.bias is not None
    layer.bias.copy_(line.bias)


@one_thread()
def _temperature(
    head: Head,
    samples: Sequence[Sample],
    fold_of: Sequence[int],
    direct: CrossFit,
    recipe: Recipe,
) -> float:
    scores, targets = [], []
    for sample, fold in zip(samples, fold_of, strict=True):
        if sample.target is None:
            continue
        windows = torch.from_numpy(served_windows(sample, recipe.ready_after)[::STRIDE])
        assert head.summary is not None
        folds = torch.full((len(windows),), fold)
        with torch.no_grad():
            scores.append(direct.read_held_out(head.summary(windows), folds).numpy())
        targets += [sample.target] * len(windows)
    return fit_temperature(np.concatenate(scores), np.array(targets))

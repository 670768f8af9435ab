"""The layers of a head that are solved for instead of learnt: ridge regression from sums.

With fewer clips than numbers a clip, gradient descent on such a layer overfits at any learning
rate; the penalised least-squares solution does not, and needs no epochs. All that it needs of the
data are sums, which add up over folds: every row is computed once, whatever folds are left out.

A run needs a line (a linear layer) that saw all folds, one for each fold that never saw it, and
one for each pair: the head of fold 2 learns from clips of fold 3 what a line without both says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from actionstream.networks.heads import Head, LSTMHead, steady
from actionstream.training.common.calibrate import fit_temperature
from actionstream.training.common.checkpoint import save_checkpoint
from actionstream.training.common.loop import deterministic, load_if_there
from actionstream.training.common.recipe import FeatureRecipe
from actionstream.training.common.windows import Sample, cut_window, inference_windows

STRIDE = 3
"""Of the windows of a clip, every third is used: neighbours share 15 of 16 looks."""

CHUNK = 2048
"""Rows summed up at once."""

Rows = Callable[[Sample], Tensor]
"""The rows [M, P] of a clip, M at least 1."""

LeftOut = frozenset[int]
"""Folds that a line never saw: none, one or two."""


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Weighted sums over rows, x [P] being a row less `shift` and y [K] its target."""

    shift: Tensor
    weight: float
    x: Tensor
    y: Tensor
    xx: Tensor
    xy: Tensor

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.shift,
            self.weight + other.weight,
            self.x + other.x,
            self.y + other.y,
            self.xx + other.xx,
            self.xy + other.xy,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """What ridge regression gives: scores [..., K] = x [..., P] @ weight.T + bias."""

    weight: Tensor
    bias: Tensor

    def __call__(self, rows: Tensor) -> Tensor:
        return rows @ self.weight.T + self.bias

    def scaled(self, factor: float) -> Line:
        return Line(self.weight * factor, self.bias * factor)


def sum_rows(x: Tensor, y: Tensor, weight: Tensor, shift: Tensor) -> Moments:
    """The sums of rows x [M, P] with targets y [M, K] and weights [M]."""
    x, weight = x - shift, weight[:, None]
    root = x * weight.sqrt()
    return Moments(
        shift,
        float(weight.sum()),
        (x * weight).sum(dim=0),
        (y * weight).sum(dim=0),
        root.T @ root,
        x.T @ (y * weight),
    )


@torch.no_grad()
def solve(moments: Iterable[Moments], penalty: float) -> Line:
    """Ridge regression on standardised rows.

    Args:
        penalty: added to the variance of every channel, which is 1 then.

    Source: Hoerl and Kennard 1970, "Ridge Regression: Biased Estimation for Nonorthogonal
    Problems", equation 2.1.
    """
    first, *others = moments
    total = sum(others, start=first)
    mean, targets = total.x / total.weight, total.y / total.weight
    covariance = total.xx / total.weight - torch.outer(mean, mean)
    std = steady(covariance.diagonal().clamp(min=0).sqrt())
    matrix = covariance / std[:, None] / std
    matrix.diagonal().add_(penalty)
    goal = (total.xy / total.weight - torch.outer(mean, targets)) / std[:, None]
    weight = torch.cholesky_solve(goal, torch.linalg.cholesky(matrix)) / std[:, None]
    return Line(weight.T.contiguous(), targets - (mean + total.shift) @ weight)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One closed-form layer of a head.

    inference: the line of all folds that the head may see; what the head gets.
    held_out: weight [F, K, P] and bias [F, K]: for each fold a line that saw neither it nor what
              `inference` did not see. The rest of the head learns from these: on the clips that it
              was fitted on, `inference` is right more often than on any other.
    """

    inference: Line
    held_out: Line

    @torch.no_grad()
    def read_held_out(self, rows: Tensor, folds: Tensor) -> Tensor:
        """Scores [B, ..., K] of rows [B, ..., P] of samples in these folds [B]."""
        scores = torch.einsum("b...p,fkp->bf...k", rows, self.held_out.weight)
        own = scores[torch.arange(len(rows)), folds]
        bias = self.held_out.bias[folds]
        return own + bias.reshape(len(rows), *[1] * (rows.ndim - 2), -1)


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """The lines of one layer, by the folds that they never saw."""

    lines: Mapping[LeftOut, Line]
    folds: int

    def layer(self, left_out: int | None, *, scale: float = 1.0) -> Layer:
        """The layer of the head that never sees the fold `left_out` (None: sees all)."""
        without = frozenset() if left_out is None else frozenset({left_out})
        held_out = [self.lines[without | {fold}].scaled(scale) for fold in range(self.folds)]
        stacked = Line(
            torch.stack([line.weight for line in held_out]),
            torch.stack([line.bias for line in held_out]),
        )
        return Layer(self.lines[without].scaled(scale), stacked)


def left_out_sets(folds: int) -> list[LeftOut]:
    """None, each fold and each pair of folds: whom a line of a run may never have seen."""
    numbers = range(folds)
    return [frozenset(one) for size in (0, 1, 2) for one in combinations(numbers, size)]


@torch.no_grad()
def solve_lines(moments: Sequence[Moments], penalty: float) -> Lines:
    """One line for each of `left_out_sets`, from the sums of each fold."""
    return Lines(
        {
            left_out: solve([m for i, m in enumerate(moments) if i not in left_out], penalty)
            for left_out in left_out_sets(len(moments))
        },
        len(moments),
    )


@dataclass(frozen=True, slots=True, eq=False)
class HeadLayers:
    """The closed-form layers of one head, None for one that it has not, and the fold [M] of each
    sample that it is trained on.
    """

    direct: Layer | None
    evidence: Layer | None
    fold_of: Tensor

    @torch.no_grad()
    def put_into(self, head: Head) -> None:
        for layer, linear in (
            (self.direct, head.direct),
            (self.evidence, getattr(head, "evidence", None)),
        ):
            if layer is not None and isinstance(linear, nn.Linear):
                linear.weight.copy_(layer.inference.weight)
                linear.bias.copy_(layer.inference.bias)


@dataclass(frozen=True, slots=True, eq=False)
class ClosedForm:
    """The closed-form layers of all heads of a run.

    temperatures: for the head of each fold, and last for the head of all, what its direct scores
        are divided by to be logits.
    folds: for each fold the positions of its samples.
    """

    direct: Lines | None
    evidence: Lines | None
    temperatures: Sequence[float]
    folds: Sequence[Sequence[int]]

    def layers(self, left_out: int | None) -> HeadLayers:
        """Those of the head that never sees the fold `left_out` (None: sees all)."""
        fold_of = _fold_of(self.folds)
        scale = 1.0 / self.temperatures[-1 if left_out is None else left_out]
        return HeadLayers(
            None if self.direct is None else self.direct.layer(left_out, scale=scale),
            None if self.evidence is None else self.evidence.layer(left_out),
            torch.tensor([fold for fold in fold_of if fold != left_out]),
        )


@deterministic()
def closed_form(
    head: Head,
    samples: Sequence[Sample],
    folds: Sequence[Sequence[int]],
    recipe: FeatureRecipe,
    *,
    file: Path | None = None,
    identity: Mapping[str, Any] | None = None,
) -> ClosedForm:
    """Solve for the closed-form layers of all heads of a run, or read them from `file`.

    Args:
        head: any head of the recipe, for what its layers read.
        folds: for each fold the positions of its samples.
        file: where the solved layers are kept; written whole, refused if of another run.

    Raises:
        TrainingError: the file is damaged or of another run.
    """
    saved = load_if_there(file, identity or {})
    if saved is not None:
        return ClosedForm(
            _unpack(saved["direct"], len(folds)),
            _unpack(saved["evidence"], len(folds)),
            saved["temperatures"],
            folds,
        )
    direct = evidence = None
    temperatures = [1.0] * (len(folds) + 1)
    if head.summary is not None:
        sums = gather(samples, folds, _summaries(head.summary, recipe), head.num_classes, recipe)
        direct = solve_lines(sums, recipe.penalty)
        temperatures = _temperatures(head.summary, samples, folds, direct, recipe)
    if isinstance(head, LSTMHead) and head.evidence is not None:
        sums = gather(samples, folds, _looks(head), head.num_classes, recipe)
        evidence = solve_lines(sums, recipe.penalty)
    if file is not None:
        packed = {"direct": _pack(direct), "evidence": _pack(evidence)}
        save_checkpoint(file, {**packed, "temperatures": temperatures}, identity or {})
    return ClosedForm(direct, evidence, temperatures, folds)


def _pack(lines: Lines | None) -> list[Tensor]:
    if lines is None:
        return []
    return [part for line in lines.lines.values() for part in (line.weight, line.bias)]


def _unpack(parts: Sequence[Tensor], folds: int) -> Lines | None:
    if not parts:
        return None
    lines = map(Line, parts[::2], parts[1::2])
    return Lines(dict(zip(left_out_sets(folds), lines, strict=True)), folds)


@torch.no_grad()
def gather(
    samples: Sequence[Sample],
    folds: Sequence[Sequence[int]],
    rows_of: Rows,
    num_classes: int,
    recipe: FeatureRecipe,
) -> list[Moments]:
    """Sum up the rows of all clips, fold by fold. A clip weighs 1, a negative `outlier_weight`.

    Targets are 1 - 1/K for the clip's class and -1/K for the others; 0 for all classes of a
    negative.
    """
    shift = rows_of(samples[0]).mean(dim=0)
    nothing = sum_rows(shift[None], torch.zeros(1, num_classes), torch.zeros(1), shift)
    moments = []
    for members in folds:
        total = nothing
        for chunk in _chunks([samples[index] for index in members], rows_of):
            x = torch.cat([rows for _, rows in chunk])
            y = torch.cat([_targets(sample, len(rows), num_classes) for sample, rows in chunk])
            weights = [recipe.outlier_weight if s.target is None else 1.0 for s, _ in chunk]
            each = [
                torch.full((len(rows),), w / len(rows))
                for w, (_, rows) in zip(weights, chunk, strict=True)
            ]
            total = total + sum_rows(x, y, torch.cat(each), shift)
        moments.append(total)
    return moments


def _targets(sample: Sample, count: int, num_classes: int) -> Tensor:
    target = torch.zeros(num_classes)
    if sample.target is not None:
        target -= 1.0 / num_classes
        target[sample.target] += 1.0
    return target.expand(count, -1)


def _chunks(samples: Iterable[Sample], rows_of: Rows) -> Iterable[list[tuple[Sample, Tensor]]]:
    chunk: list[tuple[Sample, Tensor]] = []
    count = 0
    for sample in samples:
        rows = rows_of(sample)
        chunk.append((sample, rows))
        count += len(rows)
        if count >= CHUNK:
            yield chunk
            chunk, count = [], 0
    if chunk:
        yield chunk


def _summaries(summary: nn.Module, recipe: FeatureRecipe) -> Rows:
    """Every third window of every view, from its end backwards."""

    def rows(sample: Sample) -> Tensor:
        windows = []
        for ticks in sample.views:
            first = min(recipe.ready_after, len(ticks))
            windows += [cut_window(ticks, end) for end in range(len(ticks), first - 1, -STRIDE)]
        summaries: Tensor = summary(torch.from_numpy(np.stack(windows).astype(np.float32)))
        return summaries

    return rows


def _looks(head: LSTMHead) -> Rows:
    """Every look of every view, as the evidence layer sees it."""

    def rows(sample: Sample) -> Tensor:
        views = [torch.from_numpy(ticks.astype(np.float32))[None] for ticks in sample.views]
        return torch.cat([head.widen(view)[0] for view in views])

    return rows


@torch.no_grad()
def _temperatures(
    summary: nn.Module,
    samples: Sequence[Sample],
    folds: Sequence[Sequence[int]],
    lines: Lines,
    recipe: FeatureRecipe,
) -> list[float]:
    """One for the head without each fold, and last for the head of all: fitted on windows of clips
    by lines that never saw them.
    """
    scores: list[list[np.ndarray[Any, Any]]] = [[] for _ in range(len(folds) + 1)]
    targets: list[list[int]] = [[] for _ in scores]
    for sample, own in zip(samples, _fold_of(folds), strict=True):
        if sample.target is None:
            continue
        windows = torch.from_numpy(inference_windows(sample, recipe.ready_after)[::STRIDE])
        rows = summary(windows)
        for head, without in enumerate((*range(len(folds)), own)):
            if head != own:
                scores[head].append(lines.lines[frozenset({without, own})](rows).numpy())
                targets[head] += [sample.target] * len(rows)
    return [
        fit_temperature(np.concatenate(some), np.array(goals))
        for some, goals in zip(scores, targets, strict=True)
    ]


def _fold_of(folds: Sequence[Sequence[int]]) -> list[int]:
    """The fold of each sample."""
    place = {index: fold for fold, members in enumerate(folds) for index in members}
    return [place[index] for index in range(len(place))]

"""Grouped cross-validation inside the training list: what choices and calibration rest on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from actionstream.networks.heads import Head, build_head
from actionstream.training.closed_form import HeadSums, Sums, gather_sums
from actionstream.training.folds import deal_folds
from actionstream.training.loop import fit_head
from actionstream.training.recipe import Recipe
from actionstream.training.threads import one_thread
from actionstream.training.windows import Sample, served_windows

Report = Callable[[str, float, float], None]
"""Called with (what is being done, steps done, steps in all)."""

Losses = Callable[[str, int, float], None]
"""Called with (which head, epochs done, mean loss of the epoch)."""


@dataclass(frozen=True, slots=True, eq=False)
class ClipOutput:
    """What a head that never saw the clip's group says at each of its readings.

    logits: float32 [R, K].   fold: the fold that held the clip out.
    """

    sample: Sample
    fold: int
    logits: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class FoldHead:
    """The head that was trained without this fold, and the clips that it saw."""

    fold: int
    head: Head
    trained_on: tuple[Sample, ...]


@dataclass(frozen=True, slots=True, eq=False)
class CrossValidation:
    """Out-of-fold outputs of every clip, in the order of the samples, and the folds' heads.

    sums: gives what the closed-form layers need of the folds, for the head of all folds to use
        again; taken when first asked for, which a run whose heads are all there never does.
    """

    outputs: tuple[ClipOutput, ...]
    heads: tuple[FoldHead, ...]
    sums: Sums


def cross_validate(
    samples: Sequence[Sample],
    num_classes: int,
    recipe: Recipe,
    *,
    seed: int = 0,
    folder: Path | None = None,
    report: Report | None = None,
    on_loss: Losses | None = None,
) -> CrossValidation:
    """Train one head a fold on the other folds and let it read the fold's clips.

    The folds are those of `deal_folds` with the same seed; clips with no known action are dealt
    by their own groups. Every head has its own checkpoint in `folder`, so a killed run goes on
    where it stopped.

    Raises:
        TrainingError, DatasetError: as `deal_folds`, or a checkpoint is of another run.
    """
    clips = [sample.clip for sample in samples]
    folds = deal_folds(clips, num_classes, folds=recipe.folds, seed=seed)
    sums = cache(lambda: _sum_up(samples, folds, num_classes, recipe, report))
    outputs: dict[int, ClipOutput] = {}
    heads = []
    for number, held_out in enumerate(folds):
        apart = set(held_out)
        seen = tuple(sample for index, sample in enumerate(samples) if index not in apart)
        checkpoint = None if folder is None else folder / f"fold{number}.ckpt"
        head = fit_head(
            seen,
            num_classes,
            recipe,
            seed=seed,
            checkpoint=checkpoint,
            on_epoch=epoch_report(f"fold {number + 1} of {len(folds)}", report, on_loss),
            sums=partial(_without, sums, number),
        )
        heads.append(FoldHead(number, head, seen))
        for index in held_out:
            logits = read_clip(head, samples[index], recipe.ready_after)
            outputs[index] = ClipOutput(samples[index], number, logits)
    ordered = tuple(outputs[index] for index in range(len(samples)))
    return CrossValidation(ordered, tuple(heads), sums)


def _without(sums: Sums, fold: int) -> HeadSums:
    return sums().without(fold)


def _sum_up(
    samples: Sequence[Sample],
    folds: Sequence[Sequence[int]],
    num_classes: int,
    recipe: Recipe,
    report: Report | None,
) -> HeadSums:
    what = "summing up looks"
    if report is not None:
        report(what, 0, 1)
    feature_size = samples[0].views[0].shape[1]
    head = build_head(recipe.head, feature_size, num_classes, **recipe.options)
    sums = gather_sums(head, samples, folds, recipe)
    if report is not None:
        report(what, 1, 1)
    return sums


def epoch_report(
    where: str, report: Report | None, on_loss: Losses | None
) -> Callable[[int, int, float], None]:
    """What `fit_head` calls after every epoch, to tell whoever wants to know."""

    def tell(epoch: int, epochs: int, loss: float) -> None:
        if report is not None:
            report(f"{where}, loss {loss:.3f}", epoch, epochs)
        if on_loss is not None:
            on_loss(where, epoch, loss)

    return tell


@one_thread()
@torch.inference_mode()
def read_clip(head: Head, sample: Sample, ready_after: int) -> NDArray[np.float32]:
    """The head's logits at every reading that serving makes of the clip, float32 [R, K]."""
    windows = torch.from_numpy(served_windows(sample, ready_after))
    logits: NDArray[np.float32] = head.eval()(windows).numpy()
    return logits

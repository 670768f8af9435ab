"""Grouped cross-validation inside the training list: what choices and calibration rest on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from actionstream.datasets.clips import Clip
from actionstream.datasets.groups import carve_folds
from actionstream.errors import TrainingError
from actionstream.networks.heads import Head
from actionstream.training.loop import fit_head
from actionstream.training.recipe import Recipe
from actionstream.training.threads import one_thread
from actionstream.training.windows import Sample, served_windows

Report = Callable[[str, float, float], None]
"""Called with (what is being done, steps done, steps in all)."""


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
    """Out-of-fold outputs of every clip, in the order of the samples, and the folds' heads."""

    outputs: tuple[ClipOutput, ...]
    heads: tuple[FoldHead, ...]


def cross_validate(
    samples: Sequence[Sample],
    num_classes: int,
    recipe: Recipe,
    *,
    seed: int = 0,
    folder: Path | None = None,
    report: Report | None = None,
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
            on_epoch=_epoch_report(report, f"fold {number + 1} of {len(folds)}"),
        )
        heads.append(FoldHead(number, head, seen))
        for index in held_out:
            logits = read_clip(head, samples[index], recipe.ready_after)
            outputs[index] = ClipOutput(samples[index], number, logits)
    return CrossValidation(tuple(outputs[index] for index in range(len(samples))), tuple(heads))


def deal_folds(
    clips: Sequence[Clip], num_classes: int, *, folds: int, seed: int
) -> tuple[tuple[int, ...], ...]:
    """`carve_folds`, and every class is in two of the folds at least.

    Raises:
        TrainingError: a class has no clip, or is in one fold only: its clips would be read by a
            head that never saw the class.
        DatasetError: fewer groups than folds.
    """
    dealt = carve_folds(clips, folds=folds, seed=seed)
    labels = {clip.label for clip in clips if clip.label is not None}
    if len(labels) < num_classes:
        raise TrainingError(f"only {len(labels)} of {num_classes} classes have a training clip")
    for held_out in dealt:
        apart = set(held_out)
        seen = {clip.label for index, clip in enumerate(clips) if index not in apart}
        for label in sorted(labels - seen):
            raise TrainingError(
                f"{label}: all of its training clips come from one source, or from sources that "
                "it shares; cross-validation needs two sources for every class"
            )
    return dealt


def _epoch_report(report: Report | None, where: str) -> Callable[[int, int, float], None] | None:
    if report is None:
        return None
    return lambda epoch, epochs, loss: report(f"{where}, loss {loss:.3f}", epoch, epochs)


@one_thread()
@torch.inference_mode()
def read_clip(head: Head, sample: Sample, ready_after: int) -> NDArray[np.float32]:
    """The head's logits at every reading that serving makes of the clip, float32 [R, K]."""
    windows = torch.from_numpy(served_windows(sample, ready_after))
    logits: NDArray[np.float32] = head.eval()(windows).numpy()
    return logits

"""Grouped cross-validation inside the training list: what choices and calibration rest on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from actionstream.datasets.groups import carve_folds
from actionstream.errors import TrainingError
from actionstream.networks.heads import Head
from actionstream.training.loop import fit_head
from actionstream.training.recipe import Recipe
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
    start: Head | None = None,
) -> CrossValidation:
    """Train one head a fold on the other folds and let it read the fold's clips.

    The folds are those of `carve_folds` with the same seed; clips with no known action are dealt
    by their own groups. Every head has its own checkpoint in `folder`, so a killed run goes on
    where it stopped.

    Raises:
        TrainingError: a class is in one fold only, so that its clips would be read by a head that
            never saw the class.
        DatasetError: fewer groups than folds.
    """
    folds = carve_folds([sample.clip for sample in samples], folds=recipe.folds, seed=seed)
    _check_classes(samples, num_classes, folds)
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
            start=start,
        )
        heads.append(FoldHead(number, head, seen))
        for index in held_out:
            logits = read_clip(head, samples[index], recipe.ready_after)
            outputs[index] = ClipOutput(samples[index], number, logits)
    return CrossValidation(tuple(outputs[index] for index in range(len(samples))), tuple(heads))


def _check_classes(
    samples: Sequence[Sample], num_classes: int, folds: Sequence[Sequence[int]]
) -> None:
    wanted = set(range(num_classes))
    for held_out in folds:
        apart = set(held_out)
        seen = {sample.target for index, sample in enumerate(samples) if index not in apart}
        for target in sorted(wanted - seen):
            labels = [str(s.clip.label) for s in samples if s.target == target]
            raise TrainingError(
                f"{labels[0]}: all of its clips come from one source, or share one with others; "
                "cross-validation needs clips of two sources for every class"
                if labels
                else f"class {target} has no training clip"
            )


def _epoch_report(report: Report | None, where: str) -> Callable[[int, int, float], None] | None:
    if report is None:
        return None
    return lambda epoch, epochs, loss: report(f"{where}, loss {loss:.3f}", epoch, epochs)


@torch.inference_mode()
def read_clip(head: Head, sample: Sample, ready_after: int) -> NDArray[np.float32]:
    """The head's logits at every reading that serving makes of the clip, float32 [R, K]."""
    windows = torch.from_numpy(served_windows(sample, ready_after))
    logits: NDArray[np.float32] = head.eval()(windows).numpy()
    return logits

"""Folds of cross-validation, dealt by group."""

from __future__ import annotations

from collections.abc import Sequence

from actionstream.datasets.split import Clip
from actionstream.datasets.folds import make_folds
from actionstream.errors import DatasetError, TrainingError


def deal_folds(
    clips: Sequence[Clip], num_classes: int, *, folds: int, seed: int
) -> tuple[tuple[int, ...], ...]:
    """`make_folds`, and every class is in two of the folds at least.

    Raises:
        TrainingError: a class has no clip, or is in one fold only: its clips would be read by a
            head that never saw the class.
        DatasetError: fewer groups than folds.
    """
    sources = len({clip.group for clip in clips})
    if sources < folds:
        raise DatasetError(
            f"the {len(clips)} training clips come from {sources} sources, which cannot be dealt "
            f"into {folds} folds: clips of more sources are needed, or fewer folds (3 at least)"
        )
    dealt = make_folds(clips, folds=folds, seed=seed)
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

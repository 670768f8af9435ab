"""The clips that a training run may learn from, and those that it is measured on."""

from __future__ import annotations

from dataclasses import dataclass

from actionstream.datasets.split import Clip, Split
from actionstream.datasets.folds import hold_out_groups
from actionstream.datasets.leak import check_leaks, join_groups_of


@dataclass(frozen=True, slots=True)
class Sides:
    """The clips that train, and those that fit temperatures and measure."""

    train: tuple[Clip, ...]
    validation: tuple[Clip, ...]


def divide(split: Split, *, fraction: float, seed: int = 0) -> Sides:
    """The labelled training clips and a validation side: the split's own, or one carved by group.

    Args:
        split: clips without a label are left out.
        fraction: of the training clips, held out where the split has no validation side.
        seed: decides which groups.

    Raises:
        LeakError: clips of one origin in two subsets, the test side included.
        DatasetError: nothing can be held out.
    """
    joined = join_groups_of(split)
    train = tuple(clip for clip in joined.train if clip.label is not None)
    validation = tuple(clip for clip in joined.validation if clip.label is not None)
    if not validation:
        stay, held_out = hold_out_groups(train, fraction=fraction, seed=seed)
        validation = tuple(train[index] for index in held_out)
        train = tuple(train[index] for index in stay)
    if not split.leaking:
        check_leaks({"train": train, "validation": validation, "test": joined.test})
    return Sides(train, validation)

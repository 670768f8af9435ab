"""Holding out a test side where a data set has none of its own.

The draw is over all clips of the data set, whatever labels are asked for: a model trained on some
of the labels can be evaluated with others, and no clip changes its side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from actionstream.datasets.clips import Clip, Split
from actionstream.datasets.groups import carve_validation

TEST_FRACTION = 0.2


def hold_out(split: Split, *, everything: Sequence[Clip], seed: int) -> Split:
    """Move a fifth of every label from train to test, whole groups only; the notes say so.

    Args:
        split: the clips of the labels asked for, all of them in train.
        everything: the clips of all labels, with their groups joined; those of `split` take
            their group from here, so that it does not depend on the labels either.
        seed: decides which groups; another one than 0 is part of the split's name, since figures
            on its test side are of other clips.

    Raises:
        DatasetError: no label of `everything` has two groups.
    """
    _, out = carve_validation(everything, fraction=TEST_FRACTION, seed=seed)
    held = {everything[i].path for i in out}
    clips = [clip for clip in everything if clip.label in split.labels]
    train = tuple(clip for clip in clips if clip.path not in held)
    test = tuple(clip for clip in clips if clip.path in held)
    note = f"the data names no test side: a fifth of every label, whole groups, seed {seed}"
    return replace(
        split,
        name=f"{split.name}, seed {seed}" if seed else split.name,
        train=train,
        test=test,
        listed={**split.listed, "train": split.listed["train"] - len(test), "test": len(test)},
        missing={**split.missing, "test": ()},
        notes=(*split.notes, note, *_undivided(split.labels, test)),
    )


def _undivided(labels: Sequence[str], test: Sequence[Clip]) -> tuple[str, ...]:
    """A note on the labels that could not be divided."""
    tested = {clip.label for clip in test}
    lacking = [label for label in labels if label not in tested]
    if not lacking:
        return ()
    return (
        f"no test clip of {', '.join(lacking)}: one group only, or other labels need their groups",
    )

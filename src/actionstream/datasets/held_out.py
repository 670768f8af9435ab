"""Holding out a test side where a data set has none of its own."""

from __future__ import annotations

from dataclasses import replace

from actionstream.datasets.clips import Split
from actionstream.datasets.groups import carve_validation

TEST_FRACTION = 0.2


def hold_out(split: Split, *, seed: int) -> Split:
    """Move a fifth of every label from train to test, whole groups only; the notes say so.

    Raises:
        DatasetError: no label has two groups.
    """
    stay, out = carve_validation(split.train, fraction=TEST_FRACTION, seed=seed)
    train = tuple(split.train[i] for i in stay)
    test = tuple(split.train[i] for i in out)
    note = f"the data names no test side: a fifth of every label, whole groups, seed {seed}"
    missing = {**split.missing, "test": ()}
    return replace(
        split,
        train=train,
        test=test,
        listed={**split.listed, "train": split.listed["train"] - len(test), "test": len(test)},
        missing=missing,
        notes=(*split.notes, note),
    )

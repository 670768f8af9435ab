"""Data sets as splits of clips that do not leak."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from actionstream.datasets.folds import (
    hold_out_groups,
    make_folds,
    random_split,
    training_folds,
    training_problems,
)
from actionstream.datasets.formats.csv import load_csv
from actionstream.datasets.formats.folder import load_folder
from actionstream.datasets.formats.hmdb51 import load_hmdb51
from actionstream.datasets.formats.kaggle import load_kaggle
from actionstream.datasets.formats.ucf101 import UCF101_LABELS, load_ucf101
from actionstream.datasets.groups import Grouping
from actionstream.datasets.leak import Duplicate, check_leaks, join_groups
from actionstream.datasets.negatives import add_clips, load_labelled, load_negatives
from actionstream.datasets.split import SUBSETS, Clip, Split, Subset, fingerprint
from actionstream.errors import DatasetError

Layout = Literal["ucf101", "kaggle", "hmdb51", "csv", "folder"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

__all__ = [
    "LAYOUTS",
    "SUBSETS",
    "UCF101_LABELS",
    "Clip",
    "Duplicate",
    "Grouping",
    "Layout",
    "Split",
    "Subset",
    "add_clips",
    "check_leaks",
    "fingerprint",
    "hold_out_groups",
    "join_groups",
    "load_csv",
    "load_dataset",
    "load_folder",
    "load_hmdb51",
    "load_kaggle",
    "load_labelled",
    "load_negatives",
    "load_ucf101",
    "make_folds",
    "random_split",
    "training_folds",
    "training_problems",
]


def load_dataset(
    root: str | Path,
    layout: Layout,
    *,
    split: Literal[1, 2, 3] = 1,
    lists: str | Path | None = None,
    labels: Sequence[str] | None = None,
    seed: int = 0,
) -> Split:
    """Load a data set of one of the layouts; the guard (`check_leaks`) is the caller's to run.

    `split` counts for ucf101, kaggle and hmdb51; `seed` for csv and folder where these name no
    test clips. `lists` is the folder of the official lists, or the CSV file or folder.

    Raises:
        DatasetError: see the loader of the layout.
    """
    match layout:
        case "ucf101":
            return load_ucf101(root, lists=lists, split=split, labels=labels)
        case "kaggle":
            return load_kaggle(root, lists=lists, split=split, labels=labels)
        case "hmdb51":
            return load_hmdb51(root, lists=lists, split=split, labels=labels)
        case "csv":
            return load_csv(root, lists=lists, labels=labels, seed=seed)
        case "folder":
            return load_folder(root, labels=labels, seed=seed)
    raise DatasetError(f"layout is one of {', '.join(LAYOUTS)}, not {layout!r}")

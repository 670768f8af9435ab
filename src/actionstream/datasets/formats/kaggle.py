"""UCF101 as published on Kaggle: `train/ val/ test/` of class folders with CSV files.

Its own division is random over clips, so most groups stand in several subsets. The folders serve as
a heap of clips only: the official lists say which clip trains and which tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from actionstream.datasets.files import class_videos, index_by_stem, line_error, read_table
from actionstream.datasets.formats import split_from_lists
from actionstream.datasets.formats.ucf101 import (
    TRAIN_LIST,
    SplitNumber,
    find_lists,
    read_official_lists,
)
from actionstream.datasets.groups import ucf101_group
from actionstream.datasets.split import Split, fold
from actionstream.errors import DatasetError

FOLDERS = ("train", "val", "test")
COLUMNS = ("clip_name", "clip_path", "label")


@dataclass(frozen=True, slots=True)
class PublishedFolders:
    """What the published folders hold, and how they leak.

    `files`: the videos of each folder. `duplicates`: stems with more than one file (lower case).
    `shared_groups`: for every pair of folders the groups ("archery/g08") with clips in both.
    `rows_without_file` and `files_without_row`: where a CSV and its folder differ ("train: stem").
    """

    files: Mapping[str, tuple[Path, ...]]
    duplicates: Mapping[str, tuple[Path, ...]]
    shared_groups: Mapping[tuple[str, str], tuple[str, ...]]
    rows_without_file: tuple[str, ...]
    files_without_row: tuple[str, ...]

    @property
    def by_stem(self) -> dict[str, list[Path]]:
        """One file for every stem (lower case): the first of train, val, test."""
        paths = [path for folder in FOLDERS for path in self.files.get(folder, ())]
        return {fold(path.stem): [path] for path in reversed(paths)}


def read_published(root: str | Path) -> PublishedFolders:
    """Read the folders and the CSV files `train.csv`, `val.csv`, `test.csv` that are there.

    Raises:
        DatasetError: no such folders, or a CSV that lacks a column (naming file and line).
    """
    root = Path(root)
    folders = [name for name in FOLDERS if (root / name).is_dir()]
    if not folders:
        raise DatasetError(f"{root}: none of the folders train, val, test is there")
    files = {name: tuple(class_videos(root / name)) for name in folders}
    rows = {name: _clip_names(root / f"{name}.csv") for name in folders}
    stems = {name: {fold(path.stem) for path in files[name]} for name in folders}
    with_rows = [name for name in folders if rows[name]]
    by_stem = index_by_stem(path for name in folders for path in files[name])
    return PublishedFolders(
        files=files,
        duplicates={stem: tuple(same) for stem, same in by_stem.items() if len(same) > 1},
        shared_groups=_shared_groups(stems),
        rows_without_file=_differences(with_rows, rows, stems),
        files_without_row=_differences(with_rows, stems, rows),
    )


def load_kaggle(
    root: str | Path,
    *,
    lists: str | Path | None = None,
    split: SplitNumber = 1,
    labels: Sequence[str] | None = None,
) -> Split:
    """The clips of an official split, wherever in the published folders they lie.

    The official lists are given, or stand in `root` or beside it as `ucfTrainTestlist`. The
    split's notes say how many clips are there twice and how many groups the folders share.

    Raises:
        DatasetError: as `read_published` and `load_ucf101`.
    """
    root = Path(root)
    published = read_published(root)
    official = read_official_lists(find_lists(root) if lists is None else Path(lists))
    return split_from_lists(
        f"UCF101 split {split}",
        official.subsets(split),
        published.by_stem,
        known=official.labels,
        wanted=labels,
        notes=describe(published),
        source=f"UCF101 in the layout of Kaggle, {TRAIN_LIST.format(split)}",
    )


def describe(published: PublishedFolders) -> tuple[str, ...]:
    """Sentences on gaps, duplicates and leaks of the published folders; none if all is well."""
    notes = []
    for words, clips in (
        ("named by a CSV but not in its folder", published.rows_without_file),
        ("in a folder but not named by its CSV", published.files_without_row),
    ):
        if clips:
            notes.append(f"clips {words}: {len(clips)} (such as {clips[0]})")
    if published.duplicates:
        example = ", ".join(str(path) for path in next(iter(published.duplicates.values())))
        notes.append(
            f"clips that are there twice: {len(published.duplicates)} ({example}); one is used"
        )
    for (one, other), groups in published.shared_groups.items():
        if groups:
            notes.append(
                f"the published folders {one} and {other} share {len(groups)} groups "
                f"(such as {groups[0]}): they leak, the official lists are used instead"
            )
    return tuple(notes)


def _clip_names(path: Path) -> set[str]:
    """The stems that one CSV names, in lower case; empty without the file."""
    if not path.is_file():
        return set()
    names = set()
    for number, row in read_table(path, required=COLUMNS):
        name = row["clip_name"]
        if not name:
            raise line_error(path, number, "the column clip_name is empty")
        names.add(fold(Path(name).stem))
    return names


def _shared_groups(
    stems: Mapping[str, set[str]],
) -> dict[tuple[str, str], tuple[str, ...]]:
    groups = {name: {_group(stem) for stem in found} - {""} for name, found in stems.items()}
    return {
        (one, other): tuple(sorted(groups[one] & groups[other]))
        for one, other in combinations(groups, 2)
    }


def _group(stem: str) -> str:
    """ "archery/g08" of "v_archery_g08_c01"; "" for a stem of another form."""
    try:
        group = ucf101_group(stem)
    except DatasetError:
        return ""
    return f"{stem[2 : stem.rindex('_g')]}/{group}"


def _differences(
    names: Sequence[str], left: Mapping[str, set[str]], right: Mapping[str, set[str]]
) -> tuple[str, ...]:
    return tuple(f"{name}: {stem}" for name in names for stem in sorted(left[name] - right[name]))

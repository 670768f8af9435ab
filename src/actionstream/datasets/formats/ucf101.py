"""UCF101 (Soomro, Zamir, Shah: UCF101, CRCV-TR-12-01, 2012) with its official lists.

The class folder is `HandstandPushups` but the stem is `v_HandStandPushups_...`: clips are found by
stem, whatever the case, and labels are spelled as in classInd.txt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Literal

from actionstream.datasets.files import (
    class_videos,
    index_by_stem,
    line_error,
    one_deeper,
    read_lines,
)
from actionstream.datasets.formats import ListedClip, split_from_lists
from actionstream.datasets.groups import ucf101_group
from actionstream.datasets.split import Split, Subset
from actionstream.errors import DatasetError

SplitNumber = Literal[1, 2, 3]
SPLITS: tuple[SplitNumber, ...] = (1, 2, 3)
CLIPS_FOLDER = "UCF-101"
LISTS_FOLDER = "ucfTrainTestlist"
TRAIN_LIST = "trainlist0{}.txt"


@dataclass(frozen=True, slots=True)
class OfficialLists:
    """classInd and the lists of the splits that the folder holds."""

    folder: Path
    labels: tuple[str, ...]
    train: Mapping[int, tuple[ListedClip, ...]]
    test: Mapping[int, tuple[ListedClip, ...]]

    def subsets(self, split: int) -> dict[Subset, tuple[ListedClip, ...]]:
        """Train and test of one split; DatasetError if its lists are not there."""
        if split not in SPLITS:
            raise DatasetError(f"UCF101 has the splits 1, 2 and 3, not {split!r}")
        if split not in self.train:
            raise DatasetError(
                f"{self.folder}: trainlist0{split}.txt and testlist0{split}.txt are not there"
            )
        return {"train": self.train[split], "test": self.test[split]}


def read_class_list(path: Path) -> tuple[str, ...]:
    """The labels of a classInd.txt: lines `number name`, numbered from 1 without a gap.

    Raises:
        DatasetError: naming file and line.
    """
    labels: list[str] = []
    for number, line in read_lines(path):
        parts = line.split()
        if len(parts) != 2 or not parts[0].isdigit():
            raise line_error(path, number, f"expected `number name`, got {line!r}")
        if int(parts[0]) != len(labels) + 1:
            raise line_error(path, number, f"expected number {len(labels) + 1}, got {parts[0]}")
        if parts[1].casefold() in {label.casefold() for label in labels}:
            raise line_error(path, number, f"the class {parts[1]} is there twice")
        labels.append(parts[1])
    if not labels:
        raise DatasetError(f"{path}: names no class")
    return tuple(labels)


with resources.as_file(resources.files(__package__) / "ucf101_classes.txt") as _packaged:
    UCF101_LABELS: tuple[str, ...] = read_class_list(_packaged)


def read_official_lists(folder: str | Path) -> OfficialLists:
    """Read `trainlist01.txt`, `testlist01.txt` and so on; classInd.txt if it is there.

    Every line is checked: its class is in classInd, the number (training lists) is the class's,
    the stem has a group, and no clip is listed twice in one split.

    Raises:
        DatasetError: naming file and line, or that the folder holds no lists.
    """
    folder = Path(folder)
    classes = folder / "classInd.txt"
    labels = read_class_list(classes) if classes.is_file() else UCF101_LABELS
    by_name = {label.casefold(): number for number, label in enumerate(labels, start=1)}
    train: dict[int, tuple[ListedClip, ...]] = {}
    test: dict[int, tuple[ListedClip, ...]] = {}
    for split in SPLITS:
        files = [folder / f"{kind}list0{split}.txt" for kind in ("train", "test")]
        if not any(path.is_file() for path in files):
            continue
        seen: dict[str, str] = {}
        train[split], test[split] = (_read_list(path, labels, by_name, seen) for path in files)
    if not train:
        raise DatasetError(f"{folder}: holds no trainlist01.txt, trainlist02.txt, trainlist03.txt")
    return OfficialLists(folder, labels, train, test)


def _read_list(
    path: Path, labels: Sequence[str], by_name: Mapping[str, int], seen: dict[str, str]
) -> tuple[ListedClip, ...]:
    """One list; `seen` holds the stems of this split so far and where each stood."""
    clips = []
    for number, line in read_lines(path):
        match = re.fullmatch(r"([^/\s]+)/([^/\s]+\.\w+)(?:\s+(\d+))?", line)
        if match is None:
            raise line_error(path, number, f"expected `Class/clip.avi [number]`, got {line!r}")
        folder, name, index = match.groups()
        class_number = by_name.get(folder.casefold())
        if class_number is None:
            raise line_error(path, number, f"the class {folder!r} is not in the class list")
        if index is not None and int(index) != class_number:
            raise line_error(path, number, f"{folder} has number {class_number}, not {index}")
        stem, label = PurePosixPath(name).stem, labels[class_number - 1]
        if stem.casefold() in seen:
            raise line_error(path, number, f"{stem} is already in {seen[stem.casefold()]}")
        seen[stem.casefold()] = f"{path.name}, line {number}"
        try:
            group = f"{label}/{ucf101_group(stem)}"
        except DatasetError as error:
            raise line_error(path, number, str(error)) from None
        clips.append(ListedClip(stem, label, group))
    if not clips:
        raise DatasetError(f"{path}: names no clip")
    return tuple(clips)


def load_ucf101(
    root: str | Path,
    *,
    lists: str | Path | None = None,
    split: SplitNumber = 1,
    labels: Sequence[str] | None = None,
) -> Split:
    """The clips of one official split that are on disk, in the order of the lists.

    `root` holds `UCF-101/` and `ucfTrainTestlist/`, or is the folder of class folders itself; the
    lists are then given, or stand in it or beside it. Clips may be of any container and any
    subset of classes; `labels` narrows it further. The labels of the split are those of which a
    clip was found, in the order of classInd.txt; the official lists have no validation subset.

    Raises:
        DatasetError: no lists, no clips, a bad line, an unknown label, one stem in two files.
    """
    clips_folder = find_clips_folder(Path(root))
    official = read_official_lists(find_lists(Path(root)) if lists is None else Path(lists))
    deeper = one_deeper(clips_folder)
    return split_from_lists(
        f"UCF101 split {split}",
        official.subsets(split),
        index_by_stem(class_videos(clips_folder)),
        known=official.labels,
        wanted=labels,
        source=f"UCF101 layout, {TRAIN_LIST.format(split)}",
        hint=f"; the folders of the classes are one deeper: give {deeper}" if deeper else "",
    )


def find_clips_folder(root: Path) -> Path:
    """`root/UCF-101` if it is there, else `root`."""
    inner = root / CLIPS_FOLDER
    return inner if inner.is_dir() else root


def find_lists(root: Path) -> Path:
    """The folder `ucfTrainTestlist` in `root` or beside it.

    Raises:
        DatasetError: naming the places and what to do.
    """
    places = [root / LISTS_FOLDER, root.resolve().parent / LISTS_FOLDER, root]
    for place in places:
        if any((place / f"trainlist0{split}.txt").is_file() for split in SPLITS):
            return place
    raise DatasetError(
        f"{root}: no official lists in {places[0]} or {places[1]}; unpack "
        "UCF101TrainTestSplits-RecognitionTask.zip there or say where they are"
    )

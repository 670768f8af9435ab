"""HMDB51 (Kuehne et al.: HMDB, a large video database for human motion recognition, ICCV 2011).

A stem is `film_class_body_camera_people_view_quality_number`, such as
`BATMAN_BEGINS_climb_stairs_f_cm_np1_ba_bad_15`. The group is class and film,
"climb_stairs/BATMAN_BEGINS": the official splits keep these whole, in all three. They do not keep
a film whole over several classes (in split 1 133 of 1,407 films have clips in both subsets), so
scenes and people of one film may still be trained and tested on: a property of the benchmark.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from actionstream.datasets.files import class_videos, index_by_stem, line_error, read_lines
from actionstream.datasets.formats import ListedClip, split_from_lists
from actionstream.datasets.split import Split, Subset
from actionstream.errors import DatasetError

LISTS_FOLDERS = ("testTrainMulti_7030_splits", "test_train_splits")
_LIST_NAME = re.compile(r"(\w+)_test_split([123])\.txt")
_TAGS = r"_[a-z]_(?:cm|nm)_np\d+_(?:fr|le|ri|ba)_(?:goo|med|bad)_\d+"
# 0 is neither: the benchmark leaves such a clip out so that each class has 70 and 30.
_SUBSET_OF_TAG: dict[str, Subset | None] = {"0": None, "1": "train", "2": "test"}


def hmdb51_film(stem: str, label: str) -> str:
    """The film of a stem: what stands before the class and the five tags.

    Raises:
        DatasetError: a stem of another form or class.
    """
    match = re.fullmatch(rf"(.+)_{re.escape(label)}{_TAGS}", stem)
    if match is None:
        raise DatasetError(f"expected a stem like film_{label}_f_cm_np1_ba_bad_15, got {stem!r}")
    return match[1]


def read_hmdb51_lists(folder: str | Path, split: int) -> dict[Subset, tuple[ListedClip, ...]]:
    """Train (tag 1) and test (tag 2) of one split, from `<class>_test_split<n>.txt`.

    Clips with tag 0 are in neither subset. Classes come in the order of their names.

    Raises:
        DatasetError: no such lists, or a bad line (naming file and line).
    """
    folder = Path(folder)
    named = ((path, _LIST_NAME.fullmatch(path.name)) for path in sorted(folder.glob("*.txt")))
    files = {match[1]: path for path, match in named if match and match[2] == str(split)}
    if not files:
        raise DatasetError(f"{folder}: holds no list *_test_split{split}.txt")
    subsets: dict[Subset, list[ListedClip]] = {"train": [], "test": []}
    for label in sorted(files):
        for subset, clip in _read_list(files[label], label):
            subsets[subset].append(clip)
    return {subset: tuple(clips) for subset, clips in subsets.items()}


def load_hmdb51(
    root: str | Path,
    *,
    lists: str | Path | None = None,
    split: Literal[1, 2, 3] = 1,
    labels: Sequence[str] | None = None,
) -> Split:
    """The clips of one official split that are on disk: `root/<class>/*.avi`, any container.

    The lists are given, or stand in `root` or beside it as `testTrainMulti_7030_splits` (also
    inside `test_train_splits`). Labels are in the order of their names.

    Raises:
        DatasetError: no lists, no clips, a bad line, an unknown label, one stem in two files.
    """
    root = Path(root)
    folder = _find_lists(root) if lists is None else Path(lists)
    subsets = read_hmdb51_lists(folder, split)
    known = sorted({clip.label for clips in subsets.values() for clip in clips})
    return split_from_lists(
        f"HMDB51 split {split}",
        subsets,
        index_by_stem(class_videos(root)),
        known=known,
        wanted=labels,
        notes=("groups are class and film; a film may stand in both subsets with other classes",),
        source=f"HMDB51 layout, tag 1 of *_test_split{split}.txt",
    )


def _read_list(path: Path, label: str) -> list[tuple[Subset, ListedClip]]:
    clips: list[tuple[Subset, ListedClip]] = []
    seen = set()
    for number, line in read_lines(path):
        parts = line.rsplit(maxsplit=1)
        if len(parts) != 2 or parts[1] not in _SUBSET_OF_TAG:
            raise line_error(path, number, f"expected `clip.avi 0|1|2`, got {line!r}")
        stem = Path(parts[0]).stem
        if stem in seen:
            raise line_error(path, number, f"{stem} is there twice")
        seen.add(stem)
        try:
            group = f"{label}/{hmdb51_film(stem, label)}"
        except DatasetError as error:
            raise line_error(path, number, str(error)) from None
        subset = _SUBSET_OF_TAG[parts[1]]
        if subset is not None:
            clips.append((subset, ListedClip(stem, label, group)))
    return clips


def _find_lists(root: Path) -> Path:
    outer, inner = LISTS_FOLDERS[1], LISTS_FOLDERS[0]
    for base in (root, root.resolve().parent):
        for place in (base / inner, base / outer / inner, base / outer):
            if any(place.glob("*_test_split?.txt")):
                return place
    raise DatasetError(
        f"{root}: no official lists in it or beside it; unpack test_train_splits.rar there "
        "or say where they are"
    )

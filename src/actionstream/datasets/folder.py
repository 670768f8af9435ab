"""One's own clips: one folder a class, `root/Class/clip.mp4`.

With `train/` and `test/` (and `val/`) folders of classes, these are the sides; without them a fifth
of every class is held out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from actionstream.datasets.clips import Clip, Side, Split
from actionstream.datasets.csv_list import SIDE_NAMES
from actionstream.datasets.files import joined_stem, subfolders, videos_below
from actionstream.datasets.held_out import hold_out
from actionstream.datasets.leak import join_groups_of
from actionstream.datasets.matching import choose_labels
from actionstream.errors import DatasetError

Grouping = Literal["auto", "ucf", "subfolder", "pieces", "alone"]

_UCF_PART = re.compile(r"_(g\d\d)_c\d+", re.IGNORECASE)
_PIECE = re.compile(r"(.+?)[ _.-]+\d+")


@dataclass(frozen=True, slots=True)
class _File:
    """A file of a class folder; `relative` is "Class/[sub/]clip.mp4"."""

    path: Path
    label: str
    relative: Path
    side: Side | None

    @property
    def inner(self) -> str:
        """The folder below the class folder, "" if it lies directly there."""
        return "/".join(self.relative.parts[1:-1])


def load_folder(
    root: str | Path,
    *,
    grouping: Grouping = "auto",
    labels: Sequence[str] | None = None,
    seed: int = 0,
) -> Split:
    """The clips of a folder of class folders, the labels in the order of their names.

    A clip's stem is "Class__name". `grouping` says which clips are of one source:

    - "ucf": `..._g08_c01` in the stem; the group is class and g08
    - "subfolder": `Class/person3/clip.mp4`; the group is "person3", over all classes
    - "pieces": `match_01.mp4`, `match_02.mp4` are pieces of "match", over all classes
    - "alone": every clip is its own source
    - "auto": the first of these that fits every clip and leaves each class two groups; this is a
      guess and the notes say which

    Raises:
        DatasetError: no class folders or clips, an unknown label, a grouping that does not fit.
    """
    root = Path(root)
    files = _read(root)
    chosen = choose_labels(sorted({file.label for file in files}), labels)
    files = [file for file in files if file.label in chosen]
    if not files:
        raise DatasetError(f"{root}: holds no clip; expected Class/clip.mp4")
    groups, note = _guess(files) if grouping == "auto" else (_grouped(files, grouping), ())
    clips = [
        Clip(file.path, file.label, group, joined_stem(file.relative))
        for file, group in zip(files, groups, strict=True)
    ]
    on: dict[Side, tuple[Clip, ...]] = {
        side: tuple(c for c, f in zip(clips, files, strict=True) if (f.side or "train") == side)
        for side in ("train", "validation", "test")
    }
    split = Split(
        name=f"{root.name} (folder)",
        labels=chosen,
        train=on["train"],
        validation=on["validation"],
        test=on["test"],
        listed={side: len(found) for side, found in on.items()},
        notes=note,
        source="folder layout",
    )
    split = join_groups_of(split)
    return split if files[0].side is not None else hold_out(split, seed=seed)


def _read(root: Path) -> list[_File]:
    folders = {folder.name: folder for folder in subfolders(root)}
    sides = {name: SIDE_NAMES[name.casefold()] for name in folders if name.casefold() in SIDE_NAMES}
    if "train" in sides.values() and len(set(sides.values())) > 1:
        return [file for name, side in sides.items() for file in _class_files(folders[name], side)]
    return _class_files(root, None)


def _class_files(root: Path, side: Side | None) -> list[_File]:
    return [
        _File(path, folder.name, path.relative_to(root), side)
        for folder in subfolders(root)
        for path in videos_below(folder)
    ]


def _guess(files: Sequence[_File]) -> tuple[list[str], tuple[str, ...]]:
    described: dict[Grouping, str] = {
        "ucf": "guessed from gNN in the names",
        "subfolder": "guessed from the folders below the classes",
        "pieces": "guessed from numbered names (name_01, name_02 are pieces of one source)",
    }
    for grouping, words in described.items():
        try:
            groups = _grouped(files, grouping)
        except DatasetError:
            continue
        if _two_groups_each(files, groups):
            return groups, (f"groups are {words}",)
    note = "no groups can be told from the names: every clip stands alone, sources may leak"
    return _grouped(files, "alone"), (note,)


def _grouped(files: Iterable[_File], grouping: Grouping) -> list[str]:
    rules: dict[Grouping, Callable[[_File], str]] = {
        "ucf": _ucf,
        "subfolder": lambda file: file.inner,
        "pieces": _piece,
        "alone": lambda file: file.relative.with_suffix("").as_posix(),
    }
    if grouping not in rules:
        raise DatasetError(f"grouping is auto or one of {', '.join(rules)}, not {grouping!r}")
    groups = []
    for file in files:
        group = rules[grouping](file)
        if not group:
            raise DatasetError(f"{file.path}: the grouping {grouping!r} does not fit this name")
        groups.append(group)
    return groups


def _ucf(file: _File) -> str:
    match = _UCF_PART.search(file.path.stem)
    return f"{file.label}/{match[1].lower()}" if match else ""


def _piece(file: _File) -> str:
    match = _PIECE.fullmatch(file.path.stem)
    return match[1] if match else ""


def _two_groups_each(files: Sequence[_File], groups: Sequence[str]) -> bool:
    """Whether every class has two groups or more, so that it can be divided at all."""
    of_label: dict[str, set[str]] = {}
    for file, group in zip(files, groups, strict=True):
        of_label.setdefault(file.label, set()).add(group)
    return all(len(found) > 1 for found in of_label.values())

"""One's own clips: one folder a class, `root/Class/clip.mp4`.

With `train/` and `test/` (and `val/`) folders of classes, these are the sides; without them a fifth
of every class is held out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from actionstream.datasets.clips import Clip, Side, Split
from actionstream.datasets.files import folder_name, joined_stem, subfolders, videos_below
from actionstream.datasets.formats.csv import SIDE_NAMES
from actionstream.datasets.grouping import (
    Grouping,
    Guess,
    Named,
    group_by,
    guess_groups,
    stand_alone,
)
from actionstream.datasets.held_out import hold_out
from actionstream.datasets.leak import join_groups, join_groups_of
from actionstream.datasets.matching import choose_labels
from actionstream.errors import DatasetError


@dataclass(frozen=True, slots=True)
class _File:
    """A file of a class folder, and its side where the folders say one."""

    path: Path
    named: Named
    side: Side | None


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
    - "auto": for each class the first of these that fits every clip of it and leaves it two
      groups, the one that fits the most classes first; this is a guess and the notes say which

    Groups, and a test side that has to be drawn, do not depend on `labels`: they are those of the
    whole folder, so a clip is on the same side whichever classes are asked for.

    Raises:
        DatasetError: no class folders or clips, an unknown label, a grouping that does not fit,
            or no class can be divided.
    """
    root = Path(root)
    files = _read(root)
    chosen = choose_labels(sorted({file.named.label for file in files}), labels)
    if not chosen:
        raise DatasetError(f"{root}: holds no clip; expected Class/clip.mp4")
    if grouping != "auto":
        groups = group_by(grouping, [file.named for file in files], wanted=chosen)
        return _divided(root, files, groups, chosen, seed=seed)
    named = [file.named for file in files]
    guess = guess_groups(named)
    try:
        return _of_guess(root, files, guess, chosen, seed=seed)
    except DatasetError:
        # Sources that are shared out over the classes so that none can be spared for a test.
        return _of_guess(root, files, stand_alone(named), chosen, seed=seed)


def _of_guess(
    root: Path, files: Sequence[_File], guess: Guess, chosen: tuple[str, ...], *, seed: int
) -> Split:
    notes = guess.notes(chosen)
    return _divided(root, files, guess.groups, chosen, seed=seed, notes=notes)


def _divided(
    root: Path,
    files: Sequence[_File],
    groups: Sequence[str],
    chosen: tuple[str, ...],
    *,
    seed: int,
    notes: tuple[str, ...] = (),
) -> Split:
    """The split of the chosen labels, its sides those of the folders or drawn over all files."""
    clips = [
        Clip(file.path, file.named.label, group, joined_stem(file.named.relative))
        for file, group in zip(files, groups, strict=True)
    ]
    on: dict[Side, tuple[Clip, ...]] = {
        side: tuple(
            clip
            for clip, file in zip(clips, files, strict=True)
            if clip.label in chosen and (file.side or "train") == side
        )
        for side in ("train", "validation", "test")
    }
    split = Split(
        name=f"{folder_name(root)} (folder)",
        labels=chosen,
        train=on["train"],
        validation=on["validation"],
        test=on["test"],
        listed={side: len(found) for side, found in on.items()},
        notes=notes,
        source="folder layout",
    )
    if files[0].side is not None:
        return join_groups_of(split)
    return hold_out(split, everything=join_groups(clips), seed=seed)


def _read(root: Path) -> list[_File]:
    folders = {folder.name: folder for folder in subfolders(root)}
    sides = {name: SIDE_NAMES[name.casefold()] for name in folders if name.casefold() in SIDE_NAMES}
    if "train" in sides.values() and len(set(sides.values())) > 1:
        return [file for name, side in sides.items() for file in _class_files(folders[name], side)]
    return _class_files(root, None)


def _class_files(root: Path, side: Side | None) -> list[_File]:
    return [
        _File(path, Named(folder.name, path.relative_to(root)), side)
        for folder in subfolders(root)
        for path in videos_below(folder)
    ]

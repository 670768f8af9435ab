"""One's own clips: one folder a class, `root/Class/clip.mp4`.

With `train/` and `test/` (and `val/`) folders of classes, these are the subsets; without them a
fifth of every class is held out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from actionstream.datasets.files import (
    folder_name,
    joined_stems,
    one_deeper,
    subfolders,
    videos_below,
)
from actionstream.datasets.folds import hold_out_test
from actionstream.datasets.formats.csv import SUBSET_NAMES
from actionstream.datasets.groups import (
    Grouping,
    Guess,
    Named,
    group_by,
    guess_groups,
    stand_alone,
)
from actionstream.datasets.leak import join_groups, join_groups_of
from actionstream.datasets.split import SUBSETS, Clip, Split, Subset, choose_labels, spelled
from actionstream.errors import DatasetError


@dataclass(frozen=True, slots=True)
class _File:
    """A file of a class folder, and its subset where the folders say one."""

    path: Path
    named: Named
    subset: Subset | None


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

    Groups, and test clips that have to be drawn, do not depend on `labels`: they are those of the
    whole folder, so a clip is in the same subset whichever classes are asked for.

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
    """The split of the chosen labels, its subsets those of the folders or drawn over all files."""
    stems = joined_stems([file.named.relative for file in files])
    clips = [
        Clip(file.path, file.named.label, group, stem)
        for file, group, stem in zip(files, groups, stems, strict=True)
    ]
    found: dict[Subset, tuple[Clip, ...]] = {
        subset: tuple(
            clip
            for clip, file in zip(clips, files, strict=True)
            if clip.label in chosen and (file.subset or "train") == subset
        )
        for subset in SUBSETS
    }
    split = Split(
        name=f"{folder_name(root)} (folder)",
        labels=chosen,
        train=found["train"],
        validation=found["validation"],
        test=found["test"],
        listed={subset: len(clips) for subset, clips in found.items()},
        notes=(*_deeper_note(root), *notes),
        source="folder layout",
    )
    if files[0].subset is not None:
        return join_groups_of(split)
    return hold_out_test(split, everything=join_groups(clips), seed=seed)


def _deeper_note(root: Path) -> tuple[str, ...]:
    deeper = one_deeper(root)
    note = f"the only folder holds folders itself: if these are the classes, give {deeper}"
    return () if deeper is None else (note,)


def _read(root: Path) -> list[_File]:
    folders = {folder.name: folder for folder in subfolders(root)}
    subsets = {
        name: SUBSET_NAMES[name.casefold()] for name in folders if name.casefold() in SUBSET_NAMES
    }
    if "train" in subsets.values() and len(set(subsets.values())) > 1:
        return [f for name, part in subsets.items() for f in _class_files(folders[name], part)]
    return _class_files(root, None)


def _class_files(root: Path, subset: Subset | None) -> list[_File]:
    return [
        _File(path, Named(spelled(folder.name), path.relative_to(root)), subset)
        for folder in subfolders(root)
        for path in videos_below(folder)
    ]

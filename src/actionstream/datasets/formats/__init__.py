"""The layouts in which data sets are published: lists of clips, matched with the files on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from actionstream.datasets.leak import join_groups_of
from actionstream.datasets.split import Clip, Split, Subset, choose_labels, fold
from actionstream.errors import DatasetError


@dataclass(frozen=True, slots=True)
class ListedClip:
    """One line of an official list: stem as spelled there, label as in classInd, group."""

    stem: str
    label: str
    group: str


def split_from_lists(
    name: str,
    subsets: Mapping[Subset, Sequence[ListedClip]],
    files: Mapping[str, Sequence[Path]],
    *,
    known: Sequence[str],
    wanted: Iterable[str] | None = None,
    notes: tuple[str, ...] = (),
    source: str = "",
    hint: str = "",
) -> Split:
    """Match listed clips with `files` (by `fold`ed stem); the order of the lists is kept.

    The labels of the split are those of `known` (of `wanted`, if given) of which a clip is there.
    Groups that turn out to be one video are joined (`join_groups`).

    Raises:
        DatasetError: no clip found (`hint` says why, where something is known), none of a wanted
            label, an unknown label, or one listed stem in two files.
    """
    chosen = choose_labels(known, wanted)
    found = {c.label for clips in subsets.values() for c in clips if fold(c.stem) in files}
    lacking = [label for label in chosen if label not in found]
    if lacking and wanted is not None:
        raise DatasetError(f"{name}: no clip of {', '.join(lacking)} is there{hint}")
    if len(lacking) == len(chosen):
        raise DatasetError(f"{name}: none of the listed clips is there{hint}")
    labels = tuple(label for label in chosen if label in found)
    listed = {part: [c for c in clips if c.label in labels] for part, clips in subsets.items()}
    missing = {
        part: [c for c in clips if fold(c.stem) not in files] for part, clips in listed.items()
    }
    split = Split(
        name=name,
        labels=labels,
        train=_matched(listed.get("train", ()), files),
        validation=_matched(listed.get("validation", ()), files),
        test=_matched(listed.get("test", ()), files),
        listed={part: len(clips) for part, clips in listed.items()},
        missing={part: tuple(c.stem for c in clips) for part, clips in missing.items()},
        missing_counts={part: Counter(c.label for c in clips) for part, clips in missing.items()},
        absent_labels=tuple(lacking),
        notes=notes,
        source=source,
    )
    return join_groups_of(split)


def _matched(listed: Iterable[ListedClip], files: Mapping[str, Sequence[Path]]) -> tuple[Clip, ...]:
    there = (c for c in listed if fold(c.stem) in files)
    return tuple(Clip(_only(files[fold(c.stem)]), c.label, c.group, c.stem) for c in there)


def _only(paths: Sequence[Path]) -> Path:
    if len(paths) > 1:
        raise DatasetError(
            f"one clip in {len(paths)} files: {', '.join(str(path) for path in paths[:3])}; "
            "keep one of them"
        )
    return paths[0]

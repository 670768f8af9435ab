"""Matching the clips that lists name with the files that are on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from actionstream.datasets.clips import Clip, Side, Split
from actionstream.datasets.leak import join_groups_of
from actionstream.errors import DatasetError


@dataclass(frozen=True, slots=True)
class ListedClip:
    """One line of an official list: stem as spelled there, label as in classInd, group."""

    stem: str
    label: str
    group: str


def split_from_lists(
    name: str,
    sides: Mapping[Side, Sequence[ListedClip]],
    files: Mapping[str, Sequence[Path]],
    *,
    known: Sequence[str],
    wanted: Iterable[str] | None = None,
    notes: tuple[str, ...] = (),
    source: str = "",
) -> Split:
    """Match listed clips with `files` (by lower-case stem); the order of the lists is kept.

    The labels of the split are those of `known` (of `wanted`, if given) of which a clip is there.
    Groups that turn out to be one video are joined (`join_groups`).

    Raises:
        DatasetError: no clip found, none of a wanted label, an unknown label, or one listed stem
            in two files.
    """
    chosen = choose_labels(known, wanted)
    found = {c.label for side in sides.values() for c in side if c.stem.casefold() in files}
    _require(name, found, chosen, asked=wanted is not None)
    labels = tuple(label for label in chosen if label in found)
    listed = {side: [c for c in clips if c.label in labels] for side, clips in sides.items()}
    missing = {
        side: [c for c in clips if c.stem.casefold() not in files] for side, clips in listed.items()
    }
    split = Split(
        name=name,
        labels=labels,
        train=_matched(listed.get("train", ()), files),
        validation=_matched(listed.get("validation", ()), files),
        test=_matched(listed.get("test", ()), files),
        listed={side: len(clips) for side, clips in listed.items()},
        missing={side: tuple(c.stem for c in clips) for side, clips in missing.items()},
        missing_counts={side: Counter(c.label for c in clips) for side, clips in missing.items()},
        absent_labels=tuple(label for label in chosen if label not in found),
        notes=notes,
        source=source,
    )
    return join_groups_of(split)


def choose_labels(known: Sequence[str], wanted: Iterable[str] | None) -> tuple[str, ...]:
    """`wanted` in the order and spelling of `known`, whatever its case; all if None.

    Raises:
        DatasetError: naming the labels that are not known.
    """
    if wanted is None:
        return tuple(known)
    wanted = list(wanted)
    names = {label.casefold() for label in wanted}
    unknown = [label for label in wanted if label.casefold() not in {k.casefold() for k in known}]
    if unknown:
        raise DatasetError(f"no such class: {', '.join(map(repr, unknown))}")
    return tuple(label for label in known if label.casefold() in names)


def _matched(listed: Iterable[ListedClip], files: Mapping[str, Sequence[Path]]) -> tuple[Clip, ...]:
    there = (c for c in listed if c.stem.casefold() in files)
    return tuple(Clip(_only(files[c.stem.casefold()]), c.label, c.group, c.stem) for c in there)


def _only(paths: Sequence[Path]) -> Path:
    if len(paths) > 1:
        raise DatasetError(
            f"one clip in {len(paths)} files: {', '.join(str(path) for path in paths[:3])}; "
            "keep one of them"
        )
    return paths[0]


def _require(name: str, found: set[str], chosen: Sequence[str], *, asked: bool) -> None:
    lacking = [label for label in chosen if label not in found]
    if lacking and asked:
        raise DatasetError(f"{name}: no clip of {', '.join(lacking)} is there")
    if len(lacking) == len(chosen):
        raise DatasetError(f"{name}: none of the listed clips is there")

"""Which clips of a folder of classes come from one source, told or guessed from their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from actionstream.errors import DatasetError

Grouping = Literal["auto", "ucf", "subfolder", "pieces", "alone"]

_UCF101_STEM = re.compile(r"v_\w+_(g\d\d)_c\d\d", re.IGNORECASE)
_UCF_PART = re.compile(r"_(g\d\d)_c\d+", re.IGNORECASE)
_PIECE = re.compile(r"(.+?)[ _.-]+\d+")
_GUESSES: dict[Grouping, str] = {
    "ucf": "gNN in the names",
    "subfolder": "the folders below the classes",
    "pieces": "numbered names (name_01, name_02 are pieces of one source)",
}
_OVER_CLASSES: tuple[Grouping, ...] = ("subfolder", "pieces")
_FEW = 3


def ucf101_group(stem: str) -> str:
    """The group of a UCF101 stem: "g08" of "v_Archery_g08_c01". A group is one source video.

    Raises:
        DatasetError: a stem of another form.
    """
    match = _UCF101_STEM.fullmatch(stem)
    if match is None:
        raise DatasetError(f"expected a stem like v_Archery_g08_c01, got {stem!r}")
    return match[1].lower()


@dataclass(frozen=True, slots=True)
class Named:
    """A file of a class folder; `relative` is "Class/[sub/]clip.mp4"."""

    label: str
    relative: PurePath


@dataclass(frozen=True, slots=True)
class Guess:
    """A group for every file, and for every class the grouping that it was guessed by."""

    groups: tuple[str, ...]
    rules: dict[str, Grouping]

    def notes(self, labels: Iterable[str]) -> tuple[str, ...]:
        """What to say about the groups of these classes."""
        labels = tuple(labels)
        named = {
            rule: [label for label in labels if self.rules[label] == rule]
            for rule in (*_GUESSES, "alone")
        }
        used = {rule: names for rule, names in named.items() if names}
        return tuple(
            self._note(rule, "" if len(used) == 1 else f" of {_few(names)}")
            for rule, names in used.items()
        )

    def _note(self, rule: str, of: str) -> str:
        if rule != "alone":
            return f"groups{of} are guessed from {_GUESSES[rule]}"  # type: ignore[index]
        spared = all(found == "alone" for found in self.rules.values())
        but = "" if spared else " unless another class has a source of its name"
        return (
            f"no groups can be told from the names{of}: every clip stands alone{but}, "
            "sources may leak"
        )


def guess_groups(files: Sequence[Named]) -> Guess:
    """Guess which files are of one source, class by class.

    The grouping that fits the most classes (every clip of them, and two groups each) is taken for
    these, then the next for the rest; so one odd class does not undo the groups of the others. A
    clip of a class that none fits joins the source that another class has by its folder or name,
    such as one person in several classes; else it stands alone.
    """
    of_label: dict[str, list[Named]] = {}
    for file in files:
        of_label.setdefault(file.label, []).append(file)
    rules = _rules(of_label)
    over: dict[Grouping, set[str]] = {
        rule: {_RULES[rule](f) for f in files if rules[f.label] == rule} for rule in _OVER_CLASSES
    }

    def group(file: Named) -> str:
        if rules[file.label] != "alone":
            return _RULES[rules[file.label]](file)
        shared = (_RULES[rule](file) for rule in _OVER_CLASSES if _RULES[rule](file) in over[rule])
        return next(shared, _alone(file))

    return Guess(tuple(group(file) for file in files), rules)


def stand_alone(files: Sequence[Named]) -> Guess:
    """Every file its own source."""
    return Guess(tuple(map(_alone, files)), dict.fromkeys((file.label for file in files), "alone"))


def group_by(grouping: Grouping, files: Iterable[Named], *, wanted: Collection[str]) -> list[str]:
    """The group of every file by one grouping.

    A file of a class that is not `wanted` stands alone where the grouping does not fit it.

    Raises:
        DatasetError: no such grouping, or it does not fit a wanted file.
    """
    if grouping not in _RULES:
        raise DatasetError(f"grouping is auto or one of {', '.join(_RULES)}, not {grouping!r}")
    groups = []
    for file in files:
        group = _RULES[grouping](file)
        if not group and file.label in wanted:
            raise DatasetError(f"{file.relative}: the grouping {grouping!r} does not fit this name")
        groups.append(group or _alone(file))
    return groups


def _rules(of_label: dict[str, list[Named]]) -> dict[str, Grouping]:
    rules: dict[str, Grouping] = dict.fromkeys(of_label, "alone")
    left, guesses = set(of_label), set(_GUESSES)
    while guesses:
        fitting: dict[Grouping, set[str]] = {
            rule: {label for label in left if _fits(rule, of_label[label])}
            for rule in _GUESSES
            if rule in guesses
        }
        best = max(fitting, key=lambda rule: len(fitting[rule]))
        rules |= dict.fromkeys(fitting[best], best)
        left -= fitting[best]
        guesses.remove(best)
    return rules


def _fits(rule: Grouping, files: Iterable[Named]) -> bool:
    """Whether every file has a group, and there are two or more, so that they can be divided."""
    groups = {_RULES[rule](file) for file in files}
    return "" not in groups and len(groups) > 1


def _ucf(file: Named) -> str:
    match = _UCF_PART.search(file.relative.stem)
    return f"{file.label}/{match[1].lower()}" if match else ""


def _subfolder(file: Named) -> str:
    return "/".join(file.relative.parts[1:-1])


def _piece(file: Named) -> str:
    match = _PIECE.fullmatch(file.relative.stem)
    return match[1] if match else ""


def _alone(file: Named) -> str:
    return file.relative.with_suffix("").as_posix()


def _few(names: Sequence[str]) -> str:
    more = len(names) - _FEW
    return ", ".join(names[:_FEW]) + (f" and {more} more" if more > 0 else "")


_RULES: dict[Grouping, Callable[[Named], str]] = {
    "ucf": _ucf,
    "subfolder": _subfolder,
    "pieces": _piece,
    "alone": _alone,
}

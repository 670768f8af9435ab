"""What a data set is made of: a Clip, and a Split of clips into subsets."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from actionstream.errors import DatasetError

Subset = Literal["train", "validation", "test"]
SUBSETS: tuple[Subset, ...] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Clip:
    """One video file with what is known about it.

    `label` is None for "no known action". `group` names the unit that must not be divided over
    two subsets of a split (one source video, such as "Archery/g08"). `stem` is the clip's name
    without suffix, spelled as in the lists where there are lists; where clips of several folders
    may have one name, the folders stand before it ("Run__a"). It never holds a "/".
    """

    path: Path
    label: str | None
    group: str
    stem: str


@dataclass(frozen=True, slots=True)
class Split:
    """Which clips train, validate and test.

    `labels` are in the order of the data set's own class list. `listed` says how many clips of
    these labels the lists name in each subset, `missing` which of them were not found on disk
    (stems); for data sets without lists `listed` is what was found. `absent_labels` are classes of
    the lists of which no clip is at hand. `leaking` is True for a random split: clips of one
    source may stand in two subsets, so figures measured on it are "not comparable". `notes` are
    sentences that a report should repeat, such as how groups were guessed. `missing_counts` says
    for each subset how many clips of each label are missing; `source` is layout and training list
    in words, for cards, without a folder of any machine ("" for a split made in Python).
    """

    name: str
    labels: tuple[str, ...]
    train: tuple[Clip, ...]
    validation: tuple[Clip, ...]
    test: tuple[Clip, ...]
    listed: Mapping[str, int]
    missing: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: MappingProxyType({}), repr=False
    )
    leaking: bool = False
    absent_labels: tuple[str, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()
    missing_counts: Mapping[str, Mapping[str, int]] = field(
        default_factory=lambda: MappingProxyType({}), repr=False
    )
    source: str = ""

    def listed_of(self, subset: str, labels: Collection[str]) -> int:
        """`listed` of a subset, for some of the labels only, whatever their case."""
        wanted = {fold(label) for label in labels}
        found = sum(fold(clip.label or "") in wanted for clip in self.subsets[subset])
        missing = self.missing_counts.get(subset, {})
        return found + sum(count for label, count in missing.items() if fold(label) in wanted)

    @property
    def subsets(self) -> dict[str, tuple[Clip, ...]]:
        """The three subsets by name, empty ones too."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def clips(self) -> tuple[Clip, ...]:
        """All clips: train, then validation, then test."""
        return self.train + self.validation + self.test


def fingerprint(clips: Iterable[Clip]) -> str:
    """SHA-256 (64 hex digits) over the sorted stems with their labels.

    Order, folder and container do not matter, so the same list of clips has the same fingerprint
    on every machine. It says nothing about the bytes of the files.
    """
    rows = sorted(f"{clip.stem}\t{'' if clip.label is None else clip.label}" for clip in clips)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def fold(name: str) -> str:
    """A name for comparisons: neither case nor the way that accents are stored counts.

    A Mac writes the accent of "é" as a character of its own (NFD), others do not (NFC).
    """
    return unicodedata.normalize("NFC", name).casefold()


def spelled(name: str) -> str:
    """A label as it is kept: NFC, whatever the file system or list had."""
    return unicodedata.normalize("NFC", name)


def choose_labels(known: Sequence[str], wanted: Iterable[str] | None) -> tuple[str, ...]:
    """`wanted` in the order and spelling of `known`, whatever its case; all if None.

    Raises:
        DatasetError: naming the labels that are not known.
    """
    if wanted is None:
        return tuple(known)
    names = {fold(label): label for label in wanted}
    unknown = [label for name, label in names.items() if name not in set(map(fold, known))]
    if unknown:
        raise DatasetError(f"no such class: {', '.join(map(repr, unknown))}")
    return tuple(label for label in known if fold(label) in names)

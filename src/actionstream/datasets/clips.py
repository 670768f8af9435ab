"""What a data set is made of: a Clip, and a Split of clips into sides."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

Side = Literal["train", "validation", "test"]
SIDES: tuple[Side, ...] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Clip:
    """One video file with what is known about it.

    `label` is None for "no known action". `group` names the unit that must not be divided over
    two sides of a split (one source video, such as "Archery/g08"). `stem` is the clip's name
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
    these labels the lists name on each side, `missing` which of them were not found on disk
    (stems); for data sets without lists `listed` is what was found. `absent_labels` are classes of
    the lists of which no clip is at hand. `leaking` is True for a random split: clips of one
    source may stand on two sides, so figures measured on it are "not comparable". `notes` are
    sentences that a report should repeat, such as how groups were guessed. `missing_counts` says
    for each side how many clips of each label are missing; `source` is layout and training list in
    words, for cards, without a folder of any machine ("" for a split made in Python).
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

    def listed_of(self, side: str, labels: Collection[str]) -> int:
        """`listed` of a side, for some of the labels only."""
        found = sum(clip.label in labels for clip in self.sides[side])
        missing = self.missing_counts.get(side, {})
        return found + sum(count for label, count in missing.items() if label in labels)

    @property
    def sides(self) -> dict[str, tuple[Clip, ...]]:
        """The three sides by name, empty ones too."""
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

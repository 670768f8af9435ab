"""What a check of a data set found, and how it reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from actionstream.datasets.clips import SIDES, Split, fingerprint
from actionstream.datasets.leak import Duplicate

NAMED = 10  # so many of a kind stand in the text; the count is always there


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A clip of which no frame can be decoded."""

    path: Path
    cause: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `check_dataset` found.

    `counts`: clips by label and side. `unused`: videos on no side of the split. `opened`: how many
    clips were opened, of which `unreadable` could not be decoded. `duplicates`: same bytes on one
    side. `leaks`: sentences, one origin on two sides. `folders`: sentences on folder names.
    """

    root: Path
    layout: str
    split: Split
    counts: Mapping[str, Mapping[str, int]]
    unused: tuple[Path, ...]
    unreadable: tuple[Unreadable, ...]
    opened: int
    duplicates: tuple[Duplicate, ...]
    leaks: tuple[str, ...]
    folders: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether training may start: clips to train on, none leaking, every opened one readable.

        Missing, unused and duplicate clips and odd folder names are for people to judge.
        """
        return bool(self.split.train) and not self.leaks and not self.unreadable

    def to_text(self) -> str:
        """The report as lines of plain text, bounded lists."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.split.name} in {self.root} ({self.layout})"
        yield from self._table()
        yield f"train list fingerprint: {fingerprint(self.split.train)}"
        yield from self.split.notes
        yield from _section("classes without a clip", self.split.absent_labels)
        for side, stems in self.split.missing.items():
            yield from _section(f"listed for {side} but not there", stems)
        yield from _section("on no side of the split", map(str, self.unused))
        yield from _section("same content on one side", map(_duplicate, self.duplicates))
        yield from _section("class folders to look at", self.folders)
        yield f"opened: {self.opened} of {len(self.split.clips)} clips"
        yield from _section("UNREADABLE", (f"{u.path}: {u.cause}" for u in self.unreadable))
        yield from _section("LEAKS", self.leaks)
        yield "all is well" if self.ok else "not fit for training as it is"

    def _table(self) -> Iterator[str]:
        sides = [side for side in SIDES if self.split.listed.get(side) or self.split.sides[side]]
        width = max(map(len, [*self.counts, "found / listed"]))
        yield f"{'':{width}}" + "".join(f"{side:>14}" for side in sides)
        for label, of_side in self.counts.items():
            yield f"{label:{width}}" + "".join(f"{of_side[side]:>14}" for side in sides)
        totals = (f"{len(self.split.sides[s])} / {self.split.listed.get(s, 0)}" for s in sides)
        yield f"{'found / listed':{width}}" + "".join(f"{total:>14}" for total in totals)


def _section(title: str, items: Iterable[str]) -> Iterator[str]:
    found = list(items)
    if not found:
        return
    yield f"{title}: {len(found)}"
    yield from (f"  {item}" for item in found[:NAMED])
    if len(found) > NAMED:
        yield f"  ... and {len(found) - NAMED} more"


def _duplicate(duplicate: Duplicate) -> str:
    return f"{duplicate.side}: {', '.join(duplicate.stems)}"

"""How `predict` prints answers: JSON Lines, CSV or a table, each line as soon as it is there."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from actionstream.batch.output import csv_line
from actionstream.draw import display_name, percent
from actionstream.draw.labels import UNKNOWN
from actionstream.results import Answer, Candidate, Segment

Format = Literal["table", "json", "csv"]

SEVERAL = "several actions"  # no longer than UNKNOWN
_WIDEST_SOURCE = 60
_NARROWEST_SOURCE = 12
_SURE_WIDTH = 4
_WHEN_WIDTH = len("000.0-000.0 s")  # of a video with one segment
_MOST_SEGMENTS = 4
_GAP = "  "
_INDENT = "    "


class Layout(Protocol):
    """Turns answers into text; every text ends with a newline."""

    def header(self) -> str: ...
    def row(self, answer: Answer) -> str: ...


def choose_layout(
    kind: Format,
    *,
    top: int,
    sources: Sequence[str],
    labels: Sequence[str],
    width: int | None = None,
) -> Layout:
    """The layout of that kind. A table's columns are as wide as these sources and labels need.

    No line of a table is wider than `width` cells, None: as wide as need be.
    """
    if kind == "json":
        return JsonLines(top)
    if kind == "csv":
        return Csv(top)
    return Table.fitting(sources, labels, top, width)


@dataclass(frozen=True, slots=True)
class JsonLines:
    """One object a line, floats unrounded."""

    top: int

    def header(self) -> str:
        return ""

    def row(self, answer: Answer) -> str:
        return answer.to_json(top=self.top) + "\n"


@dataclass(frozen=True, slots=True)
class Csv:
    """A header and one row a source; what does not apply is empty."""

    top: int

    def header(self) -> str:
        places = range(1, self.top + 1)
        labels = [f"top{place}" for place in places]
        confidences = [f"top{place}_confidence" for place in places]
        first = ["source", "status", "label", "confidence", "known", "known_score"]
        return csv_line([*first, *labels, *confidences, "error_kind", "error_message"])

    def row(self, answer: Answer) -> str:
        if answer.error is not None:
            empty = [""] * (4 + 2 * self.top)
            kind, message = answer.error.kind, answer.error.message
            return csv_line([answer.source, "error", *empty, kind, message])
        top: list[Candidate | None] = [*answer.top(self.top)]
        top += [None] * (self.top - len(top))
        fields = [
            *[answer.source, "ok", answer.label or "", repr(answer.confidence)],
            *["true" if answer.known else "false", repr(answer.known_score)],
            *["" if candidate is None else candidate.label for candidate in top],
            *["" if candidate is None else repr(candidate.confidence) for candidate in top],
        ]
        return csv_line([*fields, "", ""])


@dataclass(frozen=True, slots=True)
class Table:
    """Aligned columns for people; widths in terminal cells.

    With `width` no line is longer: a path is shortened in its middle, and what has no place beside
    it (the candidates, the segments, the warnings) goes to lines of its own below the row.
    """

    top: int
    width: int | None
    source_width: int
    action_width: int
    top_width: int

    @classmethod
    def fitting(
        cls, sources: Sequence[str], labels: Sequence[str], top: int, width: int | None
    ) -> Table:
        source = max((cell_len(_visible(name)) for name in sources), default=0)
        names = [cell_len(display_name(label)) for label in labels]
        label, shown = max(names, default=0), min(top, len(names))
        action_width = max(label, len(UNKNOWN))
        source_width = min(max(source, len("SOURCE")), _WIDEST_SOURCE)
        top_width = max(shown * (label + len(" >99%, ")) - len(", "), len(f"TOP {shown}"))
        rest = action_width + _SURE_WIDTH + 2 * len(_GAP)
        if width is not None:
            source_width = max(min(source_width, width - rest), _NARROWEST_SOURCE)
            if source_width + rest + top_width + _WHEN_WIDTH + 2 * len(_GAP) > width:
                top_width = 0
        return cls(top, width, source_width, action_width, top_width)

    def header(self) -> str:
        last = [f"TOP {self.top}", "WHEN"] if self.top_width else ["WHEN"]
        line = self._line("SOURCE", "ACTION", "SURE", last)
        if self.width is not None and cell_len(line) > self.width:
            line = self._line("SOURCE", "ACTION", "SURE", [])
        return f"{line}\n"

    def row(self, answer: Answer) -> str:
        if answer.error is not None:
            reason = answer.error.message.removeprefix(f"{answer.source}: ")
            return self._failed(answer.source, f"error: {_visible(reason)}")
        top = ", ".join(_candidate(candidate) for candidate in answer.top(self.top))
        action, sure = _headline(answer)
        when = "; ".join(_when(answer))
        notes = [f"note: {notice.message}" for notice in answer.warnings]
        last = [top, when] if self.top_width else [when]
        below = notes if self.top_width else [top, *notes]
        return self._row(answer.source, action, sure, last, below)

    def _row(self, source: str, action: str, sure: str, last: list[str], below: list[str]) -> str:
        line = self._line(source, action, sure, last)
        if self.width is not None and cell_len(line) > self.width:
            line, below = self._line(source, action, sure, last[:-1]), [last[-1], *below]
        return "".join(f"{text}\n" for text in [line, *self._wrapped(below)])

    def _line(self, source: str, action: str, sure: str, last: Sequence[str]) -> str:
        widths = (self.source_width, self.action_width, _SURE_WIDTH, self.top_width)
        texts = [shorten(source, self.source_width), action, sure.rjust(_SURE_WIDTH), *last]
        padded = [_padded(text, width) for text, width in zip(texts, widths, strict=False)]
        return _GAP.join([*padded, *map(_visible, texts[len(padded) :])]).rstrip()

    def _failed(self, source: str, reason: str) -> str:
        name = _padded(shorten(source, self.source_width), self.source_width)
        line = f"{name}{_GAP}{reason}"
        if self.width is None or cell_len(line) <= self.width:
            return f"{line}\n"
        return "".join(f"{text}\n" for text in [name.rstrip(), *self._wrapped([reason])])

    def _wrapped(self, texts: Sequence[str]) -> Iterator[str]:
        """Indented lines no wider than the terminal."""
        for text in map(_visible, texts):
            if self.width is None:
                yield _INDENT + text
                continue
            width = max(self.width - len(_INDENT), 1)
            for line in Text(text).wrap(Console(file=io.StringIO(), width=width), width):
                yield _INDENT + line.plain.rstrip()


def terminal_width() -> int | None:
    """Cells of the terminal that stdout is, or of COLUMNS; None where it is neither."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal():
        return Console().width
    return None


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` cells: what does not fit is left out of its middle."""
    shown = _visible(text)
    if cell_len(shown) <= width:
        return shown
    kept = max(width - 1, 0)
    begin = set_cell_size(shown, kept // 3).rstrip()
    end = shown
    while cell_len(end) > kept - cell_len(begin):
        end = end[1:]
    return f"{begin}…{end}"


def _padded(text: str, width: int) -> str:
    shown = _visible(text)
    return shown + " " * (width - cell_len(shown))


def _visible(text: str) -> str:
    """`text` on one line, without characters that would steer the terminal."""
    return "".join(c if c.isprintable() else "�" for c in text)


def _candidate(candidate: Candidate) -> str:
    return f"{display_name(candidate.label)} {percent(candidate.confidence)}"


def _headline(answer: Answer) -> tuple[str, str]:
    """The action and how sure it is; of several actions the segments tell."""
    if answer.several:
        return SEVERAL, ""
    if answer.label is None:
        return UNKNOWN, ""
    return display_name(answer.label), percent(answer.confidence)


def _when(answer: Answer) -> list[str]:
    segments = answer.segments
    if len(segments) == 1 and segments[0].label == answer.label:
        return [_times(segments[0])]
    shown = [_stretch(segment) for segment in segments[:_MOST_SEGMENTS]]
    more = len(segments) - len(shown)
    return [*shown, f"{more} more (all with --json)"] if more else shown


def _stretch(segment: Segment) -> str:
    return f"{_times(segment)} {display_name(segment.label)}"


def _times(segment: Segment) -> str:
    return f"{segment.start_seconds:.1f}-{segment.end_seconds:.1f} s"

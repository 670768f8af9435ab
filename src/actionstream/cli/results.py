"""How `predict` prints answers: JSON Lines, CSV or a table, each line as soon as it is there."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from rich.cells import cell_len, set_cell_size

from actionstream.draw import percent
from actionstream.results import Answer, Candidate, Segment

Format = Literal["table", "json", "csv"]

NO_ACTION = "no known action"
_WIDEST_SOURCE = 60
_MOST_SEGMENTS = 4


class Layout(Protocol):
    """Turns answers into text; every text ends with a newline."""

    def header(self) -> str: ...
    def row(self, answer: Answer) -> str: ...


def choose_layout(
    kind: Format, *, top: int, sources: Sequence[str], labels: Sequence[str]
) -> Layout:
    """The layout of that kind. A table's columns are as wide as these sources and labels need."""
    if kind == "json":
        return JsonLines(top)
    if kind == "csv":
        return Csv(top)
    return Table.fitting(sources, labels, top)


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
        return _csv_line([*first, *labels, *confidences, "error_kind", "error_message"])

    def row(self, answer: Answer) -> str:
        if answer.error is not None:
            empty = [""] * (4 + 2 * self.top)
            kind, message = answer.error.kind, answer.error.message
            return _csv_line([answer.source, "error", *empty, kind, message])
        top: list[Candidate | None] = [*answer.top(self.top)]
        top += [None] * (self.top - len(top))
        fields = [
            *[answer.source, "ok", answer.label or "", repr(answer.confidence)],
            *["true" if answer.known else "false", repr(answer.known_score)],
            *["" if candidate is None else candidate.label for candidate in top],
            *["" if candidate is None else repr(candidate.confidence) for candidate in top],
        ]
        return _csv_line([*fields, "", ""])


def _csv_line(fields: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    return text.getvalue()


@dataclass(frozen=True, slots=True)
class Table:
    """Aligned columns for people; widths in terminal cells."""

    top: int
    source_width: int
    action_width: int
    top_width: int

    @classmethod
    def fitting(cls, sources: Sequence[str], labels: Sequence[str], top: int) -> Table:
        source = max((cell_len(_visible(name)) for name in sources), default=0)
        label = max(cell_len(_visible(name)) for name in labels)
        shown = min(top, len(labels))
        return cls(
            top,
            min(max(source, len("SOURCE")), _WIDEST_SOURCE),
            max(label, len(NO_ACTION)),
            max(shown * (label + len(" 100%, ")) - len(", "), len(f"TOP {shown}")),
        )

    def header(self) -> str:
        return self._line("SOURCE", "ACTION", "SURE", f"TOP {self.top}", "WHEN")

    def row(self, answer: Answer) -> str:
        if answer.error is not None:
            reason = answer.error.message.removeprefix(f"{answer.source}: ")
            return self._pad(answer.source, self.source_width) + f"  error: {_visible(reason)}\n"
        top = ", ".join(f"{c.label} {percent(c.confidence)}" for c in answer.top(self.top))
        action = NO_ACTION if answer.label is None else answer.label
        sure = "" if answer.label is None else percent(answer.confidence)
        when = "; ".join(_when(answer) + _damage(answer))
        return self._line(answer.source, action, sure, top, when)

    def _line(self, source: str, action: str, sure: str, top: str, when: str) -> str:
        columns = [
            self._pad(source, self.source_width),
            self._pad(action, self.action_width),
            sure.rjust(4),
            self._pad(top, self.top_width),
            _visible(when),
        ]
        return "  ".join(columns).rstrip() + "\n"

    @staticmethod
    def _pad(text: str, width: int) -> str:
        """`text` in `width` cells; a longer one keeps its end, which names the file."""
        shown = _visible(text)
        if cell_len(shown) <= width:
            return set_cell_size(shown, width)
        while cell_len(shown) > width - 1:
            shown = shown[1:]
        return set_cell_size(f"…{shown}", width)


def _visible(text: str) -> str:
    """`text` on one line, without characters that would steer the terminal."""
    return "".join(c if c.isprintable() else "�" for c in text)


def _when(answer: Answer) -> list[str]:
    segments = answer.segments
    if len(segments) == 1 and segments[0].label == answer.label:
        return [_times(segments[0])]
    shown = [_stretch(segment) for segment in segments[:_MOST_SEGMENTS]]
    more = len(segments) - len(shown)
    return [*shown, f"{more} more (all with --json)"] if more else shown


def _stretch(segment: Segment) -> str:
    label = NO_ACTION if segment.label is None else segment.label
    return f"{_times(segment)} {label}"


def _times(segment: Segment) -> str:
    return f"{segment.start_seconds:.1f}-{segment.end_seconds:.1f} s"


def _damage(answer: Answer) -> list[str]:
    if answer.video is None:
        return []
    packets = answer.video.corrupt_packets
    counted = [f"{packets} damaged packet{'s' if packets > 1 else ''}"] if packets else []
    return [*counted, *(["cut off"] if answer.video.truncated else [])]

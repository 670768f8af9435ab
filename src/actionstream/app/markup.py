"""Small pieces of HTML that Streamlit has no widget for, and texts of strangers made harmless.

Pure functions; every text (names of files, labels and sentences of a bundle) is escaped.

The pieces stand in `st.html`, are replaced in place several times a second and never change their
height. Pictures would not do: Streamlit keeps every picture of a fragment until the page changes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from actionstream.draw import colour_of, display_name, percent
from actionstream.results import Candidate, Segment

NO_ACTION = "No known action"
MOST_ROWS = 6
"""Labels with a row of their own in a timeline; the rest share one."""
FINEST = 600
"""A timeline is drawn in at most this many pieces a row, however many segments there are."""
MOST_STOPS = 40
"""Pieces of a timeline that the keyboard stops at; more would be a trap."""
MOST_LETTERS = 120
"""A longer name loses its middle: it would push everything else off the page."""
_JOINERS = "\u200c\u200d"  # Persian, Indic scripts and emoji need them
_UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Co", "Cs", "Cn"})
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_WORD_JOINER = "\u2060"
_MARKUP = "\\`*_{}[]()<>#+-!|~$:&"


def answer(
    shown: str | None,
    confidence: float,
    top: Sequence[Candidate],
    *,
    note: str = "",
    title: str | None = None,
) -> str:
    """The top action in green (grey if it is no known one), the best candidates with bars.

    `title` stands in its place where one action does not say what happens.
    """
    number = html(percent(confidence)) if shown is not None and title is None else ""
    rows = "".join(_bar(candidate, candidate.label == shown) for candidate in top)
    kind = "as-unknown" if shown is None and title is None else "as-known"
    return _card(kind, title or name_of(shown), number, note, rows)


def placeholder(title: str, note: str = "") -> str:
    """As high as `answer`, before there is one."""
    empty = '<div class="as-row"><div class="as-track"></div></div>' * 3
    return _card("as-unknown", title, "", note, empty)


def name_of(label: str | None) -> str:
    """The label for people."""
    return NO_ACTION if label is None else display_name(label)


def _card(kind: str, title: str, number: str, note: str, rows: str) -> str:
    return (
        f'<div class="as-answer"><h2 class="as-head {kind}">'
        f'<span class="as-label" data-testid="action">{html(title)}</span>'
        f'<span class="as-number" data-testid="confidence">{number}</span></h2>'
        f'<div class="as-note">{html(note)}</div>{rows}</div>'
    )


def _bar(candidate: Candidate, is_shown: bool) -> str:
    share = min(max(candidate.confidence, 0.0), 1.0)
    kind = "as-row as-shown" if is_shown else "as-row"
    return (
        f'<div class="{kind}" data-testid="candidate"><span>{html(name_of(candidate.label))}</span>'
        f'<span class="as-number">{html(percent(share))}</span>'
        f'<div class="as-track"><div class="as-fill" style="width:{100 * share:.1f}%"></div></div>'
        "</div>"
    )


def tiles(pairs: Iterable[tuple[str, str]]) -> str:
    """Figures with their names, side by side."""
    cells = "".join(
        f'<div class="as-tile"><span class="as-value" data-testid="{_slug(name)}">{html(value)}'
        f"</span><span>{html(name)}</span></div>"
        for name, value in pairs
    )
    return f'<div class="as-tiles">{cells}</div>'


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts."""
    cells = "".join(f'<th scope="col">{html(name)}</th>' for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html(text)}</td>" for text in row) + "</tr>" for row in rows
    )
    return (
        f'<table class="as-table"><caption>{html(caption)}</caption>'
        f"<thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One label of a timeline: its name, its colour in CSS, and when it was shown."""

    name: str
    colour: str
    pieces: tuple[tuple[float, float], ...]


def timeline_rows(
    segments: Sequence[Segment], start_seconds: float, duration: float, top: str | None
) -> list[Row]:
    """A row a label in the order of appearance, no known action last; `top` is "as-green".

    Only what lies within the time asked for; pieces that no eye could tell apart are joined.
    """
    by_label: dict[str | None, list[Segment]] = {}
    for part in segments:
        if part.end_seconds > start_seconds and part.start_seconds < start_seconds + duration:
            by_label.setdefault(part.label, []).append(part)
    unknown = by_label.pop(None, [])
    longest = sorted(by_label, key=lambda label: -_length(by_label[label]))
    own = set(longest[: MOST_ROWS - 1] if len(longest) > MOST_ROWS else longest)
    found = [
        (name_of(label), _css(label, top), by_label[label]) for label in by_label if label in own
    ]
    others = [part for label, parts in by_label.items() if label not in own for part in parts]
    if others:
        found.append(("Other actions", "rgb(120 134 158)", others))
    if unknown:
        found.append((NO_ACTION, _css(None, top), unknown))
    return [Row(name, colour, _merged(parts, duration / FINEST)) for name, colour, parts in found]


def _length(parts: Iterable[Segment]) -> float:
    return sum(part.end_seconds - part.start_seconds for part in parts)


def _merged(parts: Sequence[Segment], finest_seconds: float) -> tuple[tuple[float, float], ...]:
    joined: list[tuple[float, float]] = []
    for part in sorted(parts, key=lambda part: part.start_seconds):
        if joined and part.start_seconds - joined[-1][1] < finest_seconds:
            joined[-1] = (joined[-1][0], max(part.end_seconds, joined[-1][1]))
        else:
            joined.append((part.start_seconds, part.end_seconds))
    return tuple(joined)


def timeline(
    segments: Sequence[Segment],
    start_seconds: float,
    duration_seconds: float,
    axis: Iterable[str],
    *,
    top: str | None = None,
    seek: bool = False,
) -> str:
    """What was shown when: a row a label, a bar a segment, over an axis with these words.

    `top` is the label whose bars have the answer's green. With `seek` each bar is a button that
    the page's script takes for "show this moment in the videos".
    """
    duration = duration_seconds or 1.0
    rows = timeline_rows(segments, start_seconds, duration, top)
    stops = sum(len(row.pieces) for row in rows) <= MOST_STOPS
    lanes = "".join(
        f'<div class="as-when">{html(row.name)}</div><div class="as-lane">'
        + "".join(_piece(row, piece, start_seconds, duration, seek, stops) for piece in row.pieces)
        + "</div>"
        for row in rows
    )
    lanes = lanes or '<div class="as-when"></div><div class="as-lane"></div>'
    words = "".join(f"<span>{html(word)}</span>" for word in axis)
    role = "group" if seek else "img"
    said = html(_in_words(segments, start_seconds, duration))
    return (
        f'<div class="as-timeline" role="{role}" aria-label="{said}">'
        f'<div class="as-when"></div><div class="as-axis">{words}</div>{lanes}</div>'
    )


def _piece(
    row: Row, piece: tuple[float, float], start: float, duration: float, seek: bool, stops: bool
) -> str:
    left, right = (min(max((moment - start) / duration, 0.0), 1.0) for moment in piece)
    words = html(f"{row.name}, {clock(piece[0] - start)} to {clock(piece[1] - start)}")
    colour = "var(--as-green)" if row.colour == "as-green" else row.colour
    style = f'style="left:{100 * left:.2f}%;width:{100 * (right - left):.2f}%;background:{colour}"'
    if not seek:
        return f'<div {style} title="{words}"></div>'
    focus = "" if stops else ' tabindex="-1"'
    return (
        f'<button type="button" {style} title="{words}" aria-label="Show {words}"'
        f' data-seek="{piece[0] - start:.3f}"{focus}></button>'
    )


def _in_words(segments: Sequence[Segment], start: float, duration: float) -> str:
    said = [
        f"{name_of(part.label)} from {clock(part.start_seconds - start)} "
        f"to {clock(part.end_seconds - start)}"
        for part in segments
        if part.end_seconds > start and part.start_seconds < start + duration
    ]
    return "Timeline: " + ("; ".join(said[:20]) or "nothing yet")


def _css(label: str | None, top: str | None) -> str:
    if label is not None and label == top:
        return "as-green"
    red, green, blue = colour_of(label)
    return f"rgb({red} {green} {blue})"


def readable(text: str) -> str:
    """The text without characters that nobody sees or that turn the reading direction.

    "a\u202egpj.mp4" would be shown as "a4pm.jpg". Tabs and line breaks become spaces.
    """
    return "".join(_seen(letter) for letter in text)


def _seen(letter: str) -> str:
    if letter in "\t\n\r":
        return " "
    hidden = unicodedata.category(letter) in _UNSEEN and letter not in _JOINERS
    return _REPLACEMENT if hidden else letter


def shortened(name: str, most_letters: int = MOST_LETTERS) -> str:
    """The name, or its beginning and its end."""
    if len(name) <= most_letters:
        return name
    half = (most_letters - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def plain(text: str) -> str:
    """For places where Streamlit would read Markdown in the text, titles and buttons too.

    Backslashes are not enough: addresses, e-mails and :emoji: are looked for after they are gone.
    So something invisible stands behind what these begin with.
    """
    escaped = "".join(f"\\{letter}" if letter in _MARKUP else letter for letter in readable(text))
    return re.sub(r"(?i)(www|[:@])", rf"\1{_WORD_JOINER}", escaped)


def html(text: str) -> str:
    """For HTML, also inside of quotes."""
    return escape(readable(text))


def clock(seconds: float, *, whole: bool = False) -> str:
    """A time as people say it: "3.2 s" ("3 s" if `whole`), "1:05", "1:00:05"."""
    seconds = max(seconds, 0.0)
    if seconds < 60:
        return f"{seconds:.0f} s" if whole else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02}"
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _slug(name: str) -> str:
    return name.lower().replace(" ", "-")

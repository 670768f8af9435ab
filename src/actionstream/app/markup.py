"""Small pieces of HTML that Streamlit has no widget for. Pure functions; every text is escaped.

They stand in `st.html`, are replaced in place several times a second and never change their
height. Pictures would not do: Streamlit keeps every picture of a fragment until the page changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from actionstream.app.text import html
from actionstream.draw import colour_of, percent, spoken
from actionstream.results import Candidate, Segment

NO_ACTION = "No known action"
MOST_ROWS = 6
"""Labels with a row of their own in a timeline; the rest share one."""
FINEST = 600
"""A timeline is drawn in at most this many pieces a row, however many segments there are."""


def answer(
    shown: str | None, confidence: float, top: Sequence[Candidate], *, note: str = ""
) -> str:
    """The top action in green (grey if it is no known one), the best candidates with bars."""
    known = shown is not None
    name = spoken(shown) if shown is not None else NO_ACTION
    number = html(percent(confidence)) if known else ""
    head = (
        f'<div class="as-head {"as-known" if known else "as-unknown"}">'
        f'<span class="as-label" data-testid="action">{html(name)}</span>'
        f'<span class="as-number" data-testid="confidence">{number}</span></div>'
    )
    rows = "".join(_bar(candidate, candidate.label == shown) for candidate in top)
    return f'<div class="as-answer">{head}<div class="as-note">{html(note)}</div>{rows}</div>'


def placeholder(title: str, note: str = "") -> str:
    """As high as `answer`, before there is one."""
    empty = '<div class="as-row"><div class="as-track"></div></div>' * 3
    return (
        '<div class="as-answer"><div class="as-head as-unknown">'
        f'<span class="as-label" data-testid="action">{html(title)}</span></div>'
        f'<div class="as-note">{html(note)}</div>{empty}</div>'
    )


def _bar(candidate: Candidate, is_shown: bool) -> str:
    share = min(max(candidate.confidence, 0.0), 1.0)
    kind = "as-row as-shown" if is_shown else "as-row"
    name = html(spoken(candidate.label))
    return (
        f'<div class="{kind}" data-testid="candidate"><span>{name}</span>'
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


def timeline(
    segments: Sequence[Segment], start_seconds: float, duration_seconds: float, axis: Iterable[str]
) -> str:
    """What was shown when: a row a label, a bar a segment, over an axis with these words."""
    duration = duration_seconds or 1.0
    within = [
        segment
        for segment in segments
        if segment.end_seconds > start_seconds and segment.start_seconds < start_seconds + duration
    ]
    rows = "".join(
        _timeline_row(name, colour, _merged(parts, duration / FINEST), start_seconds, duration)
        for name, colour, parts in _rows(within)
    )
    words = "".join(f"<span>{html(word)}</span>" for word in axis)
    return (
        f'<div class="as-timeline" role="img" aria-label="{html(_in_words(within))}">'
        f'<div class="as-when"></div><div class="as-axis">{words}</div>{rows}</div>'
    )


def _rows(segments: Sequence[Segment]) -> list[tuple[str, str, list[Segment]]]:
    by_label: dict[str | None, list[Segment]] = {}
    for segment in segments:
        by_label.setdefault(segment.label, []).append(segment)
    unknown = by_label.pop(None, [])
    longest = sorted(by_label, key=lambda label: -_length(by_label[label]))
    kept = set(longest[: MOST_ROWS - 1] if len(longest) > MOST_ROWS else longest)
    rows = [
        (spoken(label or ""), _css(label), parts)
        for label, parts in by_label.items()
        if label in kept
    ]
    others = [part for label, parts in by_label.items() if label not in kept for part in parts]
    if others:
        rows.append(("Other actions", "rgb(120 134 158)", others))
    if unknown or not rows:
        rows.append((NO_ACTION, _css(None), unknown))
    return rows


def _length(parts: Iterable[Segment]) -> float:
    return sum(part.end_seconds - part.start_seconds for part in parts)


def _merged(parts: Sequence[Segment], finest_seconds: float) -> list[tuple[float, float]]:
    """Starts and ends; pieces that no eye could tell apart are joined."""
    joined: list[tuple[float, float]] = []
    for part in sorted(parts, key=lambda part: part.start_seconds):
        if joined and part.start_seconds - joined[-1][1] < finest_seconds:
            joined[-1] = (joined[-1][0], max(part.end_seconds, joined[-1][1]))
        else:
            joined.append((part.start_seconds, part.end_seconds))
    return joined


def _timeline_row(
    name: str,
    colour: str,
    pieces: Iterable[tuple[float, float]],
    start_seconds: float,
    duration: float,
) -> str:
    bars = ""
    for begin, end in pieces:
        left = min(max((begin - start_seconds) / duration, 0.0), 1.0)
        width = min(max((end - start_seconds) / duration, 0.0), 1.0) - left
        bars += (
            f'<div style="left:{100 * left:.2f}%;width:{100 * width:.2f}%;background:{colour}" '
            f'title="{html(name)}, {clock(begin - start_seconds)} to '
            f'{clock(end - start_seconds)}"></div>'
        )
    return f'<div class="as-when">{html(name)}</div><div class="as-lane">{bars}</div>'


def _in_words(segments: Sequence[Segment]) -> str:
    said = [
        f"{spoken(part.label) if part.label else NO_ACTION} from {clock(part.start_seconds)} "
        f"to {clock(part.end_seconds)}"
        for part in segments[:20]
    ]
    return "Timeline: " + ("; ".join(said) or "nothing yet")


def clock(seconds: float) -> str:
    """A time as people say it: "3.2 s", "1:05", "1:00:05"."""
    seconds = max(seconds, 0.0)
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02}"
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _css(label: str | None) -> str:
    red, green, blue = colour_of(label)
    return f"rgb({red} {green} {blue})"


def _slug(name: str) -> str:
    return name.lower().replace(" ", "-")

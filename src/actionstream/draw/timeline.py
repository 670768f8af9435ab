"""What happens when: a row a label, a bar a segment, over an axis of time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from actionstream.draw.labels import UNKNOWN, Colour, colour_of, spoken
from actionstream.draw.text import CAP_HEIGHT, Text, fit, write, write_right
from actionstream.results import Pixels, Segment

_MOST_ROWS = 8  # labels with a row of their own; the rest share one
_SMALLEST_TEXT = 9
_SMALLEST_PICTURE = (160, 60)
_SUBSECOND_STEPS = (0.1, 0.2, 0.5)
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200)
_ROOMY, _TIGHT = 2.1, 1.5  # height of a row as multiples of the text's size
_FOOT = 2.2  # height below the rows, likewise
_OTHERS_COLOUR: Colour = (120, 134, 158)


@dataclass(frozen=True, slots=True)
class _Theme:
    paper: Colour
    ink: Colour
    faint: Colour  # the lines of the axis
    track: Colour  # a row's empty part


_LIGHT = _Theme((255, 255, 255), (38, 42, 50), (214, 218, 224), (241, 243, 246))
_DARK = _Theme((17, 20, 25), (226, 230, 236), (58, 64, 74), (31, 35, 42))


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    colour: Colour
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class _Axis:
    """The piece of time that is drawn, and the columns that it covers: [left, right)."""

    start_seconds: float
    duration_seconds: float
    left: int
    right: int

    def column(self, seconds: float) -> int:
        share = (seconds - self.start_seconds) / self.duration_seconds
        return self.left + round(min(max(share, 0.0), 1.0) * (self.right - self.left))


def draw_timeline(
    segments: Sequence[Segment],
    duration_seconds: float,
    *,
    start_seconds: float = 0.0,
    width: int = 960,
    height: int | None = None,
    dark: bool = False,
) -> Pixels:
    """A picture of what happens when.

    The labels present for longest have a row each, in the order in which they first appear, with
    bars in `colour_of(label)`; further labels share the row "other actions", and "no known
    action" stands last. A bar reaches from the column of its start to that of its end, rounded
    to the pixel, and is at least one pixel wide.

    Args:
        segments: what was shown when, in seconds; pieces outside the time drawn are cut off.
        duration_seconds: how much time is drawn. With 0 (a video of one frame) a second is.
        start_seconds: the time at the left edge, for the last minute of a stream.
        width: pixels, at least 160; text grows with it.
        height: pixels, at least 60; None is as high as the rows need.
        dark: light text on a dark ground.

    Returns:
        RGB uint8 [height, width, 3].

    Raises:
        ValueError: a duration below 0 or not finite, or a picture too small.
    """
    _check(duration_seconds, start_seconds, width, height)
    duration_seconds = duration_seconds or 1.0
    shown = _within(segments, start_seconds, start_seconds + duration_seconds)
    rows = _rows(shown, _MOST_ROWS + 2)
    size = round(10 + width / 190)
    if height is None:
        height = max(_SMALLEST_PICTURE[1], round((len(rows) * _ROOMY + _FOOT + 1) * size))
    else:
        size = max(_SMALLEST_TEXT, min(size, int(height / (len(rows) * _TIGHT + _FOOT + 1))))
        rows = _rows(shown, int((height / size - _FOOT - 1) / _TIGHT))
    foot = round(_FOOT * size)
    theme = _DARK if dark else _LIGHT
    picture = np.full((height, width, 3), theme.paper, dtype=np.uint8)
    names = [_name(row, size, width) for row in rows]
    left = size + max((name.width for name in names), default=0) + size
    axis = _Axis(start_seconds, duration_seconds, left, width - 2 * size)
    bottom = height - foot
    _draw_axis(picture, axis, theme, size, bottom)
    for index, (row, name) in enumerate(zip(rows, names, strict=True)):
        top = size // 2 + index * (bottom - size // 2) // len(rows)
        end = size // 2 + (index + 1) * (bottom - size // 2) // len(rows)
        _draw_row(picture, row, name, axis, theme, top, end)
    return picture


def _check(duration: float, start: float, width: int, height: int | None) -> None:
    if not (math.isfinite(duration) and duration >= 0):
        raise ValueError(f"a timeline's duration is finite and at least 0 s, got {duration!r}")
    if not math.isfinite(start):
        raise ValueError(f"a timeline starts at a finite time, got {start!r}")
    if width < _SMALLEST_PICTURE[0] or (height is not None and height < _SMALLEST_PICTURE[1]):
        smallest = "x".join(map(str, _SMALLEST_PICTURE))
        raise ValueError(f"a timeline is at least {smallest} pixels, got {width}x{height}")


def _within(segments: Sequence[Segment], start: float, end: float) -> list[Segment]:
    """The pieces of segments in [start, end); those of no length, too, if they begin there."""
    return [
        replace(s, start_seconds=max(s.start_seconds, start), end_seconds=min(s.end_seconds, end))
        for s in segments
        if start <= s.start_seconds < end or s.start_seconds < start < s.end_seconds
    ]


def _rows(segments: Sequence[Segment], room: int) -> list[_Row]:
    """At most `room` rows, but two where both are needed: labels, others, no known action."""
    by_label: dict[str, list[Segment]] = {}
    unknown = tuple(s for s in segments if s.label is None)
    for segment in segments:
        if segment.label is not None:
            by_label.setdefault(segment.label, []).append(segment)
    room = max(1, room - bool(unknown))
    most = room if len(by_label) <= min(room, _MOST_ROWS) else min(room - 1, _MOST_ROWS)
    by_presence = sorted(by_label, key=lambda label: -_presence(by_label[label]))
    chosen = set(by_presence[:most])
    rows = [_Row(spoken(k), colour_of(k), tuple(v)) for k, v in by_label.items() if k in chosen]
    others = tuple(s for s in segments if s.label is not None and s.label not in chosen)
    if others:
        rows.append(_Row("other actions" if chosen else "actions", _OTHERS_COLOUR, others))
    if unknown:
        rows.append(_Row(UNKNOWN, colour_of(None), unknown))
    return rows


def _presence(segments: Sequence[Segment]) -> float:
    return sum(s.end_seconds - s.start_seconds for s in segments)


def _name(row: _Row, size: int, width: int) -> Text:
    smallest = max(_SMALLEST_TEXT, round(0.8 * size))
    return fit(Text(row.name, size), round(0.3 * width), smallest=smallest)


def _draw_row(
    picture: Pixels, row: _Row, name: Text, axis: _Axis, theme: _Theme, top: int, end: int
) -> None:
    baseline = (top + end + round(CAP_HEIGHT * name.size)) // 2
    write_right(picture, name, axis.left - name.size, baseline, theme.ink)
    gap = max(1, (end - top) // 7)
    band = picture[top + gap : end - gap]
    for segment in row.segments:
        first = min(axis.column(segment.start_seconds), axis.right - 1)
        last = max(first + 1, axis.column(segment.end_seconds))
        band[:, first:last] = row.colour


def _draw_axis(picture: Pixels, axis: _Axis, theme: _Theme, size: int, bottom: int) -> None:
    """Tracks behind the rows, a line and a time at every tick."""
    picture[size // 2 : bottom, axis.left : axis.right] = theme.track
    picture[bottom, axis.left : axis.right] = theme.faint
    step = _tick_step(axis, size)
    first = math.ceil(axis.start_seconds / step - 1e-9)
    last = math.floor((axis.start_seconds + axis.duration_seconds) / step + 1e-9)
    free = 0  # the first column that no time stands in yet
    for index in range(first, last + 1):
        column = min(axis.column(index * step), axis.right - 1)
        picture[size // 2 : bottom + size // 3, column] = theme.faint
        text = Text(_clock(index * step, step, axis), round(0.86 * size))
        left = min(column - text.width // 2, picture.shape[1] - text.width - 1)
        if left >= free:
            write(picture, text, left, bottom + round(1.4 * size), theme.ink)
            free = left + text.width + size // 2


def _tick_step(axis: _Axis, size: int) -> float:
    """The smallest step, in seconds, that leaves room for its times."""
    most = max(1, (axis.right - axis.left) // (5 * size))
    least = axis.duration_seconds / most
    for step in (*_SUBSECOND_STEPS, *_STEPS):
        if step >= least:
            return float(step)
    return float(_STEPS[-1] * 2 ** math.ceil(math.log2(least / _STEPS[-1])))


def _clock(seconds: float, step: float, axis: _Axis) -> str:
    """A time as "2.5 s", "7 s", "1:05" or "2:00:00", alike all along an axis."""
    end = axis.start_seconds + axis.duration_seconds
    if step < 1:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if end < 60:
        return f"{whole} s"
    sign, whole = ("-", -whole) if whole < 0 else ("", whole)
    minutes, rest = divmod(whole, 60)
    if end < 3600:
        return f"{sign}{minutes}:{rest:02}"
    return f"{sign}{minutes // 60}:{minutes % 60:02}:{rest:02}"

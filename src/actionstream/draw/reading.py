"""A reading on its frame: the action in green, the runners-up beneath, on a dark plate.

::

    ┌──────────────────────────┐
    │ Playing Piano        97% │   headline, green
    │ ████████████████████▌    │
    │ Drumming    ▌         2% │   runners-up, light
    │ Typing      ▏         1% │
    └──────────────────────────┘

The plate's size depends on the frame's size only, so that nothing jumps while labels change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from actionstream.draw.labels import UNKNOWN, Colour, spoken, visible
from actionstream.draw.text import BOLD, CAP_HEIGHT, REGULAR, Text, fit, write, write_right
from actionstream.frames import Candidate, Pixels, Status, check_pixels

GREEN: Colour = (0, 230, 90)
LIGHT: Colour = (238, 240, 242)
NEUTRAL: Colour = (214, 217, 221)
_TRACK: Colour = (92, 96, 102)  # the empty part of a bar
_PLATE = 14  # the plate's grey
_OPACITY = 0.76  # of the plate: green on it has a contrast of 5:1 on a white frame
_RUNNERS_UP = 2
_SMALLEST_TEXT = 8  # pixels; below this letters of this font run together
_TINY = (120, 90)  # narrower or lower than this: the headline only


@dataclass(frozen=True, slots=True)
class _Layout:
    """Sizes in pixels for a frame of one size."""

    big: int
    small: int
    margin: int
    pad: int
    plate_width: int
    runners_up: int
    bars: bool  # bars beside the runners-up, too; not on narrow frames

    @property
    def left(self) -> int:
        return self.margin + self.pad

    @property
    def right(self) -> int:
        return self.margin + self.plate_width - self.pad

    @property
    def bar_thickness(self) -> int:
        return max(2, self.big // 7)

    def headline(self, text: Text, *, with_number: bool) -> Text:
        """`text`, fitted to the first line."""
        room = self.right - self.left
        if with_number:  # room for the widest, so that the label does not change with the number
            room -= Text("100%", self.big, BOLD).width + self.pad
        return fit(text, room, smallest=max(_SMALLEST_TEXT, round(0.62 * self.big)))

    def has_room_for_number(self, text: Text) -> bool:
        """Whether the percentage stands beside `text`: always, but on narrow frames."""
        return self.bars or self.headline(text, with_number=True).words == text.words

    def runner_up(self, words: str) -> Text:
        """`words`, fitted to what the number and the bar leave free."""
        room = self.right - self.left - Text("100%", self.small).width - self.pad
        if self.bars:
            room -= 3 * self.small + self.pad
        smallest = max(_SMALLEST_TEXT, round(0.8 * self.small))
        return fit(Text(words, self.small), room, smallest=smallest)

    @property
    def headline_height(self) -> int:
        return self.pad + self.big + self.bar_thickness + self.pad // 2

    @property
    def row_height(self) -> int:
        return round(1.35 * self.small)


def _lay_out(height: int, width: int) -> _Layout:
    base = min(height, 0.8 * width)  # in portrait the width is what is scarce
    big = max(_SMALLEST_TEXT + 1, round(6 + 0.045 * base))
    tiny = width < _TINY[0] or height < _TINY[1]
    margin = 1 if tiny else max(2, round(0.02 * base))
    return _Layout(
        big=big,
        small=max(_SMALLEST_TEXT + 1, round(0.68 * big)),
        margin=margin,
        pad=2 if tiny else max(4, round(0.4 * big)),
        plate_width=min(width - 2 * margin, round(13.5 * big)),
        runners_up=0 if tiny else _RUNNERS_UP,
        bars=base >= 160,
    )


def draw_reading(
    pixels: Pixels,
    shown: str | None,
    shown_confidence: float,
    top: Sequence[Candidate],
    *,
    status: Status = "ready",
    looks_seen: int = 0,
    looks_needed: int = 0,
    footer: str | None = None,
) -> Pixels:
    """A new picture: `pixels` with the reading drawn in its upper left corner.

    Args:
        pixels: RGB uint8 [H, W, 3], left untouched.
        shown: the label to show in green; None is "no known action", in grey.
        shown_confidence: 0 to 1, written as a percentage beside `shown`.
        top: the best candidates, best first; the two best that are not `shown` stand beneath.
        status: "warming_up" shows how far the warming up has come instead of an answer.
        looks_seen, looks_needed: for the warming up, "warming up 3/8".
        footer: a line of small text at the lower edge.

    Returns:
        RGB uint8 [H, W, 3], C-contiguous. Text grows with the frame. Frames under 120x90 carry
        the headline only; a frame too small for a few letters (24x14) comes back as it was.

    Raises:
        FrameError: `pixels` is not a uint8 array of shape [H, W, 3].
    """
    picture = check_pixels(pixels).copy(order="C")
    height, width = picture.shape[:2]
    if width < 24 or height < 14:
        return picture
    layout = _lay_out(height, width)
    runners = [c for c in top if c.label != shown][: layout.runners_up]
    rows = len(runners) if status == "ready" else 0
    bottom = layout.margin + layout.headline_height
    end = bottom + rows * layout.row_height + round(0.7 * layout.pad)
    _plate(picture, layout.margin, layout.margin, layout.plate_width, end - layout.margin)
    if status == "warming_up":
        _warming_up(picture, layout, looks_seen, looks_needed)
    elif shown is None:
        _neutral_headline(picture, layout, UNKNOWN, "unknown")
    else:
        label = Text(spoken(shown), layout.big, BOLD)
        _headline(picture, layout, label, shown_confidence, GREEN)
    for index, candidate in enumerate(runners[:rows]):
        _runner_up(picture, layout, candidate, bottom + index * layout.row_height)
    if footer:
        _footer(picture, layout, footer, end)
    return picture


def _warming_up(picture: Pixels, layout: _Layout, seen: int, needed: int) -> None:
    words = f"warming up {min(seen, needed)}/{needed}" if needed > 0 else "warming up"
    _neutral_headline(picture, layout, words, words.removeprefix("warming up "))
    if needed > 0:
        _bar(picture, layout, seen / needed, NEUTRAL)


def _neutral_headline(picture: Pixels, layout: _Layout, words: str, short: str) -> None:
    """A headline that is no action; `short` says it where the frame is too narrow."""
    text = Text(words, layout.big, REGULAR)
    if text.width > layout.right - layout.left:
        text = Text(short, layout.big, REGULAR)
    _headline(picture, layout, text, None, NEUTRAL)


def _headline(
    picture: Pixels, layout: _Layout, text: Text, confidence: float | None, colour: Colour
) -> None:
    """The first line; its percentage gives way where the frame is too narrow for both."""
    baseline = layout.margin + layout.pad + round(0.86 * layout.big)
    with_number = confidence is not None and layout.has_room_for_number(text)
    if confidence is not None:
        _bar(picture, layout, confidence, colour)
    if confidence is not None and with_number:
        number = Text(_percent(confidence), layout.big, BOLD)
        write_right(picture, number, layout.right, baseline, colour)
    fitted = layout.headline(text, with_number=with_number)
    write(picture, fitted, layout.left, baseline, colour)


def _bar(picture: Pixels, layout: _Layout, share: float, colour: Colour) -> None:
    top = layout.margin + layout.headline_height - layout.bar_thickness
    _fill_bar(picture, layout.left, layout.right, top, layout.bar_thickness, share, colour)


def _runner_up(picture: Pixels, layout: _Layout, candidate: Candidate, top: int) -> None:
    size = layout.small
    baseline = top + layout.row_height - round(0.2 * size)
    number = Text(_percent(candidate.confidence), size)
    write_right(picture, number, layout.right, baseline, LIGHT)
    if layout.bars:
        right = layout.right - Text("100%", size).width - layout.pad
        thickness = max(2, size // 4)
        middle = baseline - round(CAP_HEIGHT * size / 2) - thickness // 2
        share = candidate.confidence
        _fill_bar(picture, right - 3 * size, right, middle, thickness, share, LIGHT)
    write(picture, layout.runner_up(spoken(candidate.label)), layout.left, baseline, LIGHT)


def _footer(picture: Pixels, layout: _Layout, footer: str, highest: int) -> None:
    """The line at the lower edge, left out where it would touch the plate above."""
    height, width = picture.shape[:2]
    plate_height = round(1.3 * layout.small) + layout.pad // 2
    top = height - layout.margin - plate_height
    if top <= highest:
        return
    room = width - 2 * (layout.margin + layout.pad)
    text = fit(Text(visible(footer), layout.small), room, smallest=_SMALLEST_TEXT)
    _plate(picture, layout.margin, top, text.width + 2 * layout.pad, plate_height)
    baseline = top + (plate_height + round(CAP_HEIGHT * layout.small)) // 2
    write(picture, text, layout.left, baseline, LIGHT)


def _plate(picture: Pixels, left: int, top: int, width: int, height: int) -> None:
    """Darken a rectangle with rounded corners, in place, so that text on it can be read."""
    area = picture[top : top + height, left : left + width]
    dark = cv2.convertScaleAbs(area, alpha=1 - _OPACITY, beta=_OPACITY * _PLATE)
    radius = min(12, height // 6)
    for row in range(radius):  # how far a circle's edge lies inside at this row
        inset = radius - round((radius**2 - (radius - row - 0.5) ** 2) ** 0.5)
        for line in (row, area.shape[0] - 1 - row):
            area[line, inset : width - inset] = dark[line, inset : width - inset]
    area[radius : area.shape[0] - radius] = dark[radius : area.shape[0] - radius]


def _fill_bar(
    picture: Pixels, left: int, right: int, top: int, thickness: int, share: float, colour: Colour
) -> None:
    picture[top : top + thickness, left:right] = _TRACK
    end = left + round(_within(share) * (right - left))
    picture[top : top + thickness, left:end] = np.array(colour, dtype=np.uint8)


def _percent(confidence: float) -> str:
    return f"{_within(confidence):.0%}"


def _within(share: float) -> float:
    return min(1.0, max(0.0, share))  # in this order NaN becomes 0

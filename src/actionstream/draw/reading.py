"""A reading on its frame: the action in green, the runners-up beneath, on a dark plate.

::

    ┌──────────────────────────┐
    │ Playing Piano        97% │   headline, green
    │ ████████████████████▌    │
    │ Drumming    ▌         2% │   runners-up, light
    │ Typing      ▏         1% │
    └──────────────────────────┘

On a narrow frame the percentage stands behind the bar, and the action has the line above alone.
The plate's size depends on the frame's size only, so that nothing jumps while labels change.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from actionstream.draw.labels import UNKNOWN, Colour, display_name, percent, visible
from actionstream.draw.layout import SMALLEST_TEXT, CornerName, Layout, lay_out, place
from actionstream.draw.text import BOLD, CAP_HEIGHT, REGULAR, Text, fit, write, write_right
from actionstream.results import Candidate, Pixels, Status, check_pixels

GREEN: Colour = (0, 230, 90)
LIGHT: Colour = (238, 240, 242)
NEUTRAL: Colour = (214, 217, 221)
_TRACK: Colour = (92, 96, 102)  # the empty part of a bar
_PLATE = 14  # the plate's grey
_OPACITY = 0.76  # of the plate: green on it has a contrast of 5:1 on a white frame


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
    corner: CornerName = "top left",
) -> Pixels:
    """A new picture, C-contiguous: `pixels` with the reading drawn in one of its corners.

    Text grows with the frame. As room gets scarce labels are cut and runners-up left out; a frame
    under 24x14 comes back as it was. `enlarge` makes room.

    Args:
        pixels: RGB uint8 [H, W, 3], left untouched; FrameError if it is no such array.
        shown: the label to show in green; None is "no known action", in grey.
        shown_confidence: 0 to 1, written as a percentage beside `shown`.
        top: the best candidates, best first; the two best that are not `shown` stand beneath.
        status: "warming_up" shows how far that has come ("warming up 3/8") instead of an answer.
        footer: a line of small text at the edge across from the plate.
        corner: where the plate stands; `Corner` finds one that hides little.
    """
    picture = check_pixels(pixels).copy(order="C")
    height, width = picture.shape[:2]
    if width < 24 or height < 14:
        return picture
    layout = lay_out(height, width)
    runners = [c for c in top if c.label != shown][: layout.runners_up]
    rows = len(runners) if status == "ready" else 0
    bottom = layout.margin + layout.headline_height
    end = layout.margin + layout.plate_height(rows)
    plate = picture[place(corner, height, width, end + layout.margin, layout)]
    _plate(plate, layout, layout.margin, layout.plate_width, end - layout.margin)
    if status == "warming_up":
        _warming_up(plate, layout, looks_seen, looks_needed)
    elif shown is None:
        _neutral_headline(plate, layout, UNKNOWN, "unknown")
    else:
        label = Text(display_name(shown), layout.big, BOLD)
        _headline(plate, layout, label, shown_confidence, GREEN)
    for index, candidate in enumerate(runners[:rows]):
        _runner_up(plate, layout, candidate, bottom + index * layout.row_height)
    if footer:
        _footer(picture, layout, footer, end, below=corner.startswith("top"))
    return picture


def _warming_up(picture: Pixels, layout: Layout, seen: int, needed: int) -> None:
    count = f"{min(seen, needed)}/{needed}" if needed > 0 else ""
    _neutral_headline(picture, layout, f"warming up {count}".rstrip(), count or "warming up")
    if needed > 0:
        _bar(picture, layout, seen / needed, NEUTRAL)


def _neutral_headline(picture: Pixels, layout: Layout, words: str, short: str) -> None:
    """A headline that is no action; `short` says it where the frame is too narrow."""
    text = Text(words, layout.big, REGULAR)
    if text.width > layout.right - layout.left:
        text = Text(short, layout.big, REGULAR)
    _headline(picture, layout, text, None, NEUTRAL)


def _headline(
    picture: Pixels, layout: Layout, text: Text, confidence: float | None, colour: Colour
) -> None:
    """The first line; its percentage gives way where the frame is too small for both."""
    baseline = layout.margin + layout.pad + round(0.86 * layout.big)
    with_number = confidence is not None and layout.has_room_for_number(text)
    if confidence is not None:
        _bar(picture, layout, confidence, colour, numbered=with_number)
    if confidence is not None and with_number:
        number = Text(percent(confidence), layout.number_size, BOLD)
        base = layout.number_baseline if layout.stacked else baseline
        write_right(picture, number, layout.right, base, colour)
    fitted = layout.headline(text, with_number=with_number)
    write(picture, fitted, layout.left, baseline, colour)


def _bar(
    picture: Pixels, layout: Layout, share: float, colour: Colour, *, numbered: bool = False
) -> None:
    right = layout.right - (layout.number_room if numbered and layout.stacked else 0)
    _fill_bar(picture, layout.left, right, layout.bar_top, layout.bar_thickness, share, colour)


def _runner_up(picture: Pixels, layout: Layout, candidate: Candidate, top: int) -> None:
    size = layout.small
    baseline = top + layout.row_height - round(0.2 * size)
    number = Text(percent(candidate.confidence), size)
    write_right(picture, number, layout.right, baseline, LIGHT)
    if layout.bars:
        right = layout.right - Text("100%", size).width - layout.pad
        thickness = max(2, size // 4)
        middle = baseline - round(CAP_HEIGHT * size / 2) - thickness // 2
        share = candidate.confidence
        _fill_bar(picture, right - 3 * size, right, middle, thickness, share, LIGHT)
    write(picture, layout.runner_up(display_name(candidate.label)), layout.left, baseline, LIGHT)


def _footer(picture: Pixels, layout: Layout, footer: str, taken: int, *, below: bool) -> None:
    """The line at the lower or upper edge, left out where it would touch the reading's plate.

    `taken`: how many rows the plate takes of the other edge.
    """
    height, width = picture.shape[:2]
    plate_height = round(1.3 * layout.small) + layout.pad // 2
    if height - layout.margin - plate_height <= taken:
        return
    top = height - layout.margin - plate_height if below else layout.margin
    room = width - 2 * (layout.margin + layout.pad)
    text = fit(Text(visible(footer), layout.small), room, smallest=SMALLEST_TEXT)
    _plate(picture, layout, top, text.width + 2 * layout.pad, plate_height)
    baseline = top + (plate_height + round(CAP_HEIGHT * layout.small)) // 2
    write(picture, text, layout.left, baseline, LIGHT)


def _plate(picture: Pixels, layout: Layout, top: int, width: int, height: int) -> None:
    """Darken a rectangle with rounded corners, in place, so that text on it can be read."""
    area = picture[top : top + height, layout.margin : layout.margin + width]
    dark = cv2.convertScaleAbs(area, alpha=1 - _OPACITY, beta=_OPACITY * _PLATE)
    radius = min(12, height // 6, 2 * layout.pad)  # a larger one would bare the first letter
    for row in range(radius):  # how far a circle's edge lies inside at this row
        inset = radius - round((radius**2 - (radius - row - 0.5) ** 2) ** 0.5)
        for line in (row, area.shape[0] - 1 - row):
            area[line, inset : width - inset] = dark[line, inset : width - inset]
    area[radius : area.shape[0] - radius] = dark[radius : area.shape[0] - radius]


def _fill_bar(
    picture: Pixels, left: int, right: int, top: int, thickness: int, share: float, colour: Colour
) -> None:
    picture[top : top + thickness, left:right] = _TRACK
    end = left + round(min(1.0, max(0.0, share)) * (right - left))  # in this order NaN becomes 0
    picture[top : top + thickness, left:end] = np.array(colour, dtype=np.uint8)

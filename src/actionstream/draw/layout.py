"""How large a frame must be to be written on, in which corner the reading stands, and its parts.

A person is detail that moves. So the emptier corner is the one with fewer edges and less motion,
averaged over some seconds; another one has to be clearly emptier, so that the plate seldom moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from actionstream.draw.text import BOLD, CAP_HEIGHT, Text, fit
from actionstream.results import Pixels

ROOMY = (120, 90)
"""Frames at least so wide and so high carry a whole reading; smaller ones are enlarged, or have
margins of a pixel or two."""

SHORT_SIDE = 240
"""Pixels that the short side of an enlarged frame has at least."""

LONG_SIDE = 3840
"""Pixels that its long side has at most, whatever that leaves for the short one."""

SMALLEST_TEXT = 8  # pixels; below this letters of this font run together
RUNNERS_UP = 2
_NARROW = 160  # narrower than this, a long action and its percentage do not fit on one line
_MOST_COVERED = 0.7  # share of the frame's height that the plate may take
CornerName = Literal["top left", "top right", "bottom left", "bottom right"]
CORNERS: tuple[CornerName, ...] = ("top left", "top right", "bottom left", "bottom right")
STEP = 8  # every so many pixels are looked at
CLEARLY = 0.6  # of the detail in the corner of now: what another one may have to take over
LEAST = 2.0  # grey levels of detail that it has to have less in any case
MEMORY_FRAMES = 150  # of the average: six seconds of a usual film


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes in pixels for a frame of one size.

    `stacked`: the percentage stands behind the bar, not beside the action. `bars`: the
    runners-up have bars, too.
    """

    big: int
    small: int
    margin: int
    pad: int
    plate_width: int
    stacked: bool
    runners_up: int
    bars: bool

    @property
    def left(self) -> int:
        return self.margin + self.pad

    @property
    def right(self) -> int:
        return self.margin + self.plate_width - self.pad

    @property
    def bar_thickness(self) -> int:
        return max(2, self.big // 7)

    @property
    def bar_top(self) -> int:
        if self.stacked:
            return self.number_baseline - round(CAP_HEIGHT * self.number_size / 2) - 1
        return self.margin + self.headline_height - self.bar_thickness

    @property
    def number_size(self) -> int:
        return self.small if self.stacked else self.big

    @property
    def number_room(self) -> int:
        """For the widest, so that the label does not change with the number."""
        return Text("100%", self.number_size, BOLD).width + self.pad

    @property
    def number_baseline(self) -> int:
        """Of a percentage behind the bar."""
        return self.margin + self.headline_height - round(0.2 * self.small)

    def headline(self, text: Text, *, with_number: bool) -> Text:
        """`text`, fitted to the first line."""
        room = self.right - self.left
        if with_number and not self.stacked:
            room -= self.number_room
        return fit(text, room, smallest=max(SMALLEST_TEXT, round(0.62 * self.big)))

    def has_room_for_number(self, text: Text) -> bool:
        """Whether the percentage is shown: always, but on frames too low to stack it."""
        if self.bars or self.stacked:
            return True
        return self.headline(text, with_number=True).words == text.words

    def runner_up(self, words: str) -> Text:
        """`words`, fitted to what the number and the bar leave free."""
        room = self.right - self.left - Text("100%", self.small).width - self.pad
        if self.bars:
            room -= 3 * self.small + self.pad
        smallest = max(SMALLEST_TEXT, round(0.8 * self.small))
        return fit(Text(words, self.small), room, smallest=smallest)

    @property
    def headline_height(self) -> int:
        """From the plate's upper edge to the runners-up."""
        if self.stacked:
            return self.pad + self.big + self.row_height
        return self.pad + self.big + self.bar_thickness + self.pad // 2

    @property
    def row_height(self) -> int:
        return round(1.35 * self.small)

    def plate_height(self, rows: int) -> int:
        """With so many runners-up."""
        return self.headline_height + rows * self.row_height + round(0.7 * self.pad)


def lay_out(height: int, width: int) -> Layout:
    """The layout for a frame of this size: as much of it as has room."""
    stackings = (True, False) if width < _NARROW else (False,)
    tries = [_try(height, width, stacked, rows) for stacked in stackings for rows in (2, 1, 0)]
    fitting = (t for t in tries if t.plate_height(t.runners_up) <= _MOST_COVERED * height)
    return next(fitting, tries[-1])


def _try(height: int, width: int, stacked: bool, runners_up: int) -> Layout:
    base = min(height, 0.8 * width)  # in portrait the width is what is scarce
    big = max(SMALLEST_TEXT + 1, round(6 + 0.045 * base))
    tiny = width < ROOMY[0] or height < ROOMY[1]
    margin = 1 if tiny else max(2, round(0.02 * base))
    return Layout(
        big=big,
        small=max(SMALLEST_TEXT + 1, round(0.68 * big)),
        margin=margin,
        pad=2 if tiny else max(4, round(0.4 * big)),
        plate_width=min(width - 2 * margin, round(13.5 * big)),
        stacked=stacked,
        runners_up=runners_up,
        bars=base >= 160,
    )


def enlargement(width: int, height: int) -> int:
    """The whole number by which frames of this size are enlarged to be written on; mostly 1.

    Frames narrower than 120 or lower than 90 pixels come to 240 on the short side or a little
    more. An extreme strip stays smaller, so that its long side is not over 3840.
    """
    if width >= ROOMY[0] and height >= ROOMY[1]:
        return 1
    wanted = -(-SHORT_SIDE // min(width, height))
    return max(1, min(wanted, LONG_SIDE // max(width, height)))


def enlarge(pixels: Pixels) -> Pixels:
    """RGB uint8 [H, W, 3] enlarged by its `enlargement`: each pixel becomes a square of its colour.

    No kernel: the original can be had back. Mostly it is the same array.
    """
    factor = enlargement(pixels.shape[1], pixels.shape[0])
    return pixels if factor == 1 else pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def place(
    corner: CornerName, height: int, width: int, plate_height: int, layout: Layout
) -> tuple[slice, slice]:
    """The part of a picture [height, width] in whose upper left the plate, margins included, is."""
    plate_width = layout.plate_width + 2 * layout.margin
    top = 0 if corner.startswith("top") else max(height - plate_height, 0)
    left = 0 if corner.endswith("left") else max(width - plate_width, 0)
    return slice(top, None), slice(left, None)


class Corner:
    """Chooses the corner for one video or camera, frame by frame. For one thread at a time."""

    def __init__(self) -> None:
        self._chosen = 0
        self._frames = 0
        self._detail = np.zeros(len(CORNERS))
        self._before: NDArray[np.int16] | None = None

    def choose(self, pixels: Pixels) -> CornerName:
        """The corner for this frame, RGB uint8 [H, W, 3], the next one of its video."""
        grey = pixels[::STEP, ::STEP, 1].astype(np.int16)
        if self._before is None or self._before.shape != grey.shape:
            self._before, self._frames = grey, 0
        found = self._details(grey, grey - self._before, pixels.shape[0], pixels.shape[1])
        self._frames = min(self._frames + 1, MEMORY_FRAMES)
        self._detail += (found - self._detail) / self._frames
        emptiest = int(self._detail.argmin())
        if self._detail[emptiest] + LEAST < CLEARLY * self._detail[self._chosen]:
            self._chosen = emptiest
        self._before = grey
        return CORNERS[self._chosen]

    def _details(
        self, grey: NDArray[np.int16], motion: NDArray[np.int16], height: int, width: int
    ) -> NDArray[np.float64]:
        """Edges and motion in each corner, a mean over its plate."""
        layout = lay_out(height, width)
        plate_height = layout.plate_height(RUNNERS_UP) + 2 * layout.margin
        rows = max(plate_height // STEP, 2)
        columns = max((layout.plate_width + 2 * layout.margin) // STEP, 2)
        detail = np.abs(motion).astype(np.float64)
        detail[:, 1:] += np.abs(np.diff(grey, axis=1))
        detail[1:] += np.abs(np.diff(grey, axis=0))
        parts = (
            detail[:rows, :columns],
            detail[:rows, -columns:],
            detail[-rows:, :columns],
            detail[-rows:, -columns:],
        )
        return np.array([part.mean() for part in parts])

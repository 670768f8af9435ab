"""Which corner of the picture the reading covers: the one where least is to be seen.

A person is detail that moves. So the emptier corner is the one with fewer edges and less motion,
averaged over some seconds; another one has to be clearly emptier, so that the plate seldom moves.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from actionstream.draw.layout import RUNNERS_UP, Layout, lay_out
from actionstream.results import Pixels

CornerName = Literal["top left", "top right", "bottom left", "bottom right"]
CORNERS: tuple[CornerName, ...] = ("top left", "top right", "bottom left", "bottom right")

STEP = 8  # every so many pixels are looked at
CLEARLY = 0.6  # of the detail in the corner of now: what another one may have to take over
LEAST = 2.0  # grey levels of detail that it has to have less in any case
MEMORY_FRAMES = 150  # of the average: six seconds of a usual film


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

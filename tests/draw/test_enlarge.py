"""Small frames are enlarged before words are written on them."""

from __future__ import annotations

import numpy as np
import pytest

from actionstream.draw import enlarge, enlargement
from actionstream.draw.layout import LONG_SIDE, SHORT_SIDE, lay_out


@pytest.mark.parametrize(
    ("size", "factor"),
    [
        ((320, 240), 1),
        ((120, 90), 1),
        ((119, 90), 3),
        ((120, 89), 3),
        ((96, 72), 4),
        ((64, 48), 5),
        ((48, 64), 5),
        ((24, 14), 18),
        ((1, 1), 240),
        ((640, 77), 4),
        ((1920, 80), 2),
        ((4000, 20), 1),
    ],
)
def test_by_how_much(size: tuple[int, int], factor: int) -> None:
    assert enlargement(*size) == factor
    if factor > 1:
        assert min(size) * factor >= SHORT_SIDE or max(size) * (factor + 1) > LONG_SIDE
        assert max(size) * factor <= LONG_SIDE


@pytest.mark.parametrize("width", range(1, 120, 7))
def test_an_enlarged_frame_has_room_for_a_whole_reading(width: int) -> None:
    for height in range(max(1, width // 3), 3 * width):
        factor = enlargement(width, height)
        layout = lay_out(factor * height, factor * width)
        assert (layout.runners_up, layout.big >= 14) == (2, True)


def test_the_picture_stays_itself() -> None:
    small = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    large = enlarge(small)
    assert (large.shape, large.dtype) == ((240, 320, 3), np.uint8)
    for row, column in ((0, 0), (20, 20), (39, 39)):
        assert np.array_equal(large[row::40, column::40], small)
    roomy = np.zeros((90, 120, 3), np.uint8)
    assert enlarge(roomy) is roomy

"""JPEG for live pages: the picture that went in comes out, at any size."""

from __future__ import annotations

import io

import numpy as np
import pytest
from clips import BLUE, GREEN, RED, colours, picture
from PIL import Image

from actionstream.errors import FrameError
from actionstream.video.picture import encode_jpeg


def decoded(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


@pytest.mark.parametrize("size", [(64, 48), (320, 240), (321, 241), (640, 480)])
def test_colours_and_size_survive(size: tuple[int, int]) -> None:
    back = decoded(encode_jpeg(picture(0, size), quality=95))
    assert back.shape == (size[1], size[0], 3)
    for got, wanted in zip(colours(back), (RED, GREEN, BLUE), strict=True):
        assert got == pytest.approx(wanted, abs=6)


def test_the_full_range_is_kept() -> None:
    for level in (0, 255):
        back = decoded(encode_jpeg(np.full((32, 32, 3), level, np.uint8)))
        assert back.mean() == pytest.approx(level, abs=2)


def test_one_pixel_and_one_row() -> None:
    for height, width in ((1, 1), (1, 50), (50, 1)):
        assert decoded(encode_jpeg(np.full((height, width, 3), 90, np.uint8))).shape == (
            height,
            width,
            3,
        )


def test_more_quality_takes_more_bytes() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    sizes = [len(encode_jpeg(noise, quality)) for quality in (1, 40, 80, 100)]
    assert sizes == sorted(sizes)
    assert sizes[0] * 2 < sizes[-1]


def test_wrong_input_is_refused() -> None:
    with pytest.raises(FrameError):
        encode_jpeg(np.zeros((4, 4), np.uint8))
    for quality in (0, 101):
        with pytest.raises(ValueError, match="quality"):
            encode_jpeg(picture(0), quality)

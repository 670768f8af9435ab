from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from clips import colours, index_of, picture

from actionstream.errors import FrameError
from actionstream.video import fitted, from_webrtc, to_webrtc


def _received(index: int, size: tuple[int, int] = (64, 48)) -> av.VideoFrame:
    """As aiortc's decoders hand it out: yuv420p with a 90 kHz clock."""
    frame = av.VideoFrame.from_ndarray(picture(index, size), format="rgb24")
    frame = frame.reformat(format="yuv420p", dst_colorspace="ITU601", dst_color_range="MPEG")
    frame.pts, frame.time_base = 90_000 + 3_000 * index, Fraction(1, 90_000)
    return frame


@pytest.mark.parametrize("index", [0, 7, 25])
def test_red_stays_red_and_time_stays(index: int) -> None:
    frame = _received(index)
    rgb = from_webrtc(frame)
    assert rgb.shape == (48, 64, 3)
    assert rgb.dtype == np.uint8
    assert rgb.flags.c_contiguous
    assert index_of(rgb) == index
    red, green, blue = colours(rgb)
    # Two roundings, to 8 bit YUV and back, move a saturated colour by a few steps.
    assert (
        np.abs(np.subtract([red, green, blue], [(220, 30, 30), (30, 200, 30), (30, 30, 220)])).max()
        <= 4
    )
    back = to_webrtc(rgb, frame)
    assert (back.pts, back.time_base, back.format.name) == (frame.pts, frame.time_base, "rgb24")
    assert np.array_equal(back.to_ndarray(), rgb)


def test_a_picture_of_another_size_and_layout() -> None:
    like = _received(3)
    drawn = np.ascontiguousarray(picture(5, (101, 37)))[:, ::-1]
    back = to_webrtc(drawn, like)
    assert (back.width, back.height) == (101, 37)
    assert np.array_equal(back.to_ndarray(), drawn)


def test_without_a_clock_there_is_none() -> None:
    like = av.VideoFrame(16, 16, "yuv420p")
    assert to_webrtc(picture(0, (16, 16)), like).pts is None


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), None])
def test_no_picture(bad: object) -> None:
    with pytest.raises(FrameError):
        to_webrtc(bad, _received(0))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "most", "small"),
    [
        ((640, 480), 320 * 240, (320, 240)),
        ((480, 640), 320 * 240, (240, 320)),
        ((1920, 1080), 1280 * 720, (1280, 720)),
        ((2000, 16), 64, (88, 2)),
    ],
)
def test_a_large_frame_is_shrunk_and_keeps_colours_and_time(
    size: tuple[int, int], most: int, small: tuple[int, int]
) -> None:
    frame = _received(7, size)
    shrunk = fitted(frame, most)
    assert (shrunk.width, shrunk.height, shrunk.format.name) == (*small, "yuv420p")
    assert (shrunk.pts, shrunk.time_base) == (frame.pts, frame.time_base)
    if min(small) > 100:
        assert index_of(from_webrtc(shrunk)) == 7
        near = np.subtract(colours(from_webrtc(shrunk)), colours(from_webrtc(frame)))
        assert np.abs(near).max() <= 4


def test_a_small_frame_stays_itself() -> None:
    frame = _received(7)
    assert fitted(frame, 64 * 48) is frame

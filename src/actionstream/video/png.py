"""A picture as PNG, to keep without loss."""

from __future__ import annotations

from fractions import Fraction

import av
from av.video.frame import VideoFrame

from actionstream.results import Pixels, check_pixels


def encode_png(rgb: Pixels) -> bytes:
    """The picture, RGB uint8 [H, W, 3], as a PNG file.

    Raises:
        FrameError: `rgb` is no picture.
    """
    check_pixels(rgb)
    frame = VideoFrame.from_ndarray(rgb, format="rgb24")
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "rgb24"
    encoder.time_base = Fraction(1, 25)
    frame.pts, frame.time_base = 0, encoder.time_base
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))

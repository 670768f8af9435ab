"""A picture as a JPEG file, for pages that show a live stream."""

from __future__ import annotations

from fractions import Fraction

from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from actionstream.results import Pixels, check_pixels

_BEST_SCALE, _WORST_SCALE = 2, 31  # FFmpeg's range of the quantiser for mjpeg


def encode_jpeg(rgb: Pixels, quality: int = 80) -> bytes:
    """The picture as a JPEG file, colours subsampled 4:2:0.

    Args:
        rgb: uint8 [H, W, 3].
        quality: 1 (small) to 100 (good).

    Raises:
        FrameError: `rgb` is no picture.
        ValueError: `quality` is out of range.
    """
    frame = VideoFrame.from_ndarray(check_pixels(rgb), format="rgb24")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must be 1 to 100, got {quality}")
    scale = _WORST_SCALE - (_WORST_SCALE - _BEST_SCALE) * (quality - 1) / 99
    frame = frame.reformat(format="yuvj420p", dst_colorspace="ITU601", dst_color_range="JPEG")
    encoder = VideoCodecContext.create("mjpeg", "w")
    encoder.width, encoder.height = frame.width, frame.height
    encoder.pix_fmt = frame.format.name
    encoder.time_base = frame.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    encoder.qmin = encoder.qmax = round(scale)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))

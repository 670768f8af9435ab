"""Single pictures: as a JPEG file, and as frames of a WebRTC connection and back."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from actionstream.results import Pixels, check_pixels
from actionstream.video.picture import Converter

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


def fitted(frame: VideoFrame, most_pixels: int) -> VideoFrame:
    """The frame, shrunk to at most this many pixels if it has more; its timing stays."""
    share = math.sqrt(most_pixels / (frame.width * frame.height))
    if share >= 1:
        return frame
    width, height = (max(int(side * share) // 2 * 2, 2) for side in (frame.width, frame.height))
    return _timed_like(frame.reformat(width=width, height=height), frame)


def from_webrtc(frame: VideoFrame) -> Pixels:
    """The picture of a frame: RGB uint8 [H, W, 3], contiguous."""
    return Converter(turns=False).to_rgb(frame)  # browsers send pictures upright


def to_webrtc(rgb: Pixels, like: VideoFrame) -> VideoFrame:
    """A frame with the picture `rgb` [H, W, 3] uint8 and the pts and time base of `like`.

    Raises:
        FrameError: `rgb` is no such picture.
    """
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(check_pixels(rgb)), format="rgb24")
    return _timed_like(frame, like)


def _timed_like(frame: VideoFrame, like: VideoFrame) -> VideoFrame:
    frame.pts = like.pts
    if like.time_base is not None:
        frame.time_base = like.time_base
    return frame

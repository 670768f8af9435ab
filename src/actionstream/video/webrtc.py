"""Frames of a WebRTC connection to pictures and back; their timing stays untouched."""

from __future__ import annotations

import math

import numpy as np
from av.video.frame import VideoFrame

from actionstream.results import Pixels, check_pixels
from actionstream.video.picture import Converter


def fitted(frame: VideoFrame, most_pixels: int) -> VideoFrame:
    """The frame, shrunk to at most this many pixels if it has more; its timing stays."""
    share = math.sqrt(most_pixels / (frame.width * frame.height))
    if share >= 1:
        return frame
    width, height = (max(int(side * share) // 2 * 2, 2) for side in (frame.width, frame.height))
    small = frame.reformat(width=width, height=height)
    small.pts = frame.pts
    if frame.time_base is not None:
        small.time_base = frame.time_base
    return small


def from_webrtc(frame: VideoFrame) -> Pixels:
    """The picture of a frame: RGB uint8 [H, W, 3], contiguous."""
    return Converter(turns=False).to_rgb(frame)  # browsers send pictures upright


def to_webrtc(rgb: Pixels, like: VideoFrame) -> VideoFrame:
    """A frame with the picture `rgb` [H, W, 3] uint8 and the pts and time base of `like`.

    Raises:
        FrameError: `rgb` is no such picture.
    """
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(check_pixels(rgb)), format="rgb24")
    frame.pts = like.pts
    if like.time_base is not None:
        frame.time_base = like.time_base
    return frame

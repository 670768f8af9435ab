"""The one geometry from a frame to the encoder's input.

A square window of the frame is cut out and resized once: INTER_AREA when shrinking,
INTER_LINEAR when growing (OpenCV's INTER_LINEAR does not antialias). Serving takes the centre
window; training moves it and nothing else. Numbers (mean, scale, layout) are the first layer of
the exported encoder, so nothing here normalises.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from actionstream.results import Pixels, check_pixels

KERNEL_VERSION = 1
"""Raised whenever the pixels that `preprocess` returns change; part of the fingerprint."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a frame becomes the encoder's input.

    input_size:      side of the square input in pixels.
    window_fraction: side of the centre window as a fraction of the frame's shorter side.
    """

    input_size: int
    window_fraction: float = 1.0

    def __post_init__(self) -> None:
        if not 16 <= self.input_size <= 1024:
            raise ValueError(f"input_size must be 16 to 1024 pixels, got {self.input_size}")
        if not 0.1 <= self.window_fraction <= 1.0:
            raise ValueError(f"window_fraction must be 0.1 to 1, got {self.window_fraction}")


@dataclass(frozen=True, slots=True)
class Window:
    """A moved window, for training.

    scale:  side as a fraction of the geometry's window, above 0 to 1/window_fraction.
    shift:  where the window stands in the room it has: (-1, -1) top left, (0, 0) centre.
    flip:   mirrored left to right.
    """

    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    flip: bool = False


CENTRE = Window()


@lru_cache(maxsize=256)
def cut(
    width: int, height: int, geometry: Geometry, window: Window = CENTRE
) -> tuple[int, int, int]:
    """Left, top and side in pixels of the window in a frame of this size."""
    shorter = min(width, height)
    side = min(max(round(shorter * geometry.window_fraction * window.scale), 1), shorter)
    left = round((width - side) * (1.0 + window.shift[0]) / 2.0)
    top = round((height - side) * (1.0 + window.shift[1]) / 2.0)
    return min(max(left, 0), width - side), min(max(top, 0), height - side), side


def preprocess(pixels: Pixels, geometry: Geometry, window: Window = CENTRE) -> Pixels:
    """The encoder's input for one frame.

    Args:
        pixels: RGB uint8 [H, W, 3].
        geometry: the card's.
        window: where to look; the centre unless training moves it.

    Returns:
        RGB uint8 [input_size, input_size, 3], a contiguous array of its own.

    Raises:
        FrameError: `pixels` is of another dtype or shape.
    """
    check_pixels(pixels)
    left, top, side = cut(pixels.shape[1], pixels.shape[0], geometry, window)
    square = pixels[top : top + side, left : left + side]
    resized = resize(square, geometry.input_size, geometry.input_size)
    return np.ascontiguousarray(cv2.flip(resized, 1) if window.flip else resized, dtype=np.uint8)


def resize(pixels: Pixels, width: int, height: int) -> Pixels:
    """The picture at this size, uint8 [height, width, 3]."""
    kernel = cv2.INTER_AREA if pixels.shape[1] > width else cv2.INTER_LINEAR
    resized: NDArray[Any] = cv2.resize(pixels, (width, height), interpolation=kernel)
    return resized


def warp(pixels: Pixels, axes: NDArray[np.float64], side: int) -> Pixels:
    """A turned square of the picture, uint8 [side, side, 3]; beyond the edge its pixels go on.

    Args:
        pixels: RGB uint8 [H, W, 3].
        axes: float64 [2, 3]; place (u, v) of the result is axes @ (u, v, 1) in the picture, both
            counted from the middle of the first pixel. It does not antialias, so a step should
            be under two pixels.
        side: in pixels.
    """
    kernel = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped: NDArray[Any] = cv2.warpAffine(
        pixels, axes, (side, side), flags=kernel, borderMode=cv2.BORDER_REPLICATE
    )
    return warped


def use_threads(count: int) -> None:
    """Let OpenCV use that many threads, in the whole process: it has one setting."""
    cv2.setNumThreads(count)


def fingerprint(geometry: Geometry, spacing_seconds: float, finder: str | None = None) -> str:
    """Hash of all that decides which pixels the networks see: 16 hex digits.

    `finder` is `pose.fingerprint()` for a model with a pose.
    """
    facts: dict[str, float | str] = {
        "input_size": geometry.input_size,
        "window_fraction": geometry.window_fraction,
        "spacing_seconds": spacing_seconds,
        "kernel_version": KERNEL_VERSION,
    }
    facts |= {} if finder is None else {"finder": finder}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

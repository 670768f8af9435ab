"""The body of a pose on its frame: its 33 landmarks, joined as BlazePose joins them.

The person's left side is drawn in blue and the right one in orange, what lies between in white.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from actionstream.draw.labels import Colour
from actionstream.inference.pose import LANDMARKS, PLACES, POSE_SIZE, SCORE
from actionstream.results import Pixels, check_pixels

LEFT: Colour = (64, 160, 255)
RIGHT: Colour = (255, 150, 40)
BETWEEN: Colour = (245, 246, 248)
_OUTLINE: Colour = (14, 14, 14)

LEAST_VISIBILITY = 0.5
"""Landmarks that are less surely to be seen are left out, with their lines."""

_HALF = (
    *((0, 1), (1, 2), (2, 3), (3, 7)),  # face
    *((11, 13), (13, 15), (15, 17), (15, 19), (15, 21), (17, 19)),  # arm and hand
    *((11, 23), (23, 25), (25, 27), (27, 29), (27, 31), (29, 31)),  # side, leg and foot
)
"""Of the left side; its landmarks have odd numbers, and the right one's the next number."""
_ACROSS = ((9, 10), (11, 12), (23, 24))
_FACE_LEFT = {0: 0, 1: 4, 2: 5, 3: 6, 7: 8}


def _mirrored(landmark: int) -> int:
    return _FACE_LEFT.get(landmark, landmark + 1)


LINES = (
    *((one, other, BETWEEN) for one, other in _ACROSS),
    *((one, other, LEFT) for one, other in _HALF),
    *((_mirrored(one), _mirrored(other), RIGHT) for one, other in _HALF),
)
"""Pairs of landmarks with their line's colour."""


def draw_skeleton(pixels: Pixels, pose: NDArray[np.float32] | None) -> Pixels:
    """A new picture: `pixels` with the body of the pose drawn on it.

    Args:
        pixels: RGB uint8 [H, W, 3], left untouched; of any size, the pose is in frame heights.
        pose: float32 [236], `Reading.pose`; None, or a score of 0, for nobody: then a plain copy.

    Raises:
        FrameError: `pixels` is not a uint8 array of shape [H, W, 3].
        ValueError: `pose` has another shape.
    """
    picture = check_pixels(pixels).copy(order="C")
    if pose is None:
        return picture
    if pose.shape != (POSE_SIZE,):
        raise ValueError(f"a pose is float32 [{POSE_SIZE}], got {list(pose.shape)}")
    if not pose[SCORE] > 0:
        return picture
    height, width = picture.shape[:2]
    landmarks = pose[PLACES].reshape(LANDMARKS, 4)
    # Beyond the frame lines still point the right way; far beyond it numbers would not fit.
    points = np.clip(landmarks[:, :2] * height, -9 * height, 9 * width + 9 * height).astype(int)
    seen = landmarks[:, 3] >= LEAST_VISIBILITY
    thickness = max(round(min(height, width) / 160), 1)
    lines = [line for line in LINES if seen[line[0]] and seen[line[1]]]
    for extra, colour in ((2, _OUTLINE), (0, None)):  # all outlines first: none crosses a line
        for one, other, own in lines:
            ends = points[one].tolist(), points[other].tolist()
            cv2.line(picture, *ends, colour or own, thickness + extra, cv2.LINE_AA)
    return picture

"""The skeleton on its frame: where the landmarks are, of any size, nothing where nobody is."""

from __future__ import annotations

import numpy as np
import pytest

from actionstream.draw.skeleton import BETWEEN, LEFT, LINES, RIGHT, draw_skeleton
from actionstream.errors import FrameError
from actionstream.inference.pose import PLACES, POSE_SIZE, SCORE

GREY = np.full((240, 320, 3), 90, np.uint8)


def pose(**changed: tuple[float, float]) -> np.ndarray:
    """Everything in one point but the landmarks told as l11=(x, y), which alone are visible."""
    made = np.zeros(POSE_SIZE, np.float32)
    landmarks = made[PLACES].reshape(33, 4)
    for name, (x, y) in changed.items():
        landmarks[int(name[1:])] = x, y, 0.0, 0.9
    made[SCORE] = 0.8
    return made


def place_of(picture: np.ndarray, colour: tuple[int, int, int]) -> tuple[float, ...]:
    """The middle of this colour, (x, y) in frame heights."""
    far = np.abs(picture.astype(int) - colour).max(axis=2)  # thin lines are mixed with the frame
    rows, columns = np.nonzero(far < 60)
    return columns.mean() / len(picture), rows.mean() / len(picture)


@pytest.mark.parametrize("size", [(240, 320), (120, 160), (720, 1280)])
def test_a_line_stands_between_its_landmarks_at_every_size(size: tuple[int, int]) -> None:
    frame = np.full((*size, 3), 90, np.uint8)
    shoulders = draw_skeleton(frame, pose(l11=(0.5, 0.4), l12=(0.9, 0.6)))
    assert place_of(shoulders, BETWEEN) == pytest.approx((0.7, 0.5), abs=0.01)
    arm = draw_skeleton(frame, pose(l11=(0.2, 0.3), l13=(0.2, 0.7)))
    assert place_of(arm, LEFT) == pytest.approx((0.2, 0.5), abs=0.01)
    arm = draw_skeleton(frame, pose(l12=(0.2, 0.3), l14=(0.2, 0.7)))
    assert place_of(arm, RIGHT) == pytest.approx((0.2, 0.5), abs=0.01)
    assert (frame == 90).all()


def test_what_is_not_seen_is_not_drawn() -> None:
    hidden = pose(l11=(0.5, 0.4), l12=(0.9, 0.6))
    hidden[4 * 12 + 3] = 0.2
    nobody = pose(l11=(0.5, 0.4), l12=(0.9, 0.6))
    nobody[SCORE] = 0
    for unseen in (hidden, nobody, None):
        assert (draw_skeleton(GREY, unseen) == GREY).all()


def test_far_outside_the_frame_is_no_error() -> None:
    wild = pose(l11=(-1e30, 0.5), l12=(1e30, 0.5), l13=(0.1, 1e9))
    assert place_of(draw_skeleton(GREY, wild), BETWEEN)[1] == pytest.approx(0.5, abs=0.02)


def test_both_sides_have_the_same_lines_and_every_landmark_has_one() -> None:
    by_colour = {
        colour: [line[:2] for line in LINES if line[2] == colour] for colour in (LEFT, RIGHT)
    }
    assert len(by_colour[LEFT]) == len(by_colour[RIGHT]) == 16
    assert {landmark for line in LINES for landmark in line[:2]} == set(range(33))
    assert by_colour[RIGHT][0] == (0, 4)
    assert (24, 26) in by_colour[RIGHT]


def test_wrong_arrays_are_refused() -> None:
    with pytest.raises(FrameError):
        draw_skeleton(GREY.astype(float), pose())
    with pytest.raises(ValueError, match="236"):
        draw_skeleton(GREY, np.ones(10, np.float32))

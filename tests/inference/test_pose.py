"""The person who is followed, on frames of one coloured body that stand-in networks can see.

The stand-ins find a red dot (the hips) and a green one (a point on the circle around the body) by
their colours, in whatever they are shown, so every place that comes back has gone through the
real crop, and back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from posing import GREEN, HIPS, RED, body

from actionstream.inference.pose import (
    CROP_SIDE,
    IMAGE_SIDE,
    METRES,
    PATIENCE,
    PLACES,
    POSE_SIZE,
    SCORE,
    SQUARE,
    PoseState,
    Square,
    cut_square,
    fit_frame,
    look,
    next_square,
    square_around,
    whole,
)
from actionstream.results import Pixels

EMPTY = np.full((240, 320, 3), 40, np.uint8)


def middle(image: Pixels, colour: tuple[int, int, int]) -> tuple[float, float] | None:
    """Where the colour is, as fractions of the side, weighted by how much of it there is."""
    channel = colour.index(255)
    others = [one for one in range(3) if one != channel]
    weight = np.clip(image[..., channel].astype(float) - image[..., others].max(-1) - 60, 0, None)
    if weight.sum() < 300:
        return None
    rows, columns = np.indices(weight.shape) + 0.5
    total = weight.sum() * len(image)
    return float((columns * weight).sum() / total), float((rows * weight).sum() / total)


@dataclass
class SeeingNetworks:
    """Finds the dots; `shy` makes the person network find nobody. Counts what it was shown."""

    shy: bool = False
    searched: int = 0
    looked: int = 0
    batches: list[int] = field(default_factory=list)

    def find_people(self, images: Pixels) -> tuple[np.ndarray, np.ndarray]:
        assert images.shape[1:] == (IMAGE_SIDE, IMAGE_SIDE, 3)
        self.searched += len(images)
        people = np.zeros((len(images), 3, 4), np.float32)
        scores = np.zeros((len(images), 3), np.float32)
        for index, image in enumerate(images):
            hips, circle = middle(image, RED), middle(image, GREEN)
            if hips and circle and not self.shy:
                people[index, 1], scores[index, 1] = hips + circle, 0.9
        return people, scores

    def find_landmarks(self, crops: Pixels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        assert crops.shape[1:] == (CROP_SIDE, CROP_SIDE, 3)
        self.looked += len(crops)
        self.batches.append(len(crops))
        landmarks = np.zeros((len(crops), 39, 4), np.float32)
        metres = np.zeros((len(crops), 39, 3), np.float32)
        scores = np.zeros(len(crops), np.float32)
        for index, crop in enumerate(crops):
            hips, circle = middle(crop, RED), middle(crop, GREEN)
            if hips and circle:
                landmarks[index, [23, 33], :2], landmarks[index, [0, 34], :2] = hips, circle
                landmarks[index, 0, 2:] = 0.25, 0.75
                metres[index, 0] = 0.0, -1.0, 0.5
                scores[index] = 0.8
        return landmarks, metres, scores


def one_look(
    networks: SeeingNetworks, frame: Pixels, state: PoseState
) -> tuple[np.ndarray, PoseState]:
    poses, (after,) = look(networks, [frame], [state])
    assert poses.shape == (1, POSE_SIZE)
    assert poses.dtype == np.float32
    return poses[0], after


def landmark(pose: np.ndarray, number: int) -> np.ndarray:
    return pose[PLACES].reshape(33, 4)[number]


def around(degrees: float, length: float = 0.3) -> tuple[float, float]:
    """The point on the circle of a body turned clockwise by so much."""
    angle = math.radians(degrees)
    return HIPS[0] + length * math.sin(angle), HIPS[1] - length * math.cos(angle)


@pytest.mark.parametrize("degrees", [0, 35, 90, 180, -120])
def test_places_come_back_in_frame_heights_whichever_way_up_the_body_is(degrees: float) -> None:
    circle = around(degrees)
    pose, state = one_look(SeeingNetworks(), body(circle=circle), PoseState())
    # Dots are drawn at whole pixels: half of one of 240 is 0.002.
    assert landmark(pose, 23)[:2] == pytest.approx(HIPS, abs=0.005)
    assert landmark(pose, 0)[:2] == pytest.approx(circle, abs=0.005)
    assert landmark(pose, 0)[2:] == pytest.approx([0.25 * pose[SQUARE][2], 0.75])
    turned = math.radians(degrees)
    wanted = [math.sin(turned), -math.cos(turned), 0.5]
    assert pose[METRES].reshape(33, 3)[0] == pytest.approx(wanted, abs=0.02)
    assert pose[SCORE] == pytest.approx(0.8)
    assert state.square is not None
    assert (state.square.x, state.square.y) == pytest.approx(HIPS, abs=0.005)
    assert state.square.side == pytest.approx(2 * 1.25 * 0.3, abs=0.01)
    difference = math.remainder(state.square.rotation - turned, 2 * math.pi)
    assert difference == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("size", [(240, 320), (640, 480), (1920, 1080), (427, 240)])
def test_a_pose_does_not_depend_on_the_frames_size(size: tuple[int, int]) -> None:
    hips, circle = (0.35, 0.6), (0.45, 0.3)
    pose, _ = one_look(SeeingNetworks(), body(hips, circle, size), PoseState())
    assert landmark(pose, 23)[:2] == pytest.approx(hips, abs=0.006)
    assert landmark(pose, 0)[:2] == pytest.approx(circle, abs=0.006)


def test_the_person_network_runs_only_while_nobody_is_followed() -> None:
    networks, state = SeeingNetworks(), PoseState()
    for step in range(6):
        hips = (0.5 + 0.03 * step, 0.55)
        pose, state = one_look(networks, body(hips, (hips[0], 0.25)), state)
        assert landmark(pose, 23)[:2] == pytest.approx(hips, abs=0.005)
    assert (networks.searched, networks.looked) == (1, 6)


def test_who_has_jumped_away_is_found_again_in_the_same_look() -> None:
    networks, (_, state) = SeeingNetworks(), one_look(SeeingNetworks(), body(), PoseState())
    far = body((0.15, 0.8), (0.15, 0.7), dot=0.02)
    pose, _ = one_look(networks, far, state)
    assert landmark(pose, 23)[:2] == pytest.approx((0.15, 0.8), abs=0.005)
    assert networks.searched == 1


def test_nobody_is_all_zeros_and_the_last_person_is_forgotten() -> None:
    _, state = one_look(SeeingNetworks(), body(), PoseState())
    pose, state = one_look(SeeingNetworks(), EMPTY, state)
    assert not pose.any()
    assert state == PoseState(None, 1)


def test_an_empty_stream_is_searched_at_every_second_look_and_later_at_every_fourth() -> None:
    networks, state, searched = SeeingNetworks(), PoseState(), []
    for index in range(PATIENCE + 12):
        before = networks.searched
        _, state = one_look(networks, EMPTY, state)
        searched += [index] * (networks.searched - before)
    assert searched == [0, 2, 4, 6, 8, 10, 12, 14, 16, 20, 24]
    pose, state = one_look(networks, body(), state)
    assert pose[SCORE] > 0
    assert state.missed == 0


def test_where_the_person_network_is_blind_the_whole_frame_is_the_square() -> None:
    pose, state = one_look(SeeingNetworks(shy=True), body(), PoseState())
    assert pose[SQUARE] == pytest.approx([2 / 3, 0.5, 4 / 3, 0.0])
    assert landmark(pose, 23)[:2] == pytest.approx(HIPS, abs=0.005)
    assert state.square is not None
    assert state.square.side == pytest.approx(0.75, abs=0.01)


def test_hips_below_the_frame_are_followed_but_not_a_square_beyond_it() -> None:
    networks = SeeingNetworks()
    low = Square(0.7, 1.2, 1.5, 0.0)  # its upper part is in the frame, the dots too
    pose, _ = one_look(networks, body((0.7, 0.9), (0.7, 0.6)), PoseState(low))
    assert networks.searched == 0
    assert landmark(pose, 23)[:2] == pytest.approx((0.7, 0.9), abs=0.006)
    tiny = body((0.7, 0.55), (0.71, 0.55), dot=0.02)
    pose, state = one_look(networks, tiny, PoseState())
    assert not pose.any()
    assert state.square is None


def streams(count: int) -> list[list[Pixels]]:
    """Frames of several streams: some move, one is empty at first, one loses its person."""
    made = []
    for number in range(count):
        x = 0.4 + 0.1 * number
        frames = [body((x + 0.02 * step, 0.55), (x, 0.25)) for step in range(5)]
        if number == 1:
            frames[:2] = [EMPTY, EMPTY]
        if number == 2:
            frames[2:4] = [EMPTY, EMPTY]
        made.append(frames)
    return made


def test_streams_in_one_batch_are_each_as_alone() -> None:
    together = [PoseState()] * 4
    alone = list(together)
    networks = SeeingNetworks()
    for frames in zip(*streams(4), strict=True):
        poses, together = look(networks, frames, together)
        for index, frame in enumerate(frames):
            pose, alone[index] = one_look(SeeingNetworks(), frame, alone[index])
            assert poses[index] == pytest.approx(pose, abs=1e-6)
        assert together == alone
    assert max(networks.batches) == 3


def test_no_streams_give_no_poses() -> None:
    networks = SeeingNetworks()
    poses, states = look(networks, [], [])
    assert (poses.shape, states) == ((0, POSE_SIZE), [])
    assert networks.batches == []


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3000, 2)])
def test_frames_of_odd_sizes_have_a_pose(size: tuple[int, int]) -> None:
    frame = np.zeros((size[1], size[0], 3), np.uint8)
    pose, _ = one_look(SeeingNetworks(), frame, PoseState())
    assert not pose.any()


def test_a_mirrored_frame_gives_the_mirrored_square() -> None:
    frame = body(circle=around(30))
    _, state = one_look(SeeingNetworks(), frame, PoseState())
    _, mirrored = one_look(SeeingNetworks(), np.ascontiguousarray(frame[:, ::-1]), PoseState())
    assert state.square is not None
    assert mirrored.square is not None
    assert mirrored.square.x == pytest.approx(4 / 3 - state.square.x, abs=0.005)
    assert mirrored.square.rotation == pytest.approx(-state.square.rotation, abs=0.02)


def test_the_whole_frame_stands_in_the_middle_of_a_black_square() -> None:
    image = fit_frame(np.full((100, 200, 3), 200, np.uint8))
    rows = image.max(axis=(1, 2))
    assert (rows[:56] == 0).all()
    assert (rows[56:168] == 200).all()
    assert (rows[168:] == 0).all()


def test_an_upright_square_of_the_crops_own_size_is_cut_without_a_change() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    assert (cut_square(frame, whole(frame)) == frame).all()


def test_a_fine_pattern_is_averaged_when_a_large_frame_is_cut() -> None:
    frame = np.zeros((1024, 1024, 3), np.uint8)
    frame[:, ::2] = 200
    # Without a shrink first, every fourth column would be picked: black or 200.
    assert np.abs(cut_square(frame, whole(frame)).astype(int) - 100).max() <= 1


def test_the_square_follows_the_auxiliary_points() -> None:
    landmarks = np.zeros((39, 4), np.float32)
    landmarks[33, :2], landmarks[34, :2] = (0.5, 0.5), (0.5, 0.1)
    square = Square(0.6, 0.4, 0.5, math.pi / 2)
    after = next_square(landmarks, square)
    assert (after.x, after.y) == pytest.approx((0.6, 0.4))
    assert after.side == pytest.approx(2 * 1.25 * 0.4 * 0.5)
    assert after.rotation == pytest.approx(math.pi / 2)
    wanted = square_around(np.array([0.6, 0.4]), np.array([0.8, 0.4]))
    assert after.rotation == pytest.approx(wanted.rotation)

"""The person's pose at each look: who is followed, and the numbers that the head reads.

BlazePose's way: one network says where a person is in the whole frame, a second finds 33
landmarks in an upright square around that person. The landmarks say where the square of the next
look is, so the first network runs only while nobody is followed. A stream's memory of this is a
value, `PoseState`; the functions return new ones.

A pose is float32 [236]. Places are in frame heights from the top left corner, so that x runs to
width / height and angles are true; nothing is relative to the body here::

    0:132    33 landmarks of x, y, z, visibility; z is depth from the hips, smaller is nearer
    132:231  33 landmarks of x, y, z in metres from the middle of the hips, in the frame's axes
    231:235  the square: x and y of its centre, side, rotation in radians (0 is upright)
    235      score, 0.5 to 1; 0 where nobody is found, and then everything else is 0
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from actionstream.inference.preprocess import resize, warp
from actionstream.results import Pixels

VERSION = 1
"""Raised whenever poses change for another reason than the numbers below."""

LANDMARKS = 33
"""Of the body. The network has more rows: the next two say where the person's square is."""

PLACES = slice(0, 4 * LANDMARKS)
METRES = slice(PLACES.stop, PLACES.stop + 3 * LANDMARKS)
SQUARE = slice(METRES.stop, METRES.stop + 4)
SCORE = SQUARE.stop
POSE_SIZE = SCORE + 1

CROP_SIDE, IMAGE_SIDE = 256, 224
"""Pixels of the landmark network's input, and of the person network's."""

FOUND = 0.5
"""Least score of the landmarks (MediaPipe's threshold)."""

SUSPECTED = 0.3
"""Least score of the person network; the landmarks' score decides."""

SEARCH_EVERY, SEARCH_SELDOM, PATIENCE = 2, 4, 16
"""Looks from one search that found nobody to the next, and when there have been so many looks
without anybody: a search costs three times as much as following. On two clips of each of 34 classes
this finds a person at as many looks as searching at every second one for ever."""

MARGIN = 1.25
"""Side of the square, in diameters of the circle around the body (MediaPipe's)."""

LEAST_SIDE, MOST_SIDE = 0.05, 10.0
"""Of a square, in the frame's longer sides: beyond these it has left the person."""

Floats = NDArray[np.float32]


class PoseNetworks(Protocol):
    """The two networks, run by an engine."""

    def find_people(self, images: Pixels) -> tuple[Floats, Floats]:
        """Squares uint8 [N, 224, 224, 3] to people [N, A, 4] and scores [N, A].

        A person is the middle of the hips and a point on the circle around the body, (x, y) each
        as fractions of the input's side.
        """
        ...

    def find_landmarks(self, crops: Pixels) -> tuple[Floats, Floats, Floats]:
        """Crops uint8 [N, 256, 256, 3] to landmarks [N, 39, 4], metres [N, 39, 3], score [N].

        Landmarks are x, y, z as fractions of the crop's side, and visibility.
        """
        ...


@dataclass(frozen=True, slots=True)
class Square:
    """Where a person is: centre and side in frame heights, rotation in radians clockwise."""

    x: float
    y: float
    side: float
    rotation: float


@dataclass(frozen=True, slots=True)
class PoseState:
    """Who a stream follows. A fresh one follows nobody and searches at its first look.

    square: where the person is looked for at the next look; None for nobody.
    missed: looks without a person since the last one with one, or since the beginning.
    """

    square: Square | None = None
    missed: int = 0

    @property
    def searches(self) -> bool:
        """Whether the next look searches, if the person who is followed is not there."""
        return self.missed % (SEARCH_EVERY if self.missed < PATIENCE else SEARCH_SELDOM) == 0


def fingerprint() -> str:
    """Hash of all that decides who is found and which pixels the networks see: 16 hex digits."""
    facts = [VERSION, POSE_SIZE, CROP_SIDE, IMAGE_SIDE, FOUND, SUSPECTED, MARGIN]
    facts += [SEARCH_EVERY, SEARCH_SELDOM, PATIENCE, LEAST_SIDE, MOST_SIDE]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def square_around(hips: Floats, circle: Floats) -> Square:
    """The square of a body with its hips here and this point, (x, y), above on its circle."""
    across, up = float(circle[0] - hips[0]), float(hips[1] - circle[1])
    rotation = math.remainder(math.pi / 2 - math.atan2(up, across), 2 * math.pi)
    side = 2 * MARGIN * math.hypot(across, up)
    return Square(float(hips[0]), float(hips[1]), side, rotation)


def turn(points: NDArray[Any], rotation: float) -> NDArray[Any]:
    """Points [..., 2] turned clockwise around the origin, of the same dtype."""
    cos, sin = math.cos(rotation), math.sin(rotation)
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]], points.dtype))


def cut_square(pixels: Pixels, square: Square) -> Pixels:
    """The square of the frame as the landmark network wants it, uint8 [256, 256, 3].

    A far larger frame is shrunk first, because the warp does not antialias.
    """
    shrink = int(square.side * pixels.shape[0] / CROP_SIDE)
    if shrink >= 2:
        height, width = (max(length // shrink, 1) for length in pixels.shape[:2])
        pixels = resize(pixels, width, height)
    height = pixels.shape[0]
    step = square.side * height / CROP_SIDE
    axes = turn(np.eye(2), square.rotation).T * step
    centre = np.array([square.x, square.y]) * height - 0.5
    corner = centre - axes @ np.full(2, CROP_SIDE / 2 - 0.5)
    return warp(pixels, np.column_stack([axes, corner]), CROP_SIDE)


def fit_frame(pixels: Pixels) -> Pixels:
    """The whole frame in the middle of a black square, uint8 [224, 224, 3]."""
    scale = IMAGE_SIDE / max(pixels.shape[:2])
    height, width = (max(round(length * scale), 1) for length in pixels.shape[:2])
    top, left = (IMAGE_SIDE - height) // 2, (IMAGE_SIDE - width) // 2
    image = np.zeros((IMAGE_SIDE, IMAGE_SIDE, 3), np.uint8)
    image[top : top + height, left : left + width] = resize(pixels, width, height)
    return image


def best_person(people: Floats, scores: Floats, width: int, height: int) -> Square | None:
    """The likeliest person of a frame of this size; None where none is likely enough.

    people [A, 4] and scores [A] are the person network's, for `fit_frame` of the frame.
    """
    best = int(scores.argmax())
    if scores[best] < SUSPECTED:
        return None
    longer = max(width, height)
    corner = np.array([longer - width, longer - height], np.float32) / 2
    points = (people[best].reshape(2, 2) * longer - corner) / height
    return square_around(points[0], points[1])


def place(landmarks: Floats, metres: Floats, score: float, square: Square) -> Floats:
    """The pose float32 [236] of one crop's landmarks [39, 4] and metres [39, 3]."""
    pose = np.empty(POSE_SIZE, np.float32)
    body, world = landmarks[:LANDMARKS].copy(), metres[:LANDMARKS].copy()
    body[:, :3] *= square.side
    body[:, :2] = to_frame(landmarks[:LANDMARKS, :2], square)
    world[:, :2] = turn(world[:, :2], square.rotation)
    pose[PLACES], pose[METRES] = body.ravel(), world.ravel()
    pose[SQUARE] = square.x, square.y, square.side, square.rotation
    pose[SCORE] = score
    return pose


def to_frame(points: Floats, square: Square) -> Floats:
    """Points [..., 2] of a crop, as fractions of its side, in frame heights."""
    centre = np.array([square.x, square.y], np.float32)
    return turn(points - np.float32(0.5), square.rotation) * np.float32(square.side) + centre


def next_square(landmarks: Floats, square: Square) -> Square:
    """Where the person of this crop's landmarks [39, 4] is looked for at the next look."""
    hips, circle = to_frame(landmarks[LANDMARKS : LANDMARKS + 2, :2], square)
    return square_around(hips, circle)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A person: the pose float32 [236] and the square of the next look."""

    pose: Floats
    square: Square


def look(
    networks: PoseNetworks, frames: Sequence[Pixels], states: Sequence[PoseState]
) -> tuple[Floats, list[PoseState]]:
    """The poses float32 [N, 236] of these frames, one of each stream, and the streams' new states.

    The person whom the stream follows first; where there is none any more, a search: the person
    network, and where the landmarks do not confirm what it suspects, the whole frame.
    """
    squares = {i: state.square for i, state in enumerate(states) if state.square is not None}
    found = find(networks, frames, squares)
    searches = [i for i, state in enumerate(states) if i not in found and state.searches]
    found |= find(networks, frames, detect(networks, frames, searches))
    left = [i for i in searches if i not in found]
    found |= find(networks, frames, {i: whole(frames[i]) for i in left})
    poses = np.zeros((len(frames), POSE_SIZE), np.float32)
    after = [PoseState(None, state.missed + 1) for state in states]
    for i, one in found.items():
        poses[i], after[i] = one.pose, PoseState(one.square)
    return poses, after


def find(
    networks: PoseNetworks, frames: Sequence[Pixels], squares: Mapping[int, Square]
) -> dict[int, Found]:
    """The people in these squares, by the frame's index; only those that are there."""
    if not squares:
        return {}
    crops = np.stack([cut_square(frames[i], square) for i, square in squares.items()])
    landmarks, metres, scores = networks.find_landmarks(crops)
    found = {}
    for row, (i, square) in enumerate(squares.items()):
        after = next_square(landmarks[row], square)
        if scores[row] >= FOUND and is_possible(after, frames[i]):
            found[i] = Found(place(landmarks[row], metres[row], float(scores[row]), square), after)
    return found


def detect(
    networks: PoseNetworks, frames: Sequence[Pixels], indices: Sequence[int]
) -> dict[int, Square]:
    """Where the person network suspects somebody, by the frame's index."""
    if not indices:
        return {}
    people, scores = networks.find_people(np.stack([fit_frame(frames[i]) for i in indices]))
    suspected = {}
    for row, i in enumerate(indices):
        height, width = frames[i].shape[:2]
        square = best_person(people[row], scores[row], width, height)
        if square is not None and is_possible(square, frames[i]):
            suspected[i] = square
    return suspected


def whole(pixels: Pixels) -> Square:
    """The square around the whole frame."""
    height, width = pixels.shape[:2]
    return Square(width / height / 2, 0.5, max(width / height, 1.0), 0.0)


def is_possible(square: Square, pixels: Pixels) -> bool:
    """Whether the square reaches into the frame, and its side is neither tiny nor huge.

    Its centre, the hips, may lie outside: of people at a desk it does.
    """
    width, reach = pixels.shape[1] / pixels.shape[0], square.side / 2
    inside = -reach < square.x < width + reach and -reach < square.y < 1 + reach
    return inside and LEAST_SIDE <= square.side / max(width, 1.0) <= MOST_SIDE

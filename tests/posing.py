"""Pose networks, encoder and head as small ONNX graphs, so that no test needs trained ones.

The pose networks find a red dot (the hips) and a green one (a point on the circle around the body)
by their colours, in whatever they are shown, so every place that comes back has gone through the
real crop. The encoder says the mean colour; the head weighs all numbers of the window at random.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from plain_bundle import card_content

from actionstream.engines import EngineName
from actionstream.inference.pose import CROP_SIDE, IMAGE_SIDE, POSE_SIZE
from actionstream.inference.sampling import WINDOW
from actionstream.recognizer import Recognizer, load
from actionstream.results import Pixels
from actionstream.training.assemble import assemble

LICENCE = Path(__file__).parents[1] / "LICENSES" / "BlazePose.txt"

RED, GREEN = (255, 0, 0), (0, 255, 0)
HIPS, CIRCLE = (0.7, 0.55), (0.7, 0.25)
"""In frame heights: a body that stands upright, its circle 0.3 around the hips."""

IMAGE, COLOURS, ACTIONS = 16, 3, 3
ANCHORS = 2254


def body(
    hips: tuple[float, float] = HIPS,
    circle: tuple[float, float] = CIRCLE,
    size: tuple[int, int] = (320, 240),
    dot: float = 0.04,
) -> Pixels:
    """A frame of this width and height with both dots, squares of `dot` frame heights."""
    width, height = size
    frame = np.full((height, width, 3), 40, np.uint8)
    reach = round(dot * height / 2)
    for (x, y), colour in ((hips, RED), (circle, GREEN)):
        column, row = round(x * height), round(y * height)
        frame[
            max(row - reach, 0) : max(row + reach, 0),
            max(column - reach, 0) : max(column + reach, 0),
        ] = colour
    return frame


_DOTS = """
    numbers = Cast <to = 1> (pixels)
    r, g, b = Split <axis = 3> (numbers, thirds)
    gb = Max (g, b)
    rb = Max (r, b)
    over_gb = Sub (r, gb)
    over_rb = Sub (g, rb)
    both = Concat <axis = 3> (over_gb, over_rb)
    clear = Sub (both, least)
    weight = Relu (clear)
    sums = ReduceSum <keepdims = 0> (weight, picture)
    safe = Max (sums, one)
    across = Mul (weight, columns)
    x_sums = ReduceSum <keepdims = 0> (across, picture)
    x = Div (x_sums, safe)
    down = Mul (weight, rows)
    y_sums = ReduceSum <keepdims = 0> (down, picture)
    y = Div (y_sums, safe)
    places = Concat <axis = 1> (x, y)
    smaller = ReduceMin <axes = [1], keepdims = 0> (sums)
    there = Greater (smaller, enough)
    found = Cast <to = 1> (there)
"""
"""`places` [N, 4]: x of red, x of green, y of red, y of green, as fractions; `found` [N]."""


def pose_network() -> onnx.ModelProto:
    """pose.onnx: hips at landmarks 23 and 33, circle at 0 and 34, the others on the line between.

    Depth is 0.25, visibility 0.75, and the score 0.8 where both dots are seen.
    """
    share = np.arange(39, dtype=np.float32) / 39
    share[[23, 33]], share[[0, 34]] = 0, 1
    spread = np.zeros((4, 39, 4), np.float32)
    spread[0, :, 0] = spread[2, :, 1] = 1 - share
    spread[1, :, 0] = spread[3, :, 1] = share
    rest = np.tile(np.array([0, 0, 0.25, 0.75], np.float32), (39, 1))
    return _network(
        f"pose (uint8[N, {CROP_SIDE}, {CROP_SIDE}, 3] crops)"
        " => (float[N, 39, 4] landmarks, float[N, 39, 3] world, float[N] score)",
        f"""
    pixels = Identity (crops)
    {_DOTS}
    flat = MatMul (places, spread)
    shaped = Reshape (flat, points)
    landmarks = Add (shaped, rest)
    centred = Sub (landmarks, middle)
    metres = Mul (centred, two)
    world = Slice (metres, zero, three, last)
    score = Mul (found, sure)
    """,
        CROP_SIDE,
        spread=spread.reshape(4, -1),
        rest=rest,
        points=np.array([-1, 39, 4]),
        middle=np.array([0.5, 0.5, 0, 0], np.float32),
        two=np.float32(2),
        zero=np.array([0]),
        three=np.array([3]),
        last=np.array([2]),
        sure=np.float32(0.8),
    )


def person_network() -> onnx.ModelProto:
    """person.onnx: the body at one anchor, its score 0.9 where both dots are seen."""
    where = np.zeros((4, ANCHORS, 4), np.float32)
    for place, column in enumerate((0, 2, 1, 3)):
        where[place, 7, column] = 1
    anchor = np.zeros((1, ANCHORS), np.float32)
    anchor[0, 7] = 0.9
    return _network(
        f"person (uint8[N, {IMAGE_SIDE}, {IMAGE_SIDE}, 3] images)"
        f" => (float[N, {ANCHORS}, 4] people, float[N, {ANCHORS}] scores)",
        f"""
    pixels = Identity (images)
    {_DOTS}
    flat = MatMul (places, where)
    people = Reshape (flat, anchors)
    column = Unsqueeze (found, last)
    scores = MatMul (column, anchor)
    """,
        IMAGE_SIDE,
        where=where.reshape(4, -1),
        anchors=np.array([-1, ANCHORS, 4]),
        last=np.array([1]),
        anchor=anchor,
    )


def encoder() -> onnx.ModelProto:
    """encoder.onnx: the mean colour, 0..1."""
    return _network(
        f"encoder (uint8[N, {IMAGE}, {IMAGE}, 3] images) => (float[N, {COLOURS}] features)",
        """
    numbers = Cast <to = 1> (images)
    means = ReduceMean <axes = [1, 2], keepdims = 0> (numbers)
    features = Div (means, most)
    """,
        most=np.float32(255),
    )


def head(size: int = COLOURS + POSE_SIZE, seed: int = 0) -> onnx.ModelProto:
    """head.onnx: every number of the window counts in every logit and in the OOD score."""
    chance = np.random.default_rng(seed)
    return _network(
        f"head (float[B, {WINDOW}, {size}] features)"
        f" => (float[B, {ACTIONS}] logits, float[B] known_score)",
        """
    rows = Reshape (features, flat)
    logits = MatMul (rows, weight)
    energy = MatMul (rows, direction)
    squeezed = Squeeze (energy, last)
    known_score = Sigmoid (squeezed)
    """,
        flat=np.array([-1, WINDOW * size]),
        weight=chance.normal(0, 0.1, (WINDOW * size, ACTIONS)).astype(np.float32),
        direction=chance.normal(0, 0.02, (WINDOW * size, 1)).astype(np.float32),
        last=np.array([1]),
    )


NETWORKS = {"encoder": encoder, "head": head, "pose": pose_network, "person": person_network}


def write_networks(folder: Path) -> None:
    """All four as the files of a bundle."""
    for name, make in NETWORKS.items():
        onnx.save(make(), folder / f"{name}.onnx")


def _network(
    signature: str, nodes: str, side: int | None = None, **constants: NDArray[np.generic]
) -> onnx.ModelProto:
    if side is not None:
        fractions = (np.arange(side, dtype=np.float32) + 0.5) / side
        constants |= {
            "thirds": np.array([1, 1, 1]),
            "least": np.float32(60),
            "one": np.float32(1),
            "enough": np.float32(300),
            "picture": np.array([1, 2]),
            "columns": fractions[None, None, :, None],
            "rows": fractions[None, :, None, None],
        }
    text = f'<ir_version: 8, opset_import: ["" : 17]> {signature} {{ {nodes} }}'
    model = onnx.parser.parse_model(text)
    for name, value in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    onnx.checker.check_model(model, full_check=True)
    return model


def pose_bundle(to: Path, others: Mapping[str, Path] | None = None, **changed: Any) -> Path:
    """A whole bundle of these networks, written to `to`; some of its files and of the card's fields
    may be others."""
    left_out = ("schema_version", "geometry", "preprocessing_fingerprint", "files")
    fields = {key: value for key, value in card_content({}).items() if key not in left_out}
    fields |= {"name": "posing", "encoder": {"name": "mean colour"}, **changed}
    with tempfile.TemporaryDirectory() as place:
        write_networks(Path(place))
        files = {f"{name}.onnx": Path(place, f"{name}.onnx") for name in NETWORKS}
        files |= {"LICENSE-pose.txt": LICENCE, **(others or {})}
        return assemble(to, files, fields).path


def pose_model(to: Path, engine: EngineName = "onnx") -> Recognizer:
    """The model of `pose_bundle`."""
    return load(pose_bundle(to), engine=engine, threads=1)

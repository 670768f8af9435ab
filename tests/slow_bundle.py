"""The shipped small model with a ballast: a bundle that is too slow for live answers anywhere.

Its encoder multiplies matrices of 4096 x 4096 four times before each look, 550 billion operations,
and its card resets a stream after 0.36 s without a look. What it answers is unchanged.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from actionstream.bundle.folder import resolve

SIDE, PRODUCTS = 4096, 4
RESET_AFTER_SECONDS = 0.36


def slow_bundle(to: Path) -> Path:
    """A copy of the shipped `lite0` at `to`, made slow."""
    shutil.copytree(resolve("lite0"), to)
    encoder = to / "encoder.onnx"
    _add_ballast(encoder)
    card_file = to / "card.json"
    card = json.loads(card_file.read_text("utf-8"))
    card["name"] = "slow"
    card["reset_after_seconds"] = RESET_AFTER_SECONDS
    card["files"]["encoder.onnx"] = hashlib.sha256(encoder.read_bytes()).hexdigest()
    card_file.write_text(json.dumps(card), "utf-8")
    return to


def _add_ballast(path: Path) -> None:
    """Add zero to the features, by way of a product that depends on the pictures."""
    model = onnx.load(path)
    graph = model.graph
    images, features = graph.input[0].name, graph.output[0].name
    for node in graph.node:
        node.output[:] = ["light" if name == features else name for name in node.output]
    numbers = {
        "ballast_start": np.array([0, 0, 0, 0], np.int64),
        "ballast_end": np.array([1, 1, 1, 1], np.int64),
        "ballast_axes": np.array([0, 1, 2, 3], np.int64),
        "ballast_shape": np.array([SIDE, SIDE], np.int64),
        "ballast_flat": np.array([1, 1], np.int64),
        "ballast_zero": np.array(0, np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in numbers.items())
    cut = [images, "ballast_start", "ballast_end", "ballast_axes"]
    graph.node.extend(
        [
            helper.make_node("Slice", cut, ["ballast_byte"]),
            helper.make_node("Cast", ["ballast_byte"], ["ballast_one"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Reshape", ["ballast_one", "ballast_flat"], ["ballast_number"]),
            helper.make_node("Expand", ["ballast_number", "ballast_shape"], ["ballast_0"]),
            *(
                helper.make_node("MatMul", [f"ballast_{i}", "ballast_0"], [f"ballast_{i + 1}"])
                for i in range(PRODUCTS)
            ),
            helper.make_node("ReduceMax", [f"ballast_{PRODUCTS}"], ["ballast_most"], keepdims=0),
            helper.make_node("Mul", ["ballast_most", "ballast_zero"], ["ballast_nothing"]),
            helper.make_node("Add", ["light", "ballast_nothing"], [features]),
        ]
    )
    onnx.checker.check_model(model)
    onnx.save(model, path)

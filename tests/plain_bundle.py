"""A small real bundle made without PyTorch: mean colours of a 4 x 4 grid, weighed once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from actionstream.bundle import card as cards
from actionstream.bundle.folder import write_bundle
from actionstream.inference.preprocess import Geometry, fingerprint
from actionstream.inference.sampling import WINDOW

SIZE, FEATURES = 64, 48
LABELS = ("PushUps", "JumpRope", "Lunges")


def numbers(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 0.5, shape).astype(np.float32)


def encode(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What encoder.onnx computes: [N, 64, 64, 3] to [N, 48]."""
    parts = images.astype(np.float32).reshape(len(images), 4, 16, 4, 16, 3).mean(axis=(2, 4)) / 255
    return np.ascontiguousarray(parts.transpose(0, 3, 1, 2)).reshape(len(images), FEATURES)


def read(features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What head.onnx computes: [B, 16, 48] to logits [B, 3] and known_score [B]."""
    logits = features.mean(axis=1) @ numbers(FEATURES, len(LABELS))
    return logits, 1 / (1 + np.exp(-logits.max(axis=1)))


def _save(path: Path, nodes: list[Any], taken: Any, given: list[Any], constants: Any) -> None:
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "plain", [taken], given, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def _value(name: str, kind: int, *shape: int | str) -> Any:
    return helper.make_tensor_value_info(name, kind, list(shape))


def write_parts(place: Path) -> None:
    """encoder.onnx, head.onnx and weights.safetensors."""
    node, floats = helper.make_node, TensorProto.FLOAT
    nodes = [
        node("Cast", ["images"], ["floats"], to=floats),
        node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        node("AveragePool", ["planes"], ["pooled"], kernel_shape=[16, 16], strides=[16, 16]),
        node("Flatten", ["pooled"], ["flat"]),
        node("Mul", ["flat", "factor"], ["features"]),
    ]
    images = _value("images", TensorProto.UINT8, "N", SIZE, SIZE, 3)
    features = [_value("features", floats, "N", FEATURES)]
    factor = {"factor": np.array(1 / 255, np.float32)}
    _save(place / "encoder.onnx", nodes, images, features, factor)
    nodes = [
        node("ReduceMean", ["features", "time"], ["mean"], keepdims=0),
        node("MatMul", ["mean", "weight"], ["logits"]),
        node("ReduceMax", ["logits", "time"], ["best"], keepdims=0),
        node("Sigmoid", ["best"], ["known_score"]),
    ]
    outputs = [_value("logits", floats, "B", len(LABELS)), _value("known_score", floats, "B")]
    weight = numbers(FEATURES, len(LABELS))
    constants = {"weight": weight, "time": np.array([1], np.int64)}
    taken = _value("features", floats, "B", WINDOW, FEATURES)
    _save(place / "head.onnx", nodes, taken, outputs, constants)
    tensors = {
        "head.direct.weight": np.ascontiguousarray(weight.T),
        "head.direct.bias": np.zeros(len(LABELS), np.float32),
        "known.temperature": np.array(1, np.float32),
    }
    save_file(tensors, place / "weights.safetensors")


def card_content(files: dict[str, str], **changed: Any) -> dict[str, Any]:
    """The card as JSON values."""
    content: dict[str, Any] = {
        "schema_version": 2,
        "name": "plain",
        "labels": list(LABELS),
        "encoder": {"name": "grid", "feature_size": FEATURES, "precision": "float32"},
        "head": {"name": "mean", "options": {"differences": False}},
        "geometry": {"input_size": SIZE, "window_fraction": 1.0},
        "spacing_seconds": 0.2,
        "ready_after": 4,
        "reset_after_seconds": 1.0,
        "temperature": 1.3,
        "file_temperature": 1.1,
        "threshold": 0.3,
        "known_threshold": 0.4,
        "smooth_tau_seconds": 0.5,
        "hold_seconds": 0.4,
        "switch_margin": 0.05,
        "preprocessing_fingerprint": fingerprint(Geometry(SIZE), 0.2),
        "files": files,
        "training": {
            "data": "nothing",
            "split": "none",
            "clips": 3,
            "clips_per_label": dict.fromkeys(LABELS, 1),
            "no_action_clips": 2,
            "lists": "0123456789abcdef",
            "comparable": True,
            "recipe": {},
            "command": "none",
        },
        "measured": {
            "figures": [
                {
                    "name": "top-1",
                    "value": 0.875,
                    "low": 0.8,
                    "high": 0.95,
                    "evaluated": 40,
                    "listed": 50,
                    "how": "made up for a test",
                }
            ],
            "per_class": {"PushUps": 0.5},
        },
        "limits": ["It was never trained."],
        "versions": {"onnx": onnx.__version__},
        "licence": {"code": "MIT", "weights": "none", "data": "none"},
    }
    return {**content, **changed}


def plain_bundle(to: Path, **changed: Any) -> Path:
    """The bundle, written to `to`; some of the card's fields may be others."""
    make = lambda files: cards.parse(json.dumps(card_content(files, **changed)))  # noqa: E731
    return write_bundle(to, write_parts, make).path

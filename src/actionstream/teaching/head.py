"""head.onnx of a picture-and-pose bundle: what its closed-form layers read, and other layers in it.

Only the last layers of the three paths depend on the actions: `picture`, `pose` and the LSTM's
`order`. Everything in front of them stays as it is in the file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from actionstream.engines.onnx import open_session, run
from actionstream.errors import BundleError

Floats = NDArray[np.float32]

PATHS = {
    "picture": "head.picture_direct",
    "pose": "head.pose_direct",
    "order": "head.order.linear",
}
"""The last layers, by the names of their tensors in head.onnx and in weights.safetensors."""
_STORED = "_f16"
_READ_AT_ONCE = 32


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """scores = inputs @ weight.T + bias: weight [S, N] and bias [S], float32."""

    weight: Floats
    bias: Floats

    def keep(self, scores: list[int]) -> Layer:
        """Only these scores, in this order."""
        return Layer(self.weight[scores], self.bias[scores])

    def insert(self, weight: Floats, bias: Floats) -> Layer:
        """With new scores in front of the last one, that of no known action."""
        at = len(self.bias) - 1
        wider = np.insert(self.weight, [at] * len(bias), weight, axis=0)
        return Layer(wider, np.insert(self.bias, [at] * len(bias), bias))


Layers = Mapping[str, Layer]


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """What the last layers read of N windows: picture [N, P], pose [N, R], order [N, H]."""

    picture: Floats
    pose: Floats
    order: Floats


class HeadGraph:
    """A head.onnx whose last layers can be read and replaced.

    Raises:
        BundleError: it is not the head of a bundle that reads picture and pose.
    """

    def __init__(self, path: Path) -> None:
        self.model = onnx.load(path, load_external_data=False)
        tensors = {tensor.name: tensor for tensor in self.model.graph.initializer}
        self._nodes = {name: self._reader(path, name) for name in PATHS}

        def values(name: str) -> Floats:
            tensor = tensors.get(name) or tensors.get(name + _STORED)
            if tensor is None:
                raise BundleError(path, [f"the tensor {name} is missing"])
            array: Floats = numpy_helper.to_array(tensor).astype(np.float32)
            return array

        self.layers: dict[str, Layer] = {
            name: Layer(values(f"{layer}.weight"), values(f"{layer}.bias"))
            for name, layer in PATHS.items()
        }
        names = ("statistic_mean", "statistic_std", "weight", "bias")
        self.known = {name: values(f"known.{name}") for name in names}

    def _reader(self, path: Path, name: str) -> Any:
        wanted = f"{PATHS[name]}.weight"
        for node in self.model.graph.node:
            if node.op_type == "Gemm" and node.input[1] == wanted:
                return node
        raise BundleError(path, [f"it has no layer {PATHS[name]}: not a head that can be taught"])

    def read(self, windows: Floats) -> Probe:
        """What the last layers read of windows float32 [N, 16, D + 236]."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        inputs = [node.input[0] for node in self._nodes.values()]
        del model.graph.output[:]
        model.graph.output.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inputs
        )
        with tempfile.TemporaryDirectory(prefix="actionstream-") as folder:
            path = Path(folder, "probe.onnx")
            onnx.save(model, path)
            session = open_session(path, threads=1)
        parts = [windows[i : i + _READ_AT_ONCE] for i in range(0, len(windows), _READ_AT_ONCE)]
        read = [run(session, tuple(inputs), {"features": part}) for part in parts]
        return Probe(*(np.concatenate(column) for column in zip(*read, strict=True)))

    def write(self, path: Path, layers: Layers) -> None:
        """The same head with these last layers, which may have any number of scores."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        for name, layer in PATHS.items():
            _replace(model, f"{layer}.weight", layers[name].weight)
            _replace(model, f"{layer}.bias", layers[name].bias)
        _all_but_last(model)
        logits = next(output for output in model.graph.output if output.name == "logits")
        logits.type.tensor_type.shape.dim[1].dim_value = len(layers["picture"].bias) - 1
        onnx.checker.check_model(model, full_check=True)
        path.write_bytes(model.SerializeToString(deterministic=True))


def _replace(model: onnx.ModelProto, name: str, values: Floats) -> None:
    """Put these values in place of a tensor, stored as it was."""
    for tensor in model.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), name))
        elif tensor.name == name + _STORED:
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), tensor.name))


def _all_but_last(model: onnx.ModelProto) -> None:
    """Let the slice that makes the logits end before the last score, whatever their number."""
    node = next(node for node in model.graph.node if "logits" in node.output)
    name = "logits_end"
    if node.input[2] != name:
        node.input[2] = name
        model.graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), name))


def rounded(layer: Layer) -> Layer:
    """The layer as the file stores it: its weight as float16."""
    return Layer(layer.weight.astype(np.float16).astype(np.float32), layer.bias)

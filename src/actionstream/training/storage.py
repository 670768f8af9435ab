"""Weights of an ONNX graph stored as float16: half the file, the same arithmetic in float32.

Every large float32 initializer becomes a float16 one and a Cast in front of its readers. Engines
fold the Cast while they load, so a run costs nothing more. The numbers are rounded to 11 bits: what
is trained on such an encoder's features must be trained on those of the rounded one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LEAST_SIZE = 64
"""Smaller tensors stay as they are: they weigh nothing, and axes or scalars may be among them."""
_LARGEST = float(np.finfo(np.float16).max)


def with_float16_storage(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` that keeps its large weights as float16; inputs and outputs as before.

    Raises:
        ValueError: a weight does not fit into float16 (above 65,504).
    """
    small = onnx.ModelProto()
    small.CopyFrom(model)
    kept, casts = [], []
    for tensor in small.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < LEAST_SIZE:
            kept.append(tensor)
            continue
        if not np.abs(values).max() <= _LARGEST:
            raise ValueError(f"{tensor.name}: does not fit into float16")
        stored = f"{tensor.name}_f16"
        kept.append(numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(helper.make_node("Cast", [stored], [tensor.name], to=TensorProto.FLOAT))
    nodes = list(small.graph.node)
    del small.graph.initializer[:], small.graph.node[:]
    small.graph.initializer.extend(kept)
    small.graph.node.extend([*casts, *nodes])
    onnx.checker.check_model(small, full_check=True)
    return small


def stored_as_float16(path: Path) -> bool:
    """Whether a graph keeps weights so."""
    tensors = onnx.load(path, load_external_data=False).graph.initializer
    return any(tensor.data_type == TensorProto.FLOAT16 for tensor in tensors)

"""An encoder's tensors from the encoder.onnx of a bundle: they are stored nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from actionstream.networks.encoders import Encoder


def fill_encoder(encoder: Encoder, path: Path) -> list[str]:
    """Put the numbers of an encoder.onnx into a network of the same kind; what does not fit.

    The exporter folds each batch norm into the convolution before it. Such a batch norm gets the
    folded bias and is the identity otherwise: in evaluation mode the same function. Weights that
    are stored as float16 stand behind a Cast.
    """
    graph = onnx.load(path, load_external_data=False).graph
    numbers = {
        tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
        for tensor in graph.initializer
    }
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in numbers:
            numbers[node.output[0]] = numbers[node.input[0]].float()
    found = {**numbers, **dict(_folded(encoder, numbers))}
    state, problems = encoder.state_dict(), []
    for name, value in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name not in found:
            problems.append(f"{name} is missing")
        elif found[name].shape != value.shape:
            problems.append(f"{name} must be {list(value.shape)}, got {list(found[name].shape)}")
        else:
            state[name] = found[name]
    if not problems:
        encoder.load_state_dict(state)
    return problems


def _folded(encoder: Encoder, numbers: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The tensors of the batch norms that were folded into the convolution before them."""
    convolution = ""
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Conv2d):
            convolution = name
        bias = numbers.get(f"{convolution}.weight_bias")
        if isinstance(module, nn.BatchNorm2d) and bias is not None:
            ones = torch.ones_like(bias)
            yield f"{name}.weight", ones * (1 + module.eps) ** 0.5
            yield f"{name}.bias", bias
            yield f"{name}.running_mean", 0 * ones
            yield f"{name}.running_var", ones

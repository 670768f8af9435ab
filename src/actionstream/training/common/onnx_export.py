"""PyTorch networks to ONNX graphs: one file each, nothing beside it.

The exporter is torch's dynamo one: its graphs are smaller and faster than the TorchScript
exporter's (Lite0 on one core 5.1 ms a look against 6.5, which leaves its padding arithmetic in).
Its own translation of nn.LSTM gives other numbers (seen with torch 2.15 and onnxscript 0.7: logits
off by whole units), so the operator is written here, weights in ONNX's order of gates.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import onnx
import torch
from torch import Tensor, nn

from actionstream.errors import TrainingError
from actionstream.inference.sampling import WINDOW
from actionstream.networks.encoders import Encoder
from actionstream.networks.ood import InferenceHead

OPSET = 18
EXAMPLE_BATCH = 2
"""A batch of 1 would be baked into the graph, whatever dynamic_shapes says."""

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def frozen(module: AnyModule) -> AnyModule:
    """A copy on the CPU in evaluation mode: no dropout, batch norms as learned."""
    return copy.deepcopy(module).cpu().eval().requires_grad_(False)


def export_encoder(encoder: Encoder, path: Path) -> None:
    """Write `encoder.onnx`: images uint8 [N, S, S, 3] to features float32 [N, D], any N."""
    size = encoder.input_size
    generator = torch.Generator().manual_seed(0)
    shape = (EXAMPLE_BATCH, size, size, 3)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    _export(encoder, images, path, ("images", "N"), ("features",))


def export_head(inference_head: InferenceHead, path: Path) -> None:
    """Write `head.onnx`: features float32 [B, 16, D] to logits [B, K] and known_score [B]."""
    generator = torch.Generator().manual_seed(0)
    shape = (EXAMPLE_BATCH, WINDOW, inference_head.head.feature_size)
    features = torch.rand(shape, generator=generator)
    _export(
        with_onnx_lstm(inference_head), features, path, ("features", "B"), ("logits", "known_score")
    )


def _export(
    module: nn.Module,
    example: Tensor,
    path: Path,
    taken: tuple[str, str],
    outputs: tuple[str, ...],
) -> None:
    """Trace and write. `taken` names the input and its batch dimension."""
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            frozen(module),
            (example,),
            input_names=[taken[0]],
            output_names=list(outputs),
            opset_version=OPSET,
            dynamic_shapes=({0: torch.export.Dim(taken[1])},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _forget_the_machine(model)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _forget_the_machine(model: onnx.ModelProto) -> None:
    """Drop stack traces and source paths that the exporter leaves in every node."""
    graph = model.graph
    del model.metadata_props[:]
    model.doc_string = ""
    for part in (graph, *graph.node, *graph.initializer, *graph.value_info):
        del part.metadata_props[:]
        part.doc_string = ""
    for value in (*graph.input, *graph.output):
        del value.metadata_props[:]
        value.doc_string = ""
    del graph.value_info[:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's chatter (prints, warnings, its loggers) off the terminal."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _Layer(nn.Module):
    """One LSTM layer from zero states: [16, B, I] to [16, B, H]."""

    w: Tensor
    r: Tensor
    b: Tensor

    def __init__(self, lstm: nn.LSTM, index: int) -> None:
        super().__init__()
        parameters = dict(lstm.named_parameters())
        self.hidden = lstm.hidden_size

        def ordered(name: str) -> Tensor:
            return _onnx_gates(parameters[f"{name}_l{index}"].detach())

        self.register_buffer("w", ordered("weight_ih")[None])
        self.register_buffer("r", ordered("weight_hh")[None])
        self.register_buffer("b", torch.cat([ordered("bias_ih"), ordered("bias_hh")])[None])

    def forward(self, looks: Tensor) -> Tensor:
        states = torch.onnx.ops.symbolic(
            "LSTM",
            (looks, self.w, self.r, self.b),
            {"hidden_size": self.hidden},
            dtype=looks.dtype,
            shape=(looks.shape[0], 1, looks.shape[1], self.hidden),
            version=14,
        )
        return states.squeeze(1)


def _onnx_gates(weight: Tensor) -> Tensor:
    """PyTorch's order input, forget, cell, output to ONNX's input, output, forget, cell."""
    i, f, c, o = weight.chunk(4)
    return torch.cat([i, o, f, c])


class OnnxLSTM(nn.Module):
    """Stands in for an nn.LSTM while a head is traced: [B, 16, I] to ([B, 16, H], None)."""

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        plain = lstm.batch_first and lstm.bias and not lstm.bidirectional and not lstm.proj_size
        if not plain:
            raise TrainingError("only a batch-first LSTM in one direction, with bias, is exported")
        self.layers = nn.ModuleList(_Layer(lstm, index) for index in range(lstm.num_layers))

    def forward(self, looks: Tensor) -> tuple[Tensor, None]:
        states = looks.transpose(0, 1)
        for layer in self.layers:
            states = layer(states)
        return states.transpose(0, 1), None


def with_onnx_lstm(module: nn.Module) -> nn.Module:
    """A copy of `module` in which every nn.LSTM is an `OnnxLSTM`. Good for tracing only."""
    changed = copy.deepcopy(module)
    for parent in list(changed.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.LSTM):
                setattr(parent, name, OnnxLSTM(child))
    return changed

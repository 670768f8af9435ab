"""nn.LSTM as ONNX LSTM operators, for the export.

The exporter's own translation of nn.LSTM gives other numbers (seen with torch 2.15 and onnxscript
0.7: logits off by whole units), so the operator is written here, weights in ONNX's order of gates.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from actionstream.errors import TrainingError


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

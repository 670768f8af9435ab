"""What trains in a phase: the head, and the part of the encoder that is not frozen."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from actionstream.networks.encoders import Encoder
from actionstream.networks.heads import Head
from actionstream.training.frame_recipe import FrameRecipe, Phase, TrainedPart


def enter(phase: Phase, encoder: Encoder, head: Head, recipe: FrameRecipe) -> torch.optim.Optimizer:
    """Freeze and unfreeze as the phase wants, with a new optimizer.

    Every group of parameters holds its learning rate under "base".
    """
    encoder.requires_grad_(False)
    groups: list[dict[str, Any]] = [
        {"params": list(head.parameters()), "base": phase.learning_rate}
    ]
    for part in trained_modules(encoder, phase.trains):
        part.requires_grad_(True)
        groups.append({"params": list(part.parameters()), "base": phase.encoder_learning_rate})
    return torch.optim.AdamW(groups, lr=phase.learning_rate, weight_decay=recipe.weight_decay)


def trained_modules(encoder: Encoder, part: TrainedPart) -> tuple[nn.Module, ...]:
    """The modules of an encoder that `part` names; together they hold its parameters."""
    if part == "none":
        return ()
    if part == "all":
        return (encoder.trunk,)
    if encoder.spec.name == "resnet18":
        return (encoder.trunk.get_submodule("layer4"),)
    blocks = encoder.trunk.get_submodule("blocks")
    last = [name for name, _ in blocks.named_children()][-1]
    trunk = encoder.trunk
    return (blocks.get_submodule(last), *map(trunk.get_submodule, ("conv_head", "bn2")))

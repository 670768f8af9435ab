"""The heads: features of 16 looks [B, 16, D] to logits [B, K].

`lstm` reads the looks in their order; `mean` only their average, as the yardstick that an LSTM has
to beat. Both can see, besides the mean feature, how much neighbouring looks differ.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from actionstream.errors import TrainingError

Normalise = Literal["none", "l2", "standard"]
Readout = Literal["last", "mean"]
Option = int | float | bool | str
"""What card.json can hold of a constructor's argument."""

_SMALLEST = 1e-6
_SMALLEST_STD_SHARE = 0.1
"""Of the mean over channels. A channel that hardly moved in training would otherwise be blown up by
1e6 when it moves for once."""


class Front(nn.Module):
    """Brings features to one scale, and sums a window up.

    normalise: "none"; "l2" (each look has length 1 times sqrt(D)); "standard" (by the mean and
        standard deviation of the training features, which are buffers: see `fit`).
    differences: the summary is the mean look and the mean absolute difference of neighbouring
        looks, [B, 2 D], instead of the mean look, [B, D].
    """

    mean: Tensor
    std: Tensor
    summary_mean: Tensor
    summary_std: Tensor

    def __init__(self, feature_size: int, *, normalise: Normalise, differences: bool) -> None:
        super().__init__()
        _one_of("normalise", normalise, get_args(Normalise))
        self.normalise, self.differences = normalise, differences
        self.summary_size = feature_size * (2 if differences else 1)
        if normalise == "standard":
            self.register_buffer("mean", torch.zeros(feature_size))
            self.register_buffer("std", torch.ones(feature_size))
            self.register_buffer("summary_mean", torch.zeros(self.summary_size))
            self.register_buffer("summary_std", torch.ones(self.summary_size))

    def forward(self, features: Tensor) -> Tensor:
        """Looks at one scale, [B, 16, D] to [B, 16, D]."""
        if self.normalise == "standard":
            return (features - self.mean) / self.std
        if self.normalise == "l2":
            length = features.square().mean(dim=-1, keepdim=True).sqrt()
            return features / length.clamp(min=_SMALLEST)
        return features

    def summary(self, looks: Tensor) -> Tensor:
        """The window at a glance, [B, D] or [B, 2 D], from looks that `forward` returned."""
        summed = self._raw_summary(looks)
        if self.normalise == "standard":
            return (summed - self.summary_mean) / self.summary_std
        return summed

    def _raw_summary(self, looks: Tensor) -> Tensor:
        mean = looks.mean(dim=1)
        if not self.differences:
            return mean
        steps = (looks[:, 1:] - looks[:, :-1]).abs().mean(dim=1)
        return torch.cat([mean, steps], dim=1)

    @torch.no_grad()
    def fit(self, features: Tensor) -> None:
        """Take the scale from training features [M, 16, D]. Does nothing unless "standard"."""
        if self.normalise != "standard":
            return
        self.mean.copy_(features.mean(dim=(0, 1)))
        self.std.copy_(_steady(features.std(dim=(0, 1), correction=0)))
        summed = self._raw_summary(self(features))
        self.summary_mean.copy_(summed.mean(dim=0))
        self.summary_std.copy_(_steady(summed.std(dim=0, correction=0)))


def _steady(std: Tensor) -> Tensor:
    """Standard deviations that can be divided by."""
    return std.clamp(min=max(float(std.mean()) * _SMALLEST_STD_SHARE, _SMALLEST))


class Head(nn.Module):
    """What every head is: [B, 16, D] to [B, K], K `num_classes` and D `feature_size`.

    name, options: those of `build_head` with every default spelled out, as the card keeps them.
    """

    name: str = ""
    options: Mapping[str, Option] = MappingProxyType({})

    def __init__(self, feature_size: int, num_classes: int, front: Front) -> None:
        super().__init__()
        self.feature_size, self.num_classes, self.front = feature_size, num_classes, front

    def fit(self, features: Tensor) -> None:
        """Take the scale of the features from the training set [M, 16, D]."""
        self.front.fit(features)


class LSTMHead(Head):
    """An LSTM over the looks, and optionally a direct path from the window's summary.

    Args:
        feature_size: D.
        num_classes: K.
        hidden: size of the LSTM's state.
        layers: LSTM layers.
        dropout: of what the linear layers read (and between LSTM layers).
        input_dropout: of what the LSTM reads, by look and channel.
        project: size of a linear layer in front of the LSTM; 0 for none.
        normalise: see `Front`.
        direct: logits = linear(LSTM) + linear(summary) instead of linear(LSTM).
        differences: the summary of the direct path holds the differences of neighbouring looks.
        readout: the LSTM's output at the newest look, or its mean over the looks.
    """

    def __init__(
        self,
        feature_size: int,
        num_classes: int,
        *,
        hidden: int = 128,
        layers: int = 1,
        dropout: float = 0.5,
        input_dropout: float = 0.0,
        project: int = 0,
        normalise: Normalise = "standard",
        direct: bool = True,
        differences: bool = False,
        readout: Readout = "last",
    ) -> None:
        front = Front(feature_size, normalise=normalise, differences=differences)
        super().__init__(feature_size, num_classes, front)
        _one_of("readout", readout, get_args(Readout))
        if differences and not direct:
            raise TrainingError("differences=True needs the direct path: direct=True")
        self.readout = readout
        self.input_dropout = nn.Dropout(input_dropout)
        self.project = nn.Linear(feature_size, project) if project else nn.Identity()
        between = dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(
            project or feature_size, hidden, layers, batch_first=True, dropout=between
        )
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden, num_classes)
        self.direct = nn.Linear(front.summary_size, num_classes, bias=False) if direct else None

    def forward(self, features: Tensor) -> Tensor:
        looks = self.front(features)
        states, _ = self.lstm(self.project(self.input_dropout(looks)))
        read = states[:, -1] if self.readout == "last" else states.mean(dim=1)
        logits: Tensor = self.linear(self.dropout(read))
        if self.direct is not None:
            logits = logits + self.direct(self.dropout(self.front.summary(looks)))
        return logits


class MeanHead(Head):
    """A linear layer on the window's summary. The order of the looks does not matter to it,
    unless `differences` lets it see how much neighbours differ.
    """

    def __init__(
        self,
        feature_size: int,
        num_classes: int,
        *,
        dropout: float = 0.0,
        normalise: Normalise = "standard",
        differences: bool = False,
    ) -> None:
        front = Front(feature_size, normalise=normalise, differences=differences)
        super().__init__(feature_size, num_classes, front)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(front.summary_size, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        summary = self.front.summary(self.front(features))
        logits: Tensor = self.linear(self.dropout(summary))
        return logits


HEADS: Mapping[str, Callable[..., Head]] = MappingProxyType({"lstm": LSTMHead, "mean": MeanHead})
"""By name, as the card's head.name."""


def build_head(name: str, feature_size: int, num_classes: int, **options: Option) -> Head:
    """A head by name with random weights; `options` as in the card's head.options.

    Raises:
        TrainingError: no such head, or options that it does not have.
    """
    if name not in HEADS:
        raise TrainingError(f"there is no head {name!r}; there are {', '.join(HEADS)}")
    try:
        head = HEADS[name](feature_size, num_classes, **options)
    except TypeError as error:
        raise TrainingError(f"head {name!r} with options {options}: {error}") from None
    head.name, head.options = name, {**_defaults(HEADS[name]), **options}
    return head


def _defaults(head: Callable[..., Head]) -> dict[str, Option]:
    parameters = inspect.signature(head).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise TrainingError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")

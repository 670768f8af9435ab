"""The heads: features of 16 looks [B, 16, D] to logits [B, K].

`lstm` reads the looks in their order; `mean` only what they are on average and how much they vary,
as the yardstick that an LSTM has to beat. The LSTM head can have that yardstick as a direct path
beside the LSTM: its logits are added.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, TypeVar, get_args

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
    """Brings the looks that the LSTM reads to one scale, [B, 16, D] to [B, 16, D].

    normalise: "none"; "l2" (each look has length 1 times sqrt(D)); "standard" (by the mean and
        standard deviation of the training features, which are buffers: see `fit`).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, feature_size: int, *, normalise: Normalise) -> None:
        super().__init__()
        _one_of("normalise", normalise, get_args(Normalise))
        self.normalise = normalise
        if normalise == "standard":
            self.register_buffer("mean", torch.zeros(feature_size))
            self.register_buffer("std", torch.ones(feature_size))

    def forward(self, features: Tensor) -> Tensor:
        if self.normalise == "standard":
            return (features - self.mean) / self.std
        if self.normalise == "l2":
            length = features.square().mean(dim=-1, keepdim=True).sqrt()
            return features / length.clamp(min=_SMALLEST)
        return features

    @torch.no_grad()
    def fit(self, features: Tensor) -> None:
        """Take the scale from training features [M, 16, D]. Does nothing unless "standard"."""
        if self.normalise == "standard":
            self.mean.copy_(features.mean(dim=(0, 1)))
            self.std.copy_(steady(features.std(dim=(0, 1), correction=0)))


def steady(std: Tensor) -> Tensor:
    """Standard deviations [D] that can be divided by."""
    return std.clamp(min=max(float(std.mean()) * _SMALLEST_STD_SHARE, _SMALLEST))


class Summary(nn.Module):
    """A window at a glance, [B, 16, D] to [B, P], P being D times the number of parts.

    Always the mean look; then, where asked for, the mean absolute difference of neighbouring looks
    (`differences`) and the standard deviation over the looks (`deviation`).
    """

    def __init__(self, feature_size: int, *, differences: bool, deviation: bool) -> None:
        super().__init__()
        self.differences, self.deviation = differences, deviation
        self.size = feature_size * (1 + differences + deviation)

    def forward(self, features: Tensor) -> Tensor:
        mean = features.mean(dim=1)
        parts = [mean]
        if self.differences:
            parts.append((features[:, 1:] - features[:, :-1]).abs().mean(dim=1))
        if self.deviation:
            centred = features - mean[:, None]
            parts.append((centred.square().mean(dim=1) + _SMALLEST).sqrt())
        return torch.cat(parts, dim=1)


class Head(nn.Module):
    """What every head is: [B, 16, D] to [B, K], K `num_classes` and D `feature_size`.

    name, options: those of `build_head` with every default spelled out, as the card keeps them.
    summary, direct: the direct path, a linear layer on the window's summary; None without one.
    """

    name: str = ""
    options: Mapping[str, Option] = MappingProxyType({})

    def __init__(self, feature_size: int, num_classes: int, summary: Summary | None) -> None:
        super().__init__()
        self.feature_size, self.num_classes = feature_size, num_classes
        self.summary = summary
        self.direct = None if summary is None else nn.Linear(summary.size, num_classes)

    def read_direct(self, features: Tensor) -> Tensor | float:
        """The direct path's part of the logits, [B, K]; 0 without one."""
        if self.summary is None or self.direct is None:
            return 0.0
        logits: Tensor = self.direct(self.summary(features))
        return logits


class LSTMHead(Head):
    """An LSTM over the looks, and optionally a direct path from the window's summary.

    Args:
        feature_size: D.
        num_classes: K.
        hidden: size of the LSTM's state.
        layers: LSTM layers.
        dropout: of what the linear layer reads (and between LSTM layers).
        input_dropout: of what the LSTM reads, by look and channel.
        project: size of a linear layer in front of the LSTM; 0 for none.
        evidence: the LSTM reads, instead of features, what each look and its change since the look
            before say by themselves for each class, [B, 16, K].
        normalise: see `Front`.
        direct: logits = linear(LSTM) + linear(summary) instead of linear(LSTM).
        differences, deviation: what the summary holds; see `Summary`.
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
        evidence: bool = False,
        normalise: Normalise = "standard",
        direct: bool = True,
        differences: bool = False,
        deviation: bool = False,
        readout: Readout = "last",
    ) -> None:
        _one_of("readout", readout, get_args(Readout))
        if (differences or deviation) and not direct:
            raise TrainingError("differences and deviation need the direct path: direct=True")
        summary = Summary(feature_size, differences=differences, deviation=deviation)
        super().__init__(feature_size, num_classes, summary if direct else None)
        self.evidence = nn.Linear(2 * feature_size, num_classes) if evidence else None
        size = num_classes if evidence else feature_size
        self.front = Front(size, normalise=normalise)
        self.readout = readout
        self.input_dropout = nn.Dropout(input_dropout)
        self.project = nn.Linear(size, project) if project else nn.Identity()
        between = dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(project or size, hidden, layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden, num_classes)

    def widen(self, features: Tensor) -> Tensor:
        """What the evidence layer reads: looks and their changes, [B, T, D] to [B, T, 2 D]."""
        changes = (features[:, 1:] - features[:, :-1]).abs()
        still = torch.zeros_like(features[:, :1])
        return torch.cat([features, torch.cat([still, changes], dim=1)], dim=2)

    def read_evidence(self, features: Tensor) -> Tensor:
        """What the LSTM reads: [B, 16, D] to [B, 16, K]; the features themselves without
        `evidence`.
        """
        if self.evidence is None:
            return features
        evidence: Tensor = self.evidence(self.widen(features))
        return evidence

    def fit(self, evidence: Tensor) -> None:
        """Take the scale from what the LSTM reads of the training set, [M, 16, D or K]."""
        self.front.fit(evidence)

    def read_order(self, evidence: Tensor) -> Tensor:
        """The LSTM's part of the logits, [B, K], from what `read_evidence` returned."""
        looks = self.front(evidence)
        states, _ = self.lstm(self.project(self.input_dropout(looks)))
        read = states[:, -1] if self.readout == "last" else states.mean(dim=1)
        logits: Tensor = self.linear(self.dropout(read))
        return logits

    def forward(self, features: Tensor) -> Tensor:
        return self.read_order(self.read_evidence(features)) + self.read_direct(features)


class MeanHead(Head):
    """A linear layer on the window's summary. The order of the looks does not matter to it,
    unless `differences` lets it see how much neighbours differ.
    """

    def __init__(
        self,
        feature_size: int,
        num_classes: int,
        *,
        differences: bool = False,
        deviation: bool = False,
    ) -> None:
        summary = Summary(feature_size, differences=differences, deviation=deviation)
        super().__init__(feature_size, num_classes, summary)

    def forward(self, features: Tensor) -> Tensor:
        logits = self.read_direct(features)
        assert isinstance(logits, Tensor)
        return logits


HEADS: Mapping[str, Callable[..., Head]] = MappingProxyType({"lstm": LSTMHead, "mean": MeanHead})
"""By name, as the card's head.name: those that `train` makes."""


def build_head(name: str, feature_size: int, num_classes: int, /, **options: Option) -> Head:
    """A head by name with random weights; `options` as in the card's head.options.

    Raises:
        TrainingError: no such head, or options or values that it does not take.
    """
    if name not in HEADS:
        raise TrainingError(f"there is no head {name!r}; there are {', '.join(HEADS)}")
    return construct(HEADS[name], name, feature_size, num_classes, options)


AnyHead = TypeVar("AnyHead", bound=Head)


def construct(
    kind: Callable[..., AnyHead],
    name: str,
    feature_size: int,
    num_classes: int,
    options: Mapping[str, Option],
) -> AnyHead:
    """A head of this class, with its name and options as the card keeps them.

    Raises:
        TrainingError: options or values that it does not take.
    """
    try:
        head = kind(feature_size, num_classes, **options)
    except TrainingError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:  # what torch's layers raise
        raise TrainingError(f"head {name!r} with options {dict(options)}: {error}") from None
    head.name, head.options = name, {**_defaults(kind), **options}
    return head


def _defaults(head: Callable[..., Head]) -> dict[str, Option]:
    parameters = inspect.signature(head).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise TrainingError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")

"""The out-of-distribution (OOD) score: how much a window looks like one of the known actions.

The whole rule lives in the exported head graph; the card holds only a threshold on the score.
All numbers of the rule are buffers, which training fills.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from actionstream.errors import TrainingError
from actionstream.networks.heads import Head, Option, build_head, construct
from actionstream.networks.pose_head import PoseHead, PoseOODScore

OODKind = Literal["max_probability", "energy", "logistic"]

STATISTICS = (
    "max_probability",
    "energy",
    "margin",
    "entropy",
    "nearest_distance",
    "own_distance",
)
"""What the logistic kind weighs, in the order of its weights. See `OODScore.statistics`."""


class OODScore(nn.Module):
    """Features [B, 16, D] and logits [B, K] to a score [B] in 0..1, 1 for a known action.

    kinds:
        "max_probability": the largest of softmax(logits / temperature).
        "energy": sigmoid((energy - centre) / width), energy = logsumexp(logits / temperature).
            Source: Liu et al. 2020, "Energy-based Out-of-distribution Detection", equation 4.
        "logistic": sigmoid(weight . standardised statistics + bias), a logistic regression.

    Buffers to fill: temperature []; energy: centre [], width []; logistic: feature_mean [D],
    feature_std [D], projection [D, P], class_means [K, P], statistic_mean [6], statistic_std [6],
    weight [6], bias [].
    """

    temperature: Tensor
    centre: Tensor
    width: Tensor
    feature_mean: Tensor
    feature_std: Tensor
    projection: Tensor
    class_means: Tensor
    statistic_mean: Tensor
    statistic_std: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        kind: OODKind,
        feature_size: int,
        num_classes: int,
        *,
        projection_size: int = 32,
    ) -> None:
        super().__init__()
        if kind not in get_args(OODKind):
            allowed = ", ".join(get_args(OODKind))
            raise TrainingError(f"the OOD score must be one of {allowed}, got {kind!r}")
        self.kind, self.projection_size, self.num_classes = kind, projection_size, num_classes
        self.register_buffer("temperature", torch.tensor(1.0))
        if kind == "energy":
            self.register_buffer("centre", torch.tensor(0.0))
            self.register_buffer("width", torch.tensor(1.0))
        if kind == "logistic":
            self._register_logistic(feature_size, num_classes, projection_size)

    def _register_logistic(self, feature_size: int, num_classes: int, size: int) -> None:
        self.register_buffer("feature_mean", torch.zeros(feature_size))
        self.register_buffer("feature_std", torch.ones(feature_size))
        self.register_buffer("projection", torch.eye(feature_size, size))
        self.register_buffer("class_means", torch.zeros(num_classes, size))
        self.register_buffer("statistic_mean", torch.zeros(len(STATISTICS)))
        self.register_buffer("statistic_std", torch.ones(len(STATISTICS)))
        self.register_buffer("weight", torch.zeros(len(STATISTICS)))
        self.register_buffer("bias", torch.tensor(0.0))

    @property
    def options(self) -> dict[str, Option]:
        """The constructor's, under the keys that the card's head.options uses."""
        if self.kind == "logistic":
            return {"known": self.kind, "known_projection": self.projection_size}
        return {"known": self.kind}

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:
        scaled = logits / self.temperature
        if self.kind == "max_probability":
            return scaled.softmax(dim=1).amax(dim=1)
        if self.kind == "energy":
            return torch.sigmoid((scaled.logsumexp(dim=1) - self.centre) / self.width)
        statistics = self.statistics(features, logits)
        standardised = (statistics - self.statistic_mean) / self.statistic_std
        return torch.sigmoid((standardised * self.weight).sum(dim=1) + self.bias)

    def project(self, features: Tensor) -> Tensor:
        """The mean look, standardised and projected: [B, 16, D] to [B, P] (logistic only)."""
        mean = features.mean(dim=1)
        return ((mean - self.feature_mean) / self.feature_std) @ self.projection

    def statistics(self, features: Tensor, logits: Tensor) -> Tensor:
        """The statistics of `STATISTICS`, [B, 6] (logistic only).

        Largest probability; energy; how far the best logit leads the second; entropy over log K;
        distance to the nearest class mean; distance to the mean of the best class.
        """
        scaled = logits / self.temperature
        logs = scaled.log_softmax(dim=1)
        probabilities = logs.exp()
        entropy = -(probabilities * logs).sum(dim=1) / math.log(max(self.num_classes, 2))
        best = scaled.topk(min(2, self.num_classes), dim=1).values
        distances = self._distances(features)
        own = (distances * nn.functional.one_hot(logits.argmax(1), self.num_classes)).sum(dim=1)
        columns = (
            probabilities.amax(dim=1),
            scaled.logsumexp(dim=1),
            best[:, 0] - best[:, -1],
            entropy,
            distances.amin(dim=1),
            own,
        )
        return torch.stack(columns, dim=1)

    def _distances(self, features: Tensor) -> Tensor:
        """Euclidean distance of the projected mean look to each class mean, [B, K]."""
        gaps = self.project(features)[:, None, :] - self.class_means[None, :, :]
        return gaps.square().sum(dim=2).sqrt()


class InferenceHead(nn.Module):
    """What head.onnx holds: features [B, 16, D] to (logits [B, K], known_score [B])."""

    def __init__(self, head: Head, ood: OODScore | PoseOODScore) -> None:
        super().__init__()
        self.head, self.known = head, ood  # as weights.safetensors names their tensors

    @property
    def options(self) -> dict[str, Option]:
        """The card's head.options: those of the head, and `known...` of the score."""
        own = self.known.options if isinstance(self.known, OODScore) else {}
        return {**self.head.options, **own}

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.head(features)
        return logits, self.known(features, logits)


class InferencePoseHead(InferenceHead):
    """The same of a head that reads the pose, whose score weighs its paths."""

    head: PoseHead

    def __init__(self, head: PoseHead, ood: PoseOODScore) -> None:
        super().__init__(head, ood)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        pictures, _ = self.head.split(features)
        parts = self.head.parts(features)
        return self.head.logits(parts), self.known(pictures, parts)


POSE_HEAD = "picture_and_pose"
"""The card's head.name of a `PoseHead`, which has a score of its own."""


def build_inference_head(
    name: str, feature_size: int, num_classes: int, options: Mapping[str, Option]
) -> InferenceHead:
    """Head and OOD score with random weights, from the card's head.name and head.options.

    The keys `known` and `known_projection` are the score's, the others the head's.

    Raises:
        TrainingError: no such head, or options that it does not have.
    """
    if name == POSE_HEAD:
        both = construct(PoseHead, name, feature_size, num_classes, options)
        return InferencePoseHead(both.eval(), PoseOODScore().eval())
    own = {key: value for key, value in options.items() if not key.startswith("known")}
    kind = str(options.get("known", "max_probability"))
    size = int(options.get("known_projection", 32))
    head = build_head(name, feature_size, num_classes, **own)
    ood = OODScore(kind, feature_size, num_classes, projection_size=size)  # type: ignore[arg-type]
    return InferenceHead(head.eval(), ood.eval())

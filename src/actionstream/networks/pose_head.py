"""The head that reads picture and pose: closed-form paths, and an LSTM beside them.

    picture looks --- summary ------------------------- linear ---+
    picture looks --- each look and its change -- linear --+      |
                                                           LSTM --+--- scores of actions and "none"
    pose looks ------ each look and its change -- ReLU - linear   |
    pose looks ------ summary -- random ReLU features - linear ---+

Every linear layer but the LSTM's own is ridge regression, solved and not learned; the LSTM learns
what to add. The last score is that of no known action. research/ makes such heads.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from actionstream.errors import TrainingError
from actionstream.inference.pose import POSE_SIZE
from actionstream.networks.heads import Head, Summary
from actionstream.networks.pose_features import PoseLooks, PoseSummary, mirrored

STEEPEST = 5.0
"""Standardised numbers are cut off here: a landmark that jumps says no more than this."""

STILL = 0.006
"""Change of the picture's feature between looks, as a share of its size, below which nothing moves
and nothing is known. The stillest clip of the training side has 0.017."""

_STEEPEST_EVIDENCE = 4.0
_SMALLEST = 1e-6

Parts = tuple[Tensor, Tensor, Tensor]
"""Scores [B, K + 1] of picture, pose and order."""


def with_changes(looks: Tensor) -> Tensor:
    """Looks and their changes since the look before, [B, T, D] to [B, T, 2 D]."""
    changes = (looks[:, 1:] - looks[:, :-1]).abs()
    return torch.cat([looks, torch.cat([torch.zeros_like(looks[:, :1]), changes], dim=1)], dim=2)


class RandomFeatures(nn.Module):
    """max(0, W z + b) of standardised rows z, [..., P] to [..., N]; W and b are drawn, not learned.

    Ridge regression on these is a non-linear layer in closed form. Buffers to fill: mean, std [P],
    weight [N, P], bias [N].

    Source: Rahimi and Recht 2008, "Weighted Sums of Random Kitchen Sinks".
    """

    mean: Tensor
    std: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))
        self.register_buffer("weight", torch.zeros(outputs, inputs))
        self.register_buffer("bias", torch.zeros(outputs))

    def forward(self, rows: Tensor) -> Tensor:
        standard = ((rows - self.mean) / self.std).clamp(-STEEPEST, STEEPEST)
        return (standard @ self.weight.T + self.bias).relu()

    @torch.no_grad()
    def draw(self, scale: float, seed: int) -> None:
        """New weights of this deviation times 1 / sqrt(P), as float16 can store them."""
        random = torch.Generator().manual_seed(seed)
        outputs, inputs = self.weight.shape
        weight = torch.randn(outputs, inputs, generator=random) * (scale / inputs**0.5)
        self.weight.copy_(weight.half().float())
        self.bias.copy_((torch.rand(outputs, generator=random) * 2 - 1).half().float())


class PoseHead(Head):
    """[B, 16, D + 236], the picture's feature and the pose, to logits [B, K].

    Args:
        feature_size: D + 236.
        num_classes: K, without "none".
        random, look_random: random features of the window's pose summary, and of one pose look.
        hidden: size of the LSTM's state.
        dropout: of what the last layer reads.
        input_dropout: of what the LSTM reads.
        both_ways: the pose summary is read as it is and mirrored, and the two averaged.
        evidence: scores that the LSTM's evidence has; 0 for K + 1. A head that was taught other
            actions keeps the evidence of those that its LSTM learned.
        signed_root: the picture's summary goes through sign(x) * sqrt(|x|).
    """

    def __init__(
        self,
        feature_size: int,
        num_classes: int,
        *,
        random: int = 1500,
        look_random: int = 600,
        hidden: int = 48,
        dropout: float = 0.3,
        input_dropout: float = 0.2,
        both_ways: bool = True,
        evidence: int = 0,
        signed_root: bool = False,
    ) -> None:
        super().__init__(feature_size, num_classes, None)
        if feature_size <= POSE_SIZE:
            raise TrainingError(f"a pose head needs more than {POSE_SIZE} numbers a look")
        scores, self.picture_size = num_classes + 1, feature_size - POSE_SIZE
        self.both_ways, self.signed_root = both_ways, signed_root
        self.picture_summary = Summary(self.picture_size, differences=True, deviation=True)
        self.pose_looks, self.pose_summary = PoseLooks(), PoseSummary()
        self.pose_random = RandomFeatures(PoseSummary.size, random)
        self.picture_direct = nn.Linear(self.picture_summary.size, scores)
        self.pose_direct = nn.Linear(random, scores)
        self.order = Order(
            self.picture_size,
            scores,
            look_random,
            hidden,
            dropout,
            input_dropout,
            evidence=evidence or scores,
        )

    def split(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Picture looks [B, 16, D] and poses [B, 16, 236]."""
        return features[..., : self.picture_size], features[..., self.picture_size :]

    def summarise_picture(self, pictures: Tensor) -> Tensor:
        """A window of picture looks [B, 16, D] at a glance, [B, 3 D].

        Source of the signed root: Perronnin et al. 2010, "Improving the Fisher Kernel for
        Large-Scale Image Classification", power normalisation.
        """
        summary: Tensor = self.picture_summary(pictures)
        return summary.sign() * summary.abs().sqrt() if self.signed_root else summary

    def summarise_pose(self, poses: Tensor) -> Tensor:
        """Random features [B, random] of a window of poses [B, 16, 236]."""
        seen: Tensor = self.pose_random(self.pose_summary(*self.pose_looks(poses)))
        if not self.both_ways:
            return seen
        turned = self.pose_random(self.pose_summary(*self.pose_looks(mirrored(poses))))
        both: Tensor = (seen + turned) / 2
        return both

    def parts(self, features: Tensor) -> Parts:
        """Scores [B, K + 1] of each path; the last column is that of no known action."""
        pictures, poses = self.split(features)
        picture = self.picture_direct(self.summarise_picture(pictures))
        pose = self.pose_direct(self.summarise_pose(poses))
        return picture, pose, self.order(pictures, poses)

    def logits(self, parts: Parts) -> Tensor:
        """The paths' sum [B, K], without "none"."""
        picture, pose, order = parts
        return (picture + pose + order)[:, : self.num_classes]

    def forward(self, features: Tensor) -> Tensor:
        return self.logits(self.parts(features))


class Order(nn.Module):
    """The LSTM: what 16 looks say one by one, and how joints move, to scores [B, K + 1].

    Buffers to fill: mean, std of the evidence [size].
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        picture_size: int,
        scores: int,
        look_random: int,
        hidden: int,
        dropout: float,
        input_dropout: float,
        *,
        evidence: int,
    ) -> None:
        super().__init__()
        self.looks = PoseLooks()
        self.picture_evidence = nn.Linear(2 * picture_size, evidence)
        self.look_random = RandomFeatures(2 * PoseLooks.size, look_random)
        self.pose_evidence = nn.Linear(look_random, evidence)
        size = 2 * evidence + 2 * PoseLooks.signals + 1
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))
        self.input_dropout, self.dropout = nn.Dropout(input_dropout), nn.Dropout(dropout)
        self.lstm = nn.LSTM(size, hidden, batch_first=True)
        self.linear = nn.Linear(hidden, scores)

    def evidence(self, pictures: Tensor, poses: Tensor) -> Tensor:
        """What the LSTM reads, [B, 16, size]."""
        looks, signals, found = self.looks(poses)
        picture = self.picture_evidence(with_changes(pictures))
        pose = self.pose_evidence(self.look_random(with_changes(looks)))
        return torch.cat([picture, pose, with_changes(signals), found], dim=2)

    def read(self, evidence: Tensor) -> Tensor:
        """Scores [B, K + 1] of evidence [B, 16, size]."""
        inputs = ((evidence - self.mean) / self.std).clamp(-STEEPEST, STEEPEST)
        states, _ = self.lstm(self.input_dropout(inputs))
        scores: Tensor = self.linear(self.dropout(states.mean(dim=1)))
        return scores

    def forward(self, pictures: Tensor, poses: Tensor) -> Tensor:
        return self.read(self.evidence(pictures, poses))


class PoseOODScore(nn.Module):
    """Out of distribution or not: a score [B] in 0..1, 1 for a known action.

    A logistic regression on two statistics, times a gate for pictures that stand still. More
    statistics and a hidden layer gave nothing out of fold: see docs/experiments.md.

    Buffers to fill: statistic_mean, statistic_std, weight [2], bias [].
    """

    statistic_mean: Tensor
    statistic_std: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("statistic_mean", torch.zeros(2))
        self.register_buffer("statistic_std", torch.ones(2))
        self.register_buffer("weight", torch.zeros(2))
        self.register_buffer("bias", torch.tensor(0.0))

    def forward(self, pictures: Tensor, parts: Parts) -> Tensor:
        standard = (self.statistics(parts) - self.statistic_mean) / self.statistic_std
        limited = standard.clamp(-_STEEPEST_EVIDENCE, _STEEPEST_EVIDENCE)
        score = torch.sigmoid((limited * self.weight).sum(dim=1) + self.bias)
        return score * torch.sigmoid((moves(pictures) - math.log(STILL)) * 10)

    def statistics(self, parts: Parts) -> Tensor:
        """[B, 2]: how far the best action lies above "none" in the closed-form scores, and the
        largest probability."""
        picture, pose, order = parts
        closed = picture + pose
        over = closed[:, :-1].amax(dim=1) - closed[:, -1]
        chances = (closed + order)[:, :-1].softmax(dim=1)
        return torch.stack([over, chances.amax(dim=1)], dim=1)


def moves(pictures: Tensor) -> Tensor:
    """Log of the mean change between looks [B, 16, D], as a share of the looks' size; [B]."""
    change = (pictures[:, 1:] - pictures[:, :-1]).abs().mean(dim=(1, 2))
    return (change / (pictures.abs().mean(dim=(1, 2)) + _SMALLEST) + 1e-4).log()

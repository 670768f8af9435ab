"""The closed-form layers of a `PoseHead`: ridge regression by its dual, filled into the head.

The dual suits few rows with many numbers: a path's kernel is rows @ rows.T, paths are added with
factors, and any subset of rows (a fold, a pair of folds) costs one Cholesky decomposition.
Source: Saunders et al. 1998, "Ridge Regression Learning Algorithm in Dual Variables".
"""

from __future__ import annotations

import numpy as np
import torch
from windows import F, Windows

from actionstream.networks.pose_head import Order, PoseHead, with_changes

CHUNK = 512
PER_CLIP = 5
"""Single looks of each clip on which the LSTM's evidence is solved."""


def solve(
    kernel: np.ndarray, target: np.ndarray, weights: np.ndarray, penalty: float, scores: int
) -> np.ndarray:
    """Coefficients [M, scores]; the kernel [M, M] has 1 added for the bias."""
    goals = np.full((len(target), scores), -1 / scores, F)
    goals[np.arange(len(target)), target] += 1
    matrix = kernel + np.diag((penalty * weights.sum() / weights).astype(F))
    lower = torch.linalg.cholesky(torch.from_numpy(matrix.astype(F)))
    return torch.cholesky_solve(torch.from_numpy(goals), lower).numpy()


def standard(rows: np.ndarray, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of every column; none below a tenth of its part's mean."""
    stds = np.split(rows.std(0), parts)
    return rows.mean(0), np.concatenate([np.maximum(std, 0.1 * std.mean()) for std in stds])


def steady_pose(rows: np.ndarray) -> np.ndarray:
    std = rows.std(0)
    return np.maximum(std, 0.1 * np.median(std) + 1e-4).astype(F)


def in_chunks(call: object, count: int) -> np.ndarray:
    """`call(rows)` for all rows, a part at a time."""
    parts = [np.arange(i, min(i + CHUNK, count)) for i in range(0, count, CHUNK)]
    with torch.no_grad():
        return np.concatenate([call(rows).numpy() for rows in parts])  # type: ignore[operator]


class Direct:
    """Both direct paths on all rows: kernels, and the solution as layers of the head."""

    def __init__(self, windows: Windows, head: PoseHead, recipe: dict[str, float]) -> None:
        self.head, self.recipe = head, recipe
        count, scores = len(windows.source), head.num_classes + 1
        self.scores = scores

        def looks(rows: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(windows.looks[windows.source[rows]].astype(F))

        def poses(rows: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(windows.poses[rows])

        summary = in_chunks(lambda rows: head.picture_summary(looks(rows)), count)
        self.mean, self.std = standard(summary, parts=3)
        self.picture = ((summary - self.mean) / self.std / np.sqrt(summary.shape[1])).astype(F)
        statistics = in_chunks(lambda rows: head.pose_summary(*head.pose_looks(poses(rows))), count)
        seen = statistics[statistics[:, -1] > 0]
        head.pose_random.draw(recipe["scale"], seed=0)
        head.pose_random.mean.copy_(torch.from_numpy(seen.mean(0)))
        head.pose_random.std.copy_(torch.from_numpy(steady_pose(seen)))
        random = in_chunks(lambda rows: head.summarise_pose(poses(rows)), count)
        random /= np.sqrt(random.shape[1])
        self.random_mean = random.mean(0)
        self.pose = random - self.random_mean
        kernels = self.picture @ self.picture.T, self.pose @ self.pose.T
        self.sizes = [float(np.trace(kernel) / count) for kernel in kernels]
        factors = recipe["picture"], recipe["pose"]
        self.kernels = [
            F(factor / size) * kernel
            for factor, size, kernel in zip(factors, self.sizes, kernels, strict=True)
        ]

    def fit(self, rows: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Coefficients of these rows."""
        square = np.ix_(rows, rows)
        kernel = self.kernels[0][square] + self.kernels[1][square] + F(1)
        return solve(kernel, target[rows], weights[rows], self.recipe["penalty"], self.scores)

    def read(
        self, rows: np.ndarray, of: np.ndarray, solution: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores of picture and pose of these rows, by the solution of others."""
        picture, pose = (kernel[np.ix_(rows, of)] @ solution for kernel in self.kernels)
        return picture + solution.sum(0), pose

    @torch.no_grad()
    def fill(self, rows: np.ndarray, solution: np.ndarray, temperature: float) -> None:
        """The solution as the head's direct layers, divided by the temperature."""
        width = self.picture.shape[1]
        picture = (self.recipe["picture"] / self.sizes[0]) * (self.picture[rows].T @ solution)
        picture /= self.std[:, None] * np.sqrt(width)
        pose = (self.recipe["pose"] / self.sizes[1]) * (self.pose[rows].T @ solution)
        bias = solution.sum(0) - self.mean @ picture
        fill_linear(self.head.picture_direct, picture / temperature, bias / temperature)
        scaled = pose / np.sqrt(self.pose.shape[1])
        fill_linear(
            self.head.pose_direct, scaled / temperature, -(self.random_mean @ pose) / temperature
        )


@torch.no_grad()
def fill_linear(layer: torch.nn.Linear, weight: np.ndarray, bias: np.ndarray) -> None:
    """Weight [inputs, outputs] and bias into a layer."""
    layer.weight.copy_(torch.from_numpy(weight.T.astype(F)))
    layer.bias.copy_(torch.from_numpy(bias.astype(F)))


class Evidence:
    """What the LSTM reads: lines on single looks of picture and pose, solved for some clips."""

    def __init__(self, windows: Windows, order: Order, penalty: float, scores: int) -> None:
        self.windows, self.order, self.penalty, self.scores = windows, order, penalty, scores
        random, clips = np.random.default_rng(0), range(len(windows.id))
        own = [np.flatnonzero(windows.clip == clip) for clip in clips]
        rows = np.array([random.choice(one) for one in own for _ in range(PER_CLIP)])
        at = random.integers(1, 16, len(rows))
        self.clip = windows.clip[rows]
        looks = windows.looks[windows.source[rows], at].astype(F)
        before = windows.looks[windows.source[rows], at - 1].astype(F)
        pictures = np.concatenate([looks, np.abs(looks - before)], axis=1)
        self.mean, self.std = standard(pictures, parts=2)
        self.picture = ((pictures - self.mean) / self.std / np.sqrt(pictures.shape[1])).astype(F)

        def pose_looks(part: np.ndarray) -> torch.Tensor:
            seen, _, found = order.looks(torch.from_numpy(windows.poses[rows[part]]))
            both = torch.cat([with_changes(seen), found], dim=2)
            return both[torch.arange(len(part)), torch.from_numpy(at[part])]

        poses = in_chunks(pose_looks, len(rows))
        poses, found = poses[:, :-1], poses[:, -1] > 0
        order.look_random.draw(1.5, seed=5)
        order.look_random.mean.copy_(torch.from_numpy(poses[found].mean(0)))
        order.look_random.std.copy_(torch.from_numpy(steady_pose(poses[found])))
        random_rows = in_chunks(lambda p: order.look_random(torch.from_numpy(poses[p])), len(rows))
        random_rows /= np.sqrt(random_rows.shape[1])
        self.random_mean = random_rows.mean(0)
        self.pose = random_rows - self.random_mean

    def fit(self, clips: np.ndarray, target: np.ndarray, weights: np.ndarray) -> None:
        """Solve the lines on these clips, a mask, and put them into the order network."""
        known = (target >= 0) & (weights > 0) & clips
        rows = np.flatnonzero(known[self.clip])
        goals, heavy = target[self.clip[rows]], weights[self.clip[rows]] / PER_CLIP
        solved = []
        for path in (self.picture, self.pose):
            kernel = path[rows] @ path[rows].T + F(1)
            solution = solve(kernel, goals, heavy, self.penalty, self.scores)
            solved.append((path[rows].T @ solution, solution.sum(0)))
        (picture, bias), (pose, pose_bias) = solved
        picture = picture / (self.std[:, None] * np.sqrt(self.picture.shape[1]))
        fill_linear(self.order.picture_evidence, picture, bias - self.mean @ picture)
        scaled = pose / np.sqrt(self.pose.shape[1])
        fill_linear(self.order.pose_evidence, scaled, pose_bias - self.random_mean @ pose)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """What the lines in the order network say of these rows, [n, 16, S]."""

        def call(part: np.ndarray) -> torch.Tensor:
            chosen = rows[part]
            looks = self.windows.looks[self.windows.source[chosen]].astype(F)
            poses = torch.from_numpy(self.windows.poses[chosen])
            return self.order.evidence(torch.from_numpy(looks), poses)

        return in_chunks(call, len(rows))

"""The closed-form layers of a `PoseHead`: weighted ridge regression, filled into the head."""

from __future__ import annotations

import numpy as np
import torch
from windows import F, Windows

from actionstream.networks.pose_head import Order, PoseHead, with_changes

CHUNK = 512
PER_CLIP = 5
"""Single looks of each clip on which the LSTM's evidence is solved."""


def solve(gram: np.ndarray, right: np.ndarray, penalty: float) -> np.ndarray:
    """The solution [N, scores] of X.T W X, float32 [N, N], and X.T W Y; `penalty` is not scaled."""
    damped = gram + np.diag(np.full(len(gram), penalty, F))
    lower = torch.linalg.cholesky(torch.from_numpy(damped))
    return torch.cholesky_solve(torch.from_numpy(right), lower).numpy()


def goals_of(target: np.ndarray, scores: int) -> np.ndarray:
    """What the scores should be, float32 [M, scores]: rows sum to 0."""
    goals = np.full((len(target), scores), -1 / scores, F)
    goals[np.arange(len(target)), target] += 1
    return goals


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
    """Both direct paths on all rows: what the layers read, and solutions as layers of the head.

    The sums X.T W X and X.T W Y are kept by block (a fold): a fit without some folds adds those of
    the others.
    """

    def __init__(
        self, windows: Windows, head: PoseHead, recipe: dict[str, float], block: np.ndarray
    ) -> None:
        self.head, self.recipe, self.block = head, recipe, block
        count, self.scores = len(windows.source), head.num_classes + 1
        self._sums: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}

        def looks(rows: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(windows.looks[windows.source[rows]].astype(F))

        def poses(rows: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(windows.poses[rows])

        summary = in_chunks(lambda rows: head.summarise_picture(looks(rows)), count)
        self.mean, self.std = standard(summary, parts=3)
        summary -= self.mean
        summary /= self.std * F(np.sqrt(summary.shape[1]))
        self.picture = summary
        statistics = in_chunks(lambda rows: head.pose_summary(*head.pose_looks(poses(rows))), count)
        seen = statistics[statistics[:, -1] > 0]
        head.pose_random.draw(recipe["scale"], seed=0)
        head.pose_random.mean.copy_(torch.from_numpy(seen.mean(0)))
        head.pose_random.std.copy_(torch.from_numpy(steady_pose(seen)))
        random = in_chunks(lambda rows: head.summarise_pose(poses(rows)), count)
        random /= F(np.sqrt(random.shape[1]))
        self.random_mean = random.mean(0)
        random -= self.random_mean
        self.pose = random
        paths = self.picture, self.pose
        self.sizes = [float(np.square(path).sum(dtype=np.float64) / count) for path in paths]
        factors = recipe["picture"], recipe["pose"]
        self.scale = [F(np.sqrt(f / size)) for f, size in zip(factors, self.sizes, strict=True)]

    def inputs(self, rows: np.ndarray) -> np.ndarray:
        """Both paths side by side and a column of ones, float32 [n, P + R + 1]."""
        parts = self.scale[0] * self.picture[rows], self.scale[1] * self.pose[rows]
        return np.concatenate([*parts, np.ones((len(rows), 1), F)], axis=1)

    def sums(
        self, rows: np.ndarray, target: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """X.T W X and X.T W Y of these rows."""
        key = b"/".join(part.tobytes() for part in (rows, target[rows], weights[rows]))
        if key not in self._sums:
            x, goals = self.inputs(rows), goals_of(target[rows], self.scores)
            heavy = x * weights[rows, None].astype(F)
            self._sums[key] = x.T @ heavy, heavy.T @ goals
        return self._sums[key]

    def fit(self, rows: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The solution [P + R + 1, scores] for these rows."""
        blocks = [rows[self.block[rows] == block] for block in np.unique(self.block[rows])]
        parts = [self.sums(own, target, weights) for own in blocks]
        gram, right = (sum(column[1:], start=column[0]) for column in zip(*parts, strict=True))
        return solve(gram, right, self.recipe["penalty"] * weights[rows].sum())

    def read(self, rows: np.ndarray, solution: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores of picture and pose of these rows."""
        picture, pose, bias = self.split(solution)
        parts = [self.inputs(one) for one in np.array_split(rows, len(rows) // CHUNK + 1)]
        width = len(picture)
        return (
            np.concatenate([part[:, :width] @ picture for part in parts]) + bias,
            np.concatenate([part[:, width:-1] @ pose for part in parts]),
        )

    def split(self, solution: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of picture, pose and ones."""
        width = self.picture.shape[1]
        return solution[:width], solution[width:-1], solution[-1]

    @torch.no_grad()
    def fill(self, solution: np.ndarray, temperature: float) -> None:
        """The solution as the head's direct layers, divided by the temperature."""
        picture, pose, bias = self.split(solution)
        picture = self.scale[0] * picture / (self.std[:, None] * np.sqrt(len(picture)))
        pose = self.scale[1] * pose
        bias = bias - self.mean @ picture
        fill_linear(self.head.picture_direct, picture / temperature, bias / temperature)
        scaled = pose / np.sqrt(len(pose))
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
        goal, heavy = target[self.clip[rows]], weights[self.clip[rows]] / PER_CLIP
        solved = []
        for path in (self.picture, self.pose):
            x = np.concatenate([path[rows], np.ones((len(rows), 1), F)], axis=1)
            weighted = x * heavy[:, None].astype(F)
            goals = goals_of(goal, self.scores)
            solution = solve(x.T @ weighted, weighted.T @ goals, self.penalty * heavy.sum())
            solved.append((solution[:-1], solution[-1]))
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

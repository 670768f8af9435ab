"""Windows of the stored clips, copies with worse poses, folds, and the figures of a fit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from clips import load

from actionstream.networks.pose_features import mirrored

WINDOW, READY, LANDMARKS = 16, 6, 33
F = np.float32


@dataclass
class Windows:
    """Windows of clips; rows from `served` on are not what serving sees and count in no figure.

    looks: float16 [N, 16, D].   poses: float32 [M, 16, 236], M rows with the copies.
    source: of each row the row of `looks`.   clip: of each row the number of its clip.
    set, id, label, group, note: of each clip.
    """

    looks: np.ndarray
    poses: np.ndarray
    source: np.ndarray
    clip: np.ndarray
    set: np.ndarray
    id: list[str]
    label: list[str | None]
    group: np.ndarray
    note: list[str]
    served: int

    @property
    def is_copy(self) -> np.ndarray:
        return np.arange(len(self.source)) >= self.served

    @property
    def rows_of_clip(self) -> np.ndarray:
        return np.bincount(self.clip, minlength=len(self.id))

    @property
    def own_rows_of_clip(self) -> np.ndarray:
        return np.bincount(self.clip[~self.is_copy], minlength=len(self.id))

    def read(self, rows: np.ndarray) -> np.ndarray:
        """What a head reads of these rows, float32 [n, 16, D + 236]."""
        return np.concatenate([self.looks[self.source[rows]].astype(F), self.poses[rows]], axis=2)


def ends(filled: np.ndarray, most: int) -> np.ndarray:
    """Where inference windows end, thinned evenly to `most`."""
    ticks = np.cumsum(filled)
    ready = ticks[ticks >= READY]
    if len(ready) == 0:
        return ticks[-1:]
    if len(ready) <= most:
        return ready
    return ready[np.round(np.linspace(0, len(ready) - 1, most)).astype(int)]


def window(ticks: np.ndarray, end: int) -> np.ndarray:
    """The 16 looks before this tick; the oldest is repeated in front of fewer."""
    part = ticks[max(end - WINDOW, 0) : end]
    return np.concatenate([np.repeat(part[:1], WINDOW - len(part), 0), part])


def stored(
    store: Path, name: str, clip: str, view: int = 0
) -> tuple[np.ndarray, np.ndarray] | None:
    """Looks [T, D + 236] a tick and the ticks each look filled; None for what is not stored."""
    picture, pose = store / name / f"v{view}" / f"{clip}.npz", store / "pose" / f"{clip}.npz"
    if not (picture.exists() and pose.exists()):
        return None
    with np.load(picture) as one, np.load(pose) as other:
        filled = one["filled"]
        ticks = np.repeat(one["features"].astype(F), filled, axis=0)
        poses = np.repeat(other["pose0"].astype(F), other["filled0"], axis=0)
    missing = max(len(ticks) - len(poses), 0)
    poses = np.concatenate([poses, np.repeat(poses[-1:], missing, 0)])[: len(ticks)]
    return np.concatenate([ticks, poses], axis=1), filled


def items(data: Path, store: Path, sets: Sequence[str]) -> list[tuple[str, ...]]:
    """Set, id, label, group and note of the clips and made pictures of these sets."""
    made = json.loads((store / "made.json").read_text(encoding="utf-8"))
    out = [(c.set, c.id, c.label, c.group, c.note) for c in load(data) if c.set in sets]
    for name, one in made.items():
        if name.split("/")[0] in sets:
            out.append((name.split("/")[0], name, None, one["group"], one["kind"]))
    return out


def gather(data: Path, store: Path, name: str, sets: Sequence[str], most: int) -> Windows:
    """At most `most` windows of every stored clip of these sets."""
    looks, poses, clip, kept = [], [], [], []
    for item in items(data, store, sets):
        found = stored(store, name, item[1])
        if found is None:
            continue
        ticks, filled = found
        size = ticks.shape[1] - 236
        own = np.stack([window(ticks, end) for end in ends(filled, most)])
        looks.append(own[..., :size].astype(np.float16))
        poses.append(own[..., size:])
        clip += [len(kept)] * len(own)
        kept.append(item)
    sets_, ids, labels, groups, notes = zip(*kept, strict=True)
    return Windows(
        np.concatenate(looks),
        np.concatenate(poses),
        np.arange(len(clip)),
        np.array(clip),
        np.array(sets_, dtype="<U16"),
        list(ids),
        list(labels),
        np.array(groups),
        list(notes),
        served=len(clip),
    )


def add_view(windows: Windows, store: Path, name: str, most: int) -> None:
    """The stored windows of the mirrored, closer view of the same clips; poses are mirrored."""
    looks, poses, clips = [windows.looks], [windows.poses], [windows.clip]
    for number, clip in enumerate(windows.id):
        found = stored(store, name, clip, view=1)
        if found is None:
            continue
        ticks, filled = found
        own = np.stack([window(ticks, end) for end in ends(filled, most)])
        size = windows.looks.shape[2]
        looks.append(own[..., :size].astype(np.float16))
        poses.append(mirrored(torch.from_numpy(own[..., size:])).numpy())
        clips.append(np.full(len(own), number))
    windows.looks, windows.poses = np.concatenate(looks), np.concatenate(poses)
    windows.clip = np.concatenate(clips)
    windows.source = np.arange(len(windows.clip))


def add_copies(windows: Windows, share: float, seed: int) -> None:
    """Copies without a person, with looks without one, and with landmarks that shake."""
    random, count = np.random.default_rng(seed), windows.served
    for change in (_without_person, _patchy, _shaky):
        rows = np.sort(random.choice(count, int(share * count), replace=False))
        poses = change(windows.poses[rows].copy(), random).astype(F)
        windows.poses = np.concatenate([windows.poses, poses])
        windows.source = np.concatenate([windows.source, rows])
        windows.clip = np.concatenate([windows.clip, windows.clip[rows]])


def _without_person(poses: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return np.zeros_like(poses)


def _patchy(poses: np.ndarray, random: np.random.Generator) -> np.ndarray:
    lost = random.random((*poses.shape[:2], 1))
    return poses * (lost > random.uniform(0.1, 0.6, (len(poses), 1, 1)))


def _shaky(poses: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Landmarks off by 0.5 to 3 % of the square, a tenth of them hardly visible."""
    count, looks = poses.shape[:2]
    size = random.uniform(0.005, 0.03, (count, 1, 1)).astype(F)
    side, found = poses[..., 233:234], poses[..., 235:] > 0
    places = poses[..., :132].reshape(count, looks, LANDMARKS, 4).copy()
    noise = random.standard_normal(places[..., :3].shape).astype(F)
    places[..., :3] += noise * size[..., None] * side[..., None]
    places[..., 3] *= np.where(random.random((count, 1, LANDMARKS)) < 0.1, 0.3, 1)
    metres = poses[..., 132:231]
    metres += random.standard_normal(metres.shape).astype(F) * size
    poses[..., :132] = places.reshape(count, looks, 132)
    return poses * found


def folds(windows: Windows, count: int = 5, seed: int = 0) -> np.ndarray:
    """The fold of every clip: groups and sources whole, classes spread evenly."""
    random, fold = np.random.default_rng(seed), {}
    clips = list(zip(windows.set, windows.label, windows.group, strict=True))
    for prefix in ("ucf", "few"):
        own = [(label, group) for s, label, group in clips if s.startswith(prefix) and label]
        for label in sorted({label for label, _ in own}):
            groups = sorted({group for other, group in own if other == label})
            random.shuffle(groups)
            start = random.integers(count)
            fold |= {group: (i + start) % count for i, group in enumerate(groups)}
    for sets in (("wild_train",), ("other_train", "neg_few"), ("made_train",)):
        sizes: dict[str, int] = {}
        for name, _, group in clips:
            if name in sets and group not in fold:
                sizes[group] = sizes.get(group, 0) + 1
        groups = sorted(sizes)
        random.shuffle(groups)
        load_of = np.zeros(count)
        for group in sorted(groups, key=lambda group: -sizes[group]):
            best = int(np.argmin(load_of + random.random(count) * 0.1))
            fold[group] = best
            load_of[best] += sizes[group]
    return np.array([fold[group] for group in windows.group])


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def by_clip(windows: Windows, rows: np.ndarray) -> np.ndarray:
    """Means over each clip's own rows."""
    own = ~windows.is_copy
    out = np.zeros((len(windows.id), *rows.shape[1:]))
    np.add.at(out, windows.clip[own], rows[own])
    return out / windows.own_rows_of_clip.reshape(-1, *[1] * (rows.ndim - 1))


def interval(values: np.ndarray, groups: np.ndarray, draws: int = 1000) -> list[float]:
    """Mean and 95 % interval; whole groups are drawn."""
    values = np.asarray(values, float)
    if len(values) == 0:
        return [float("nan")] * 3
    _, index = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(index, values), np.bincount(index)
    drawn = np.random.default_rng(0).integers(0, len(sums), (draws, len(sums)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return [round(float(value), 4) for value in (values.mean(), low, high)]


def area(positive: np.ndarray, negative: np.ndarray) -> float:
    """Area under the ROC curve."""
    below = (positive[:, None] > negative[None]).mean()
    return float(below + (positive[:, None] == negative[None]).mean() / 2)


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """ECE with bins of equal width."""
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    parts = [bin_of == number for number in range(bins)]
    gaps = (m.mean() * abs(confidence[m].mean() - right[m].mean()) for m in parts if m.any())
    return float(sum(gaps))


def temperature(logits: np.ndarray, target: np.ndarray, weights: np.ndarray) -> float:
    """The one with the least weighted negative log-likelihood."""
    low, high, best = np.log(0.02), np.log(20), (np.inf, 0.0)
    for _ in range(4):
        for exponent in np.linspace(low, high, 25):
            chance = softmax(logits / np.exp(exponent))[np.arange(len(target)), target]
            loss = -(np.log(np.maximum(chance, 1e-30)) * weights).sum() / weights.sum()
            best = min(best, (loss, exponent))
        step = (high - low) / 24
        low, high = best[1] - step, best[1] + step
    return float(np.exp(best[1]))

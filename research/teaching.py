"""How well `actionstream teach` learns, on stored looks: recall, loss on old actions, its estimate.

    python research/teaching.py DATA STORE --variant lite2 [--draws 30] [--first 0] [--json FILE]

Two experiments, each draw with other clips. "few": the 12 few-clip actions are taught, five clips
each from the fewest groups that hold five, to a model of the 30 that never saw them; clips of other
groups and the visible test clips are tested. "full": five of the 30 actions are left out of
training and taught from five clips of five groups; the visible test clips are tested. The models
that are taught are the shipped heads' closed-form layers without their LSTM and without the copies
with worse poses, fitted anew for every choice of actions, with a memory of their own. The constants
of actionstream.teaching were chosen on the draws 0 to 19 of lite2.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from closed_form import standard, steady_pose
from fit import KEPT_FEW, RECIPE
from memory import NONE_SHARE, WINDOWS, spread
from windows import gather, softmax, temperature

from actionstream.bundle.memory import Memory, quantise
from actionstream.networks.heads import Summary
from actionstream.networks.pose_features import PoseLooks, PoseSummary, mirrored
from actionstream.networks.pose_head import RandomFeatures, moves
from actionstream.teaching.draft import Draft, learn
from actionstream.teaching.estimate import estimate
from actionstream.teaching.head import Layer, Probe
from actionstream.teaching.solve import members

F = np.float32
MOST = {"ucf_train": 4, "few_train": 4, "wild_train": 2, "other_train": 2, "made_train": 2}
MOST |= {"ucf_test": 6, "few_test": 6, "wild": 6}
"""Windows of a clip; two of them are for fitting a base."""
WEIGHT = {"ucf_train": 1.0, "wild_train": 2.0, "other_train": 1.0, "made_train": 1.0}
WEIGHT |= {"few_train": 5.0}
CLIPS = 5


@dataclass
class Looks:
    """Windows as the last layers' summaries; row by row, and clip by clip where it says so."""

    picture: np.ndarray
    pose: tuple[np.ndarray, np.ndarray]
    moves: np.ndarray
    clip: np.ndarray
    set: np.ndarray
    label: np.ndarray
    group: np.ndarray

    def clips(self, *sets: str) -> np.ndarray:
        return np.flatnonzero(np.isin(self.set, sets))

    def rows(self, clips: np.ndarray, most: int = 9) -> np.ndarray:
        own = members(self.clip)
        chosen = (own[clip] for clip in clips)
        return np.concatenate([o[np.linspace(0, len(o) - 1, min(most, len(o))).astype(int)]
                               for o in chosen])  # fmt: skip


def read(data: Path, store: Path, variant: str) -> Looks:
    """The summaries of all clips."""
    parts: list[tuple[np.ndarray, ...]] = []
    clip, facts = [], []
    look, whole = PoseLooks(), PoseSummary()
    for name, most in MOST.items():
        w = gather(data, store, variant, [name], most)
        for start in range(0, len(w.looks), 512):
            rows = slice(start, start + 512)
            looks, poses = (
                torch.from_numpy(w.looks[rows].astype(F)),
                torch.from_numpy(w.poses[rows]),
            )
            with torch.no_grad():
                summary = Summary(looks.shape[2], differences=True, deviation=True)(looks)
                summary = summary.sign() * summary.abs().sqrt()
                both = (whole(*look(one)) for one in (poses, mirrored(poses)))
                numbers = (summary.half(), *both, moves(looks))
            parts.append(tuple(one.numpy() for one in numbers))
        clip.append(w.clip + len(facts))
        facts += list(zip(w.set, [label or "" for label in w.label], w.group, strict=True))
    picture, pose, turned, change = (np.concatenate(column) for column in zip(*parts, strict=True))
    names = (np.array(column) for column in zip(*facts, strict=True))
    return Looks(picture, (pose, turned), change, np.concatenate(clip), *names)


class Base:
    """A model that never saw some actions: closed-form layers, memory, and its random features."""

    def __init__(self, looks: Looks, without: list[str], few: list[str]) -> None:
        self.looks = looks
        kept = looks.clips("ucf_train", "wild_train", "other_train", "made_train")
        kept = kept[~np.isin(looks.label[kept], without)]
        own = looks.clips("few_train")
        kept = np.concatenate([kept, own[np.isin(looks.label[own], few)]])
        rows = looks.rows(kept, 2)
        self.random = self._features(rows)
        labels = sorted(set(looks.label[kept]) - {""}, key=str.lower)
        fitted = Fitted(looks, rows, labels, self.probe(rows))
        self.draft = Draft(tuple(labels), fitted.layers(), fitted.memory())

    def _features(self, rows: np.ndarray) -> RandomFeatures:
        seen = self.looks.pose[0][rows]
        seen = seen[seen[:, -1] > 0]
        random = RandomFeatures(seen.shape[1], RECIPE["n_random"])
        random.draw(RECIPE["scale"], seed=0)
        random.mean.copy_(torch.from_numpy(seen.mean(0)))
        random.std.copy_(torch.from_numpy(steady_pose(seen)))
        return random

    def probe(self, rows: np.ndarray) -> Probe:
        with torch.no_grad():
            both = [self.random(torch.from_numpy(part[rows])).numpy() for part in self.looks.pose]
        order = np.zeros((len(rows), 1), F)
        return Probe(self.looks.picture[rows].astype(F), (both[0] + both[1]) / F(2), order)

    def answers(self, draft: Draft, clips: np.ndarray) -> np.ndarray:
        """The labels that a draft gives these clips."""
        rows = self.looks.rows(clips)
        probe = self.probe(rows)
        scores = sum(getattr(probe, n) @ one.weight.T + one.bias for n, one in draft.layers.items())
        chances = softmax(scores[:, :-1])
        means = [chances[self.looks.clip[rows] == clip].mean(0) for clip in clips]
        return np.array(draft.labels)[np.argmax(means, 1)]


class Fitted:
    """The closed-form layers of some rows, and what they leave as a memory."""

    def __init__(self, looks: Looks, rows: np.ndarray, labels: list[str], probe: Probe) -> None:
        self.looks, self.rows, self.clip = looks, rows, looks.clip[rows]
        number = {label: i for i, label in enumerate([*labels, ""])}
        self.target = np.array([number[label] for label in looks.label[self.clip]])
        weight = np.array([WEIGHT[name] for name in looks.set[self.clip]])
        self.weight = weight / np.bincount(self.clip)[self.clip]
        self.scores = len(number)
        self.mean, self.std = standard(probe.picture, parts=3)
        self.picture = (probe.picture - self.mean) / self.std / F(len(self.mean) ** 0.5)
        pose = probe.pose / F(probe.pose.shape[1] ** 0.5)
        self.pose_mean = pose.mean(0)
        self.pose = pose - self.pose_mean
        halves = (("picture", self.picture), ("pose", self.pose))
        self.factors = [F(RECIPE[name] / np.square(part).sum(1).mean()) for name, part in halves]
        self._solve()

    def _solve(self) -> None:
        kernel = self.factors[0] * (self.picture @ self.picture.T) + F(1)
        kernel += self.factors[1] * (self.pose @ self.pose.T)
        penalty = RECIPE["penalty"] * self.weight.sum() / self.weight
        kernel[np.diag_indices(len(kernel))] += penalty.astype(F)
        goals = np.full((len(kernel), self.scores), F(-1 / self.scores))
        goals[np.arange(len(kernel)), self.target] += 1
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(torch.from_numpy(kernel))).numpy()
        self.solution = inverse @ goals
        self.honest = out_of_fold(inverse, self.solution, goals, self.looks.group[self.clip])
        known = self.target < self.scores - 1
        target = self.target[known]
        self.heat = temperature(self.honest[known, :-1], target, np.ones(len(target)))

    def layers(self) -> dict[str, Layer]:
        """As the head's graph has them; the LSTM's says nothing."""
        picture = self.factors[0] * (self.picture.T @ self.solution) / self.heat
        picture /= self.std[:, None] * len(self.mean) ** 0.5
        bias = self.solution.sum(0) / self.heat - self.mean @ picture
        pose = self.factors[1] * (self.pose.T @ self.solution) / self.heat
        flat = Layer(np.zeros((self.scores, 1), F), np.zeros(self.scores, F))
        scaled = (pose / len(pose) ** 0.5).T.astype(F)
        return {
            "picture": Layer(picture.T.astype(F), bias.astype(F)),
            "pose": Layer(scaled, -(self.pose_mean @ pose)),
            "order": flat,
        }

    def memory(self) -> Memory:
        """As memory.py chooses it."""
        chosen, random = [], np.random.default_rng(0)
        for label in range(self.scores):
            none = label == self.scores - 1
            share = NONE_SHARE if none else (1 - NONE_SHARE) / (self.scores - 1)
            own = np.flatnonzero(self.target == label)
            mixed = spread(own, self.looks.group[self.clip[own]], random)
            chosen.append(mixed[: round(WINDOWS * share)])
        rows = np.concatenate(chosen)
        (picture, step), (pose, pose_step) = quantise(self.picture[rows]), quantise(self.pose[rows])
        target = self.target[rows]
        weight = (np.bincount(self.target, self.weight) / np.bincount(target))[target]
        group = np.unique(self.looks.group[self.clip[rows]], return_inverse=True)[1]
        return Memory(
            picture=picture,
            pose=pose,
            picture_step=step,
            pose_step=pose_step,
            target=target.astype(np.int16),
            source=group.astype(np.int32),
            clip=self.clip[rows].astype(np.int32),
            weight=weight.astype(F),
            closed=(self.honest[rows] / self.heat).astype(np.float16),
            order=np.zeros((len(rows), self.scores), np.float16),
            moves=self.looks.moves[self.rows[rows]],
            picture_mean=self.mean,
            picture_std=self.std,
            pose_mean=self.pose_mean,
            factors=np.array(self.factors, F),
            penalty=F(RECIPE["penalty"]),
            heat=F(self.heat),
        )


def out_of_fold(
    inverse: np.ndarray, solution: np.ndarray, goals: np.ndarray, group: np.ndarray
) -> np.ndarray:
    """What fits without a fifth of the groups say of it, exactly."""
    _, number = np.unique(group, return_inverse=True)
    fold = (np.random.default_rng(1).permutation(number.max() + 1) % 5)[number]
    out = np.empty_like(goals)
    for own in members(fold):
        out[own] = goals[own] - np.linalg.solve(inverse[np.ix_(own, own)], solution[own])
    return out


def few_clips(looks: Looks, label: str, random: np.random.Generator) -> np.ndarray:
    """Five clips from the fewest groups that hold five."""
    own = looks.clips("few_train")
    own = own[looks.label[own] == label]
    groups = {group: own[looks.group[own] == group] for group in np.unique(looks.group[own])}
    for count in range(1, len(groups) + 1):
        fitting = [
            pick for pick in itertools.combinations(groups, count)
            if sum(len(groups[group]) for group in pick) >= CLIPS
        ]  # fmt: skip
        if fitting:
            pick = fitting[random.integers(len(fitting))]
            first = np.array([random.choice(groups[group]) for group in pick])
            rest = np.setdiff1d(np.concatenate([groups[group] for group in pick]), first)
            return np.concatenate([first, random.choice(rest, CLIPS - count, replace=False)])
    return own


def full_clips(looks: Looks, label: str, random: np.random.Generator) -> np.ndarray:
    """One clip of each of five groups."""
    own = looks.clips("ucf_train")
    own = own[looks.label[own] == label]
    groups = random.choice(np.unique(looks.group[own]), CLIPS, replace=False)
    return np.array([random.choice(own[looks.group[own] == group]) for group in groups])


def draw(base: Base, names: list[str], chosen: list[np.ndarray], tested: np.ndarray) -> Any:
    """Teach once: recall by action, the estimate of it, and the old actions before and after."""
    looks, clips = base.looks, np.concatenate(chosen)
    first = len(base.draft.labels)
    target = np.concatenate([np.full(len(own), first + i) for i, own in enumerate(chosen)])
    rows = looks.rows(clips, 4)
    at = np.searchsorted(clips, looks.clip[rows], sorter=np.argsort(clips))
    number = np.argsort(clips)[at]
    _, source = np.unique(looks.group[clips], return_inverse=True)
    new = base.draft.rows(
        base.probe(rows), target[number], source[number], number, looks.moves[rows]
    )
    learned = learn(base.draft, names, new)
    found = estimate(learned)
    tested = tested[~np.isin(looks.group[tested], looks.group[clips])]
    right = base.answers(learned.draft, tested) == looks.label[tested]
    recall = {n: float(right[looks.label[tested] == n].mean()) for n in names
              if (looks.label[tested] == n).any()}  # fmt: skip
    old = looks.clips("ucf_test", "wild")
    old = old[np.isin(looks.label[old], base.draft.labels)]
    kept = [(base.answers(one, old) == looks.label[old]) for one in (base.draft, learned.draft)]
    return {
        "recall": recall,
        "estimate": dict(found.recall),
        "old_before": float(kept[0].mean()),
        "old_after": float(kept[1].mean()),
        "old_before_estimated": found.old_before,
        "old_after_estimated": found.old_after,
    }


def draws(looks: Looks, kind: str, seeds: range) -> Iterator[Any]:
    few = sorted(set(looks.label[looks.clips("few_train")]))
    full = sorted(set(looks.label[looks.clips("ucf_train")]))
    base = Base(looks, few, []) if kind == "few" else None
    for seed in seeds:
        random = np.random.default_rng(seed)
        if base is not None:
            chosen = [few_clips(looks, name, random) for name in few]
            yield draw(base, few, chosen, looks.clips("few_train", "few_test"))
        else:
            names = sorted(map(str, random.choice(full, 5, replace=False)))
            chosen = [full_clips(looks, name, random) for name in names]
            tested = looks.clips("ucf_test")
            tested = tested[np.isin(looks.label[tested], names)]
            yield draw(Base(looks, names, KEPT_FEW), names, chosen, tested)


def interval(values: np.ndarray) -> list[float]:
    """Mean and 95 % interval over draws."""
    drawn = np.random.default_rng(0).choice(values, (2000, len(values)))
    low, high = np.quantile(drawn.mean(1), [0.025, 0.975])
    return [round(float(one), 4) for one in (values.mean(), low, high)]


def summary(found: list[Any]) -> dict[str, Any]:
    recall = np.array([np.mean(list(one["recall"].values())) for one in found])
    guess = np.array([np.mean([one["estimate"][n] for n in one["recall"]]) for one in found])
    loss = np.array([one["old_before"] - one["old_after"] for one in found])
    by_label: dict[str, list[tuple[float, float]]] = {}
    for one in found:
        for name, value in one["recall"].items():
            by_label.setdefault(name, []).append((value, one["estimate"][name]))
    return {
        "draws": len(found),
        "recall": interval(recall),
        "estimate": interval(guess),
        "estimate_minus_truth": interval(guess - recall),
        "estimate_off_by": interval(np.abs(guess - recall)),
        "old_before": interval(np.array([one["old_before"] for one in found])),
        "old_points_lost": interval(100 * loss),
        "by_label": {
            name: [round(float(one), 3) for one in np.mean(pairs, 0)]
            for name, pairs in sorted(by_label.items())
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("data", "store"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--variant", required=True)
    parser.add_argument("--draws", type=int, default=30)
    parser.add_argument("--first", type=int, default=0, help="seed of the first draw")
    parser.add_argument("--json", type=Path, metavar="FILE", help="append the records to it")
    args = parser.parse_args()
    looks = read(args.data, args.store, args.variant)
    for kind in ("few", "full"):
        seeds = range(args.first, args.first + args.draws)
        found = {"first": args.first, **summary(list(draws(looks, kind, seeds)))}
        record = {"kind": "teaching", "round": 7, "variant": args.variant, "name": kind, **found}
        print(json.dumps(record))
        if args.json is not None:
            with args.json.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()

"""Fit, calibrate and export a head on the store's training side.

    python research/fit.py DATA STORE OUT --variant lite2 [--seeds 0 1 2]

Cross-fits over five folds of groups and sources: the closed-form paths, the LSTM on scores of
models that saw neither its fold nor the clip's (pairs of folds), the OOD score; then fits all of
it on every row. Temperatures and thresholds come from out-of-fold outputs. Writes OUT/head.onnx,
head.pt, card_numbers.json for make_card.py, memory.safetensors for `actionstream teach`, and with
--seeds prints the LSTM's gain by seed. BLAS with one thread (OMP_NUM_THREADS=1) is fastest on a
busy machine.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import clips as catalogue
import numpy as np
import onnx
import torch
from closed_form import Direct, Evidence, in_chunks
from memory import choose
from order_training import OrderRows, train_order
from torch.nn import functional
from windows import (
    F,
    add_copies,
    add_view,
    area,
    by_clip,
    calibration_error,
    folds,
    gather,
    interval,
    softmax,
    temperature,
)

from actionstream.bundle.memory import MEMORY_NAME, write_memory
from actionstream.inference.pose import POSE_SIZE
from actionstream.networks.ood import POSE_HEAD, InferencePoseHead, build_inference_head
from actionstream.networks.pose_head import STILL, PoseOODScore, moves
from actionstream.training.assemble import with_float16_storage
from actionstream.training.common.onnx_export import export_head

KEPT_FEW = [
    *("BandMarching", "BaseballPitch", "Billiards", "BlowingCandles", "Bowling", "BreastStroke"),
    "Knitting",
]
"""Few-clip actions that reach a recall of 0.6 when each of their groups is left out once."""

RECIPE: dict[str, Any] = {
    "keep_few": KEPT_FEW,
    "picture": 1.0,
    "pose": 1.5,
    "penalty": 2e-4,
    "wild": 2.0,
    "neg": 1.0,
    "made": 1.0,
    "few_w": 5.0,
    "n_random": 1500,
    "scale": 1.0,
    "look_random": 600,
    "lam_look": 3e-4,
    "hidden": 48,
    "epochs": 5,
    "lr": 1e-3,
    "seed": 0,
    "most": 3,
    "copies": 0.1,
}
SHARES = (0.5, 0.05, 0.25, 0.2)
"""Weight of right answers, wrong ones, others and made pictures in the OOD score."""
SETS = ("ucf_train", "wild_train", "other_train", "made_train", "few_train")


class Fit:
    """Everything of one fit; rows are windows with their copies, K stands for "none"."""

    def __init__(self, data: Path, store: Path, variant: str) -> None:
        self.windows = gather(data, store, variant, SETS, RECIPE["most"])
        few = set(catalogue.labels(data, "ucf101_few"))
        self.labels = sorted({*catalogue.labels(data, "ucf101"), *KEPT_FEW}, key=str.lower)
        w = self.windows
        for clip, label in enumerate(w.label):
            if label in few and label not in KEPT_FEW:
                w.label[clip] = None
                w.set[clip] = "neg_few"
        add_view(w, store, variant, RECIPE["most"])
        add_copies(w, RECIPE["copies"], RECIPE["seed"])
        self.none = len(self.labels)
        number = {label: i for i, label in enumerate(self.labels)}
        self.target = np.array([self.none if x is None else number.get(x, -1) for x in w.label])
        weight = {"wild_train": RECIPE["wild"], "other_train": RECIPE["neg"]}
        weight |= {"neg_few": RECIPE["neg"], "made_train": RECIPE["made"]}
        weight |= {"few_train": RECIPE["few_w"], "ucf_train": 1.0}
        self.weight = np.array([weight[name] for name in w.set]) * (self.target >= 0)
        self.fold = folds(w, seed=RECIPE["seed"])
        self.row_target, self.row_fold = self.target[w.clip], self.fold[w.clip]
        self.row_weight = (self.weight / w.rows_of_clip)[w.clip]
        self.usable = (self.row_target >= 0) & (self.row_weight > 0)
        sizes = {"random": RECIPE["n_random"], "look_random": RECIPE["look_random"]}
        options = {**sizes, "hidden": RECIPE["hidden"], "signed_root": True}
        size = w.looks.shape[2] + POSE_SIZE
        inference_head = build_inference_head(POSE_HEAD, size, self.none, options)
        assert isinstance(inference_head, InferencePoseHead)
        self.inference_head, self.head = inference_head, inference_head.head
        self.direct = Direct(w, self.head, RECIPE, self.row_fold)
        self.evidence = Evidence(w, self.head.order, RECIPE["lam_look"], self.none + 1)

    @property
    def known(self) -> np.ndarray:
        return (self.target >= 0) & (self.target < self.none)

    def closed(self, keep: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores of picture and pose of `rows`, by a fit on the rows in the mask `keep`."""
        own = np.flatnonzero(keep & self.usable)
        solution = self.direct.fit(own, self.row_target, self.row_weight)
        return self.direct.read(rows, solution)

    def cross_closed(self) -> tuple[np.ndarray, np.ndarray]:
        """Out-of-fold scores of picture and pose, [M, K + 1] each."""
        picture = np.zeros((len(self.row_fold), self.none + 1), F)
        pose = picture.copy()
        for fold in range(5):
            rows = np.flatnonzero(self.row_fold == fold)
            picture[rows], pose[rows] = self.closed(self.row_fold != fold, rows)
        return picture, pose

    def pairs(self) -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """For folds k and j: rows of j, their scores and evidence by fits without k and j."""
        found = {}
        for k in range(5):
            for j in range(k + 1, 5):
                keep = (self.row_fold != k) & (self.row_fold != j)
                clips = (self.fold != k) & (self.fold != j)
                self.evidence.fit(clips, self.target, self.weight)
                for first, second in ((k, j), (j, k)):
                    rows = np.flatnonzero(self.row_fold == second)
                    closed = sum(self.closed(keep, rows))
                    found[first, second] = rows, closed, self.evidence.read(rows)
        return found

    def own_evidence(self) -> np.ndarray:
        """Out-of-fold evidence of every row, [M, 16, S]."""
        parts: dict[int, np.ndarray] = {}
        for fold in range(5):
            self.evidence.fit(self.fold != fold, self.target, self.weight)
            rows = np.flatnonzero(self.row_fold == fold)
            parts |= dict(zip(rows.tolist(), self.evidence.read(rows), strict=True))
        return np.stack([parts[row] for row in range(len(self.row_fold))])

    def train_order(
        self, rows: np.ndarray, closed: np.ndarray, evidence: np.ndarray, seed: int
    ) -> None:
        """Learn the LSTM on these rows; `closed` is divided by the temperature."""
        kept = self.usable[rows]
        rows = rows[kept]
        clip = self.windows.clip[rows]
        weight = self.weight[clip].astype(F)
        data = OrderRows(evidence[kept], closed[kept], self.row_target[rows], weight, clip)
        order = self.head.order
        torch.manual_seed(seed)
        order.lstm.reset_parameters()
        order.linear.reset_parameters()
        train_order(order, data, epochs=RECIPE["epochs"], rate=RECIPE["lr"], seed=seed)

    def cross_order(
        self, pairs: dict[Any, Any], evidence: np.ndarray, heat: float, seed: int
    ) -> np.ndarray:
        """Out-of-fold scores of the LSTM, [M, K + 1]."""
        out = np.zeros((len(self.row_fold), self.none + 1), F)
        for fold in range(5):
            parts = [pairs[fold, other] for other in range(5) if other != fold]
            rows, closed, read = (np.concatenate(column) for column in zip(*parts, strict=True))
            self.train_order(rows, closed / F(heat), read, seed)
            own = np.flatnonzero(self.row_fold == fold)
            with torch.no_grad():
                out[own] = self.head.order.read(torch.from_numpy(evidence[own])).numpy()
        return out

    def heat(self, logits: np.ndarray, share: np.ndarray | None = None) -> float:
        """The temperature of the known clips' own rows; `share` is each clip's weight."""
        share = np.ones(len(self.target)) if share is None else share
        rows = self.known[self.windows.clip] & ~self.windows.is_copy
        weights = (share / self.windows.own_rows_of_clip)[self.windows.clip][rows]
        return temperature(logits[rows][:, : self.none], self.row_target[rows], weights)


def fit_known(
    fit: Fit, statistics: np.ndarray, right: np.ndarray
) -> tuple[np.ndarray, dict[str, torch.Tensor]]:
    """Out-of-fold regressions [M] of the OOD score, and the one on all rows."""
    made = fit.windows.set == "made_train"
    side = np.where(fit.known, np.where(right, 0, 1), np.where(made, 3, 2))
    clip_weight = np.zeros(len(side))
    for number, share in enumerate(SHARES):
        clip_weight[side == number] = share / max((side == number).sum(), 1)
    weight = (clip_weight / fit.windows.rows_of_clip)[fit.windows.clip]
    goal = (side == 0)[fit.windows.clip]
    out = np.zeros(len(statistics))
    usable = fit.row_target >= 0
    for fold in range(5):
        own, others = fit.row_fold == fold, (fit.row_fold != fold) & usable
        out[own] = score(
            logistic(statistics[others], goal[others], weight[others]), statistics[own]
        )
    return out, logistic(statistics[usable], goal[usable], weight[usable])


def logistic(
    rows: np.ndarray, goal: np.ndarray, weight: np.ndarray, penalty: float = 1e-3
) -> dict[str, torch.Tensor]:
    """Logistic regression on standardised columns, as the buffers of `PoseOODScore`."""
    mean = np.average(rows, 0, weight)
    std = np.maximum(np.sqrt(np.average((rows - mean) ** 2, 0, weight)), 1e-4)
    inputs = torch.from_numpy(np.clip((rows - mean) / std, -4, 4)).double()
    goals = torch.from_numpy(goal).double()
    weights = torch.from_numpy(weight / weight.sum()).double()
    line = torch.zeros(rows.shape[1], dtype=torch.double, requires_grad=True)
    bias = torch.zeros((), dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS([line, bias], max_iter=150, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        each = functional.binary_cross_entropy_with_logits(
            inputs @ line + bias, goals, reduction="none"
        )
        loss = (each * weights).sum() + penalty * line.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    numbers = torch.from_numpy(mean), torch.from_numpy(std), line.detach(), bias.detach()
    names = ("statistic_mean", "statistic_std", "weight", "bias")
    return {name: value.float() for name, value in zip(names, numbers, strict=True)}


def score(solved: dict[str, torch.Tensor], rows: np.ndarray) -> np.ndarray:
    standard = (rows - solved["statistic_mean"].numpy()) / solved["statistic_std"].numpy()
    line = np.clip(standard, -4, 4) @ solved["weight"].numpy() + float(solved["bias"])
    return 1 / (1 + np.exp(-line))


def calibrate(fit: Fit, logits: np.ndarray, known: np.ndarray) -> tuple[dict[str, float], Any]:
    """Temperatures and thresholds; 60 % of the weight is UCF101's, 40 % other cameras'."""
    wild = fit.known & (fit.windows.set == "wild_train")
    ucf = fit.known & ~wild
    share = 0.6 * ucf / ucf.sum() + 0.4 * wild / wild.sum()
    heat = fit.heat(logits, share)
    chance = by_clip(fit.windows, softmax(logits[:, : fit.none] / heat))
    logs = np.log(np.maximum(chance, 1e-12))
    own = fit.known
    file_heat = temperature(logs[own], fit.target[own], share[own])
    chance = softmax(logs / file_heat)
    right = chance.argmax(1) == fit.target
    of_clip = by_clip(fit.windows, known[:, None])[:, 0]
    good = ~fit.windows.is_copy & own[fit.windows.clip]
    good &= logits[:, : fit.none].argmax(1) == fit.row_target
    numbers = {
        "temperature": heat,
        "file_temperature": file_heat,
        "threshold": float(np.quantile(known[good], 0.05)),
        "known_threshold": float(np.quantile(of_clip[own & right], 0.05)),
    }
    return numbers, (chance, right, of_clip)


def figures(
    fit: Fit, chance: np.ndarray, right: np.ndarray, known: np.ndarray, least: float
) -> Any:
    """What the card and the tables need of the out-of-fold answers."""
    name, group = fit.windows.set, fit.windows.group
    sides = {
        "ucf101": name == "ucf_train",
        "other_cameras": (name == "wild_train") & fit.known,
        "few": (name == "few_train") & fit.known,
    }
    others, made = name == "other_train", name == "made_train"
    main = ("ucf101", "other_cameras")
    kept = right & (known >= least)
    out: dict[str, Any] = {
        f"top1_{side}": interval(right[rows], group[rows]) for side, rows in sides.items()
    }
    best = chance.max(1)
    out["ece"] = {s: calibration_error(best[sides[s]], right[sides[s]]) for s in main}
    out["as_answered"] = {s: interval(kept[sides[s]], group[sides[s]]) for s in main}
    out["area"] = {s: area(known[sides[s]], known[others]) for s in main}
    out["others_refused"] = interval(known[others] < least, group[others])
    out["made_refused"] = float((known[made] < least).mean())
    counts = {side: int(rows.sum()) for side, rows in sides.items()}
    out["counts"] = {**counts, "others": int(others.sum()), "made": int(made.sum())}
    return out


def clips_and_groups(fit: Fit) -> dict[str, dict[str, list[int]]]:
    """By label and side: clips and groups."""
    wild = fit.windows.set == "wild_train"

    def count(rows: np.ndarray) -> list[int]:
        return [int(rows.sum()), len(set(fit.windows.group[rows]))]

    return {
        label: {"ucf101": count(own & ~wild), "other_cameras": count(own & wild)}
        for label, own in ((name, fit.target == i) for i, name in enumerate(fit.labels))
    }


@torch.no_grad()
def round_to_half(module: torch.nn.Module) -> None:
    """Large tensors as the graph will store them."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point() and tensor.numel() >= 64:
            tensor.copy_(tensor.half().float())


def deliver(fit: Fit, out: Path, variant: str, numbers: dict[str, Any]) -> None:
    """Write graph, tensors and numbers."""
    out.mkdir(parents=True, exist_ok=True)
    round_to_half(fit.inference_head)
    export_head(fit.inference_head, out / "head.onnx")
    model = with_float16_storage(onnx.load(out / "head.onnx"))
    (out / "head.onnx").write_bytes(model.SerializeToString(deterministic=True))
    torch.save(fit.inference_head.state_dict(), out / "head.pt")
    sets = fit.windows.set
    negatives = {
        "other_train": int((sets == "other_train").sum()),
        "few_clip_actions_that_do_not_ship": int((sets == "neg_few").sum()),
        "made": int((sets == "made_train").sum()),
    }
    facts = {"encoder": variant, "labels": fit.labels, "spacing_seconds": 0.18, "ready_after": 6}
    facts |= {"recipe": RECIPE, "known_share": SHARES, "negatives": negatives}
    facts |= {"clips_and_groups": clips_and_groups(fit), **numbers}
    (out / "card_numbers.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("data", "store", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--variant", required=True)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    args = parser.parse_args()
    fit = Fit(args.data, args.store, args.variant)
    picture, pose = fit.cross_closed()
    heat = fit.heat(picture + pose)
    closed = (picture + pose) / F(heat)
    pairs, evidence = fit.pairs(), fit.own_evidence()
    orders = {seed: fit.cross_order(pairs, evidence, heat, seed) for seed in args.seeds}
    for seed, order in orders.items():
        gain = gained(fit, closed, closed + order)
        print(f"LSTM, seed {seed}: {gain}")
    calibration = finish(fit, (picture, pose), heat, orders[args.seeds[0]])
    fit.train_order(np.arange(len(fit.row_fold)), closed, evidence, args.seeds[0])
    fill_final(fit, heat)
    deliver(fit, args.out, args.variant, calibration)
    memory = choose(fit, closed, orders[args.seeds[0]], heat)
    write_memory(args.out / MEMORY_NAME, memory)
    print(json.dumps(calibration, indent=1))


def finish(
    fit: Fit, direct: tuple[np.ndarray, np.ndarray], heat: float, order: np.ndarray
) -> dict[str, Any]:
    """Fit the OOD score on out-of-fold scores and fill it in; calibration and figures."""
    scores = [path / F(heat) for path in direct] + [order]
    logits = sum(scores, start=np.zeros_like(order))
    right = by_clip(fit.windows, softmax(logits[:, :-1])).argmax(1) == fit.target
    parts = tuple(torch.from_numpy(part.astype(F)) for part in scores)
    statistics = PoseOODScore().statistics(parts).numpy()
    known, solved = fit_known(fit, statistics, right)
    fit.inference_head.known.load_state_dict(solved)
    known *= gates(fit)[fit.windows.source]
    calibration, (chance, right, of_clip) = calibrate(fit, logits, known)
    measured = figures(fit, chance, right, of_clip, calibration["known_threshold"])
    return {**calibration, "cross_validation": measured}


def gates(fit: Fit) -> np.ndarray:
    """The part of the OOD score that pictures which stand still do not pass, [N]."""

    def gate(rows: np.ndarray) -> torch.Tensor:
        looks = torch.from_numpy(fit.windows.looks[rows].astype(F))
        return torch.sigmoid((moves(looks) - math.log(STILL)) * 10)

    return in_chunks(gate, len(fit.windows.looks))


def gained(fit: Fit, before: np.ndarray, after: np.ndarray) -> dict[str, list[float]]:
    """Paired difference in top-1 on both kinds of clips."""
    answers = [
        by_clip(fit.windows, softmax(scores[:, :-1])).argmax(1) == fit.target
        for scores in (before, after)
    ]
    gain = answers[1].astype(float) - answers[0]
    names = ("ucf_train", "wild_train")
    rows = {name: (fit.windows.set == name) & fit.known for name in names}
    return {name: interval(gain[own], fit.windows.group[own]) for name, own in rows.items()}


def fill_final(fit: Fit, heat: float) -> None:
    """All closed-form layers, fitted on every row."""
    rows = np.flatnonzero(fit.usable)
    solution = fit.direct.fit(rows, fit.row_target, fit.row_weight)
    fit.direct.fill(solution, heat)
    fit.evidence.fit(np.ones(len(fit.fold), bool), fit.target, fit.weight)
    fit.inference_head.eval()


if __name__ == "__main__":
    main()

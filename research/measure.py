"""The exported head on the stored test sides, as serving would: once a model.

    python research/measure.py DATA STORE OUT --variant lite2

OUT is what fit.py filled. Writes OUT/test_sides.json for make_card.py.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from windows import F, area, calibration_error, ends, interval, items, softmax, stored, window

SETS = ("ucf_test", "few_test", "wild", "other_test", "made_test")


def answer(
    session: onnxruntime.InferenceSession, ticks: np.ndarray, filled: np.ndarray, card: Any
) -> tuple[np.ndarray, float]:
    """Probabilities [K] and OOD score of a whole file."""
    windows = np.stack([window(ticks, end) for end in ends(filled, len(ticks))]).astype(F)
    parts = [
        session.run(["logits", "known_score"], {"features": windows[i : i + 64]})
        for i in range(0, len(windows), 64)
    ]
    logits, known = (np.concatenate(column) for column in zip(*parts, strict=True))
    mean = softmax(logits / card["temperature"]).mean(0)
    chance = softmax(np.log(np.maximum(mean, 1e-12)) / card["file_temperature"])
    return chance, float(known.mean())


def side(rows: np.ndarray, answers: dict[str, np.ndarray], least: float) -> dict[str, Any]:
    """Figures of the clips of known actions in this mask."""
    right, known = answers["right"][rows], answers["known"][rows]
    target, group = answers["target"][rows], answers["group"][rows]
    means = [right[target == label].mean() for label in np.unique(target)]
    return {
        "n": int(rows.sum()),
        "top1": interval(right, group),
        "class_mean": round(float(np.mean(means)), 4),
        "ece": round(calibration_error(answers["chance"][rows].max(1), right), 4),
        "as_answered": interval(right & (known >= least), group),
        "right_kept": round(float((known[right] >= least).mean()), 4),
    }


def measure(a: dict[str, np.ndarray], labels: list[str], least: float) -> dict[str, Any]:
    """Everything that is told of the test sides."""
    known, own = a["known"], a["target"] >= 0
    ucf, wild = own & (a["set"] == "ucf_test"), own & (a["set"] == "wild")
    others, made = a["set"] == "other_test", a["set"] == "made_test"
    near = np.array(["near miss" in note for note in a["note"]])
    sides = {"ucf101_test": ucf, "other_cameras": wild, "few_test": own & (a["set"] == "few_test")}
    out: dict[str, Any] = {k: side(rows, a, least) for k, rows in sides.items() if rows.any()}
    main = ("ucf101_test", "other_cameras")
    out["area"] = {name: area(known[sides[name]], known[others]) for name in main}
    refused = known < least
    out["others_refused_at_card_threshold"] = interval(refused[others], a["group"][others])
    strict = np.quantile(known[(ucf | wild) & a["right"]], 0.05)
    out["others_refused_where_95_right_kept"] = round(float((known[others] < strict).mean()), 4)
    out["refused_near_miss"] = round(float(refused[others & near].mean()), 4)
    out["made_refused"] = [int(made.sum()), round(float(refused[made].mean()), 4)]
    kinds = {kind: refused[made & (a["note"] == kind)] for kind in np.unique(a["note"][made])}
    out["made_kinds_not_all_refused"] = {
        kind: [len(values), int(values.sum())] for kind, values in kinds.items() if not all(values)
    }
    out["recall_ucf101_test"] = {
        label: [int(rows.sum()), round(float(a["right"][rows].mean()), 3)]
        for label, rows in ((x, ucf & (a["target"] == i)) for i, x in enumerate(labels))
        if rows.any()
    }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("data", "store", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--variant", required=True)
    args = parser.parse_args()
    card = json.loads((args.out / "card_numbers.json").read_text(encoding="utf-8"))
    labels = card["labels"]
    head = args.out / "head.onnx"
    session = onnxruntime.InferenceSession(head, providers=["CPUExecutionProvider"])
    listed = items(args.data, args.store, SETS)
    kept, answers = [], []
    for item in listed:
        found = stored(args.store, args.variant, item[1])
        if found is not None:
            kept.append(item)
            answers.append(answer(session, *found, card))
    sets, _, names, groups, notes = (np.array(column) for column in zip(*kept, strict=True))
    columns = {"set": sets, "group": groups, "note": notes}
    columns["chance"] = np.stack([chance for chance, _ in answers])
    columns["known"] = np.array([known for _, known in answers])
    columns["target"] = np.array([labels.index(x) if x in labels else -1 for x in names])
    columns["right"] = columns["chance"].argmax(1) == columns["target"]
    out = measure(columns, labels, card["known_threshold"])
    counted = {name: int((sets == name).sum()) for name in SETS}
    out = {"evaluated": counted, "listed": {s: sum(i[0] == s for i in listed) for s in SETS}, **out}
    (args.out / "test_sides.json").write_text(json.dumps(out, indent=1), encoding="utf-8")
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()

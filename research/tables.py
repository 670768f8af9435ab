"""The tables of docs/experiments.md's fourth, fifth and sixth round, from their records.

    python research/tables.py docs/experiments.jsonl

Prints Markdown: the halves of the head, the LSTM by seed, paired differences, actions with few
clips, the test sides, and what all clips gave out of fold.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def interval(values: list[float], digits: int = 3) -> str:
    value, low, high = (f"{number:.{digits}f}" for number in values)
    return f"{value} [{low}, {high}]"


def points(values: list[float]) -> str:
    value, low, high = (f"{100 * number:+.1f}" for number in values)
    return f"{value} [{low}, {high}]"


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def header(*cells: str) -> Iterator[str]:
    yield from ("", row(*cells), row(*["---"] * len(cells)))


def halves(records: list[Record]) -> Iterator[str]:
    yield from header("reads", "UCF101", "other cameras", "ECE", "AUROC", "others refused")
    for record in records:
        if record["kind"] == "table":
            got = record["cross_validation"]
            pairs = (" / ".join(f"{one:.3f}" for one in got[key]) for key in ("ece", "auc_neg"))
            cells = interval(got["ucf"]), interval(got["wild"]), *pairs, f"{got['ref_neg']:.3f}"
            yield row(record["name"], *cells)


def differences(records: list[Record]) -> Iterator[str]:
    yield from header("paired difference", "side", "points")
    for record in records:
        if record["kind"] == "paired":
            side = {"ucf": "UCF101", "wild": "other cameras"}[record["side"]]
            yield row(record["name"], side, points(record["difference"]))


def order(records: list[Record]) -> Iterator[str]:
    yield from header("beside the closed form", "UCF101", "other cameras", "points on UCF101")
    for record in records:
        if record["kind"] == "order":
            got = record["cross_validation"]
            paired = points(record["paired_ucf"])
            yield row(record["name"], interval(got["ucf"]), interval(got["wild"]), paired)


def few(records: list[Record]) -> Iterator[str]:
    last = [record for record in records if record["kind"] == "few"][-1]["recall"]
    yield from header("action", "recall")
    for name, recall in sorted(last.items(), key=lambda item: -item[1]):
        yield row(name, f"{recall:.2f}")


def test_sides(records: list[Record]) -> Iterator[str]:
    yield from header("figure", "lite2-v2", "lite0-v2")
    both = {r["variant"]: r["figures"] for r in records if r["kind"] == "test sides"}
    sides = [both[name] for name in ("lite2", "lite0")]
    for words, key in (("UCF101", "ucf101_test"), ("other cameras", "other_cameras")):
        yield row(f"{words}, top-1", *(interval(side[key]["top1"]) for side in sides))
        yield row(f"{words}, mean over classes", *(side[key]["class_mean"] for side in sides))
        yield row(f"{words}, as answered", *(interval(side[key]["as_answered"]) for side in sides))
        yield row(f"{words}, ECE", *(side[key]["ece"] for side in sides))
        area = {"ucf101": "ucf101_test"}.get(key, key)
        yield row(f"{words}, AUROC", *(f"{side['area'][area]:.3f}" for side in sides))
    refused = "others_refused_at_card_threshold"
    yield row("others refused", *(interval(side[refused]) for side in sides))
    kept = "others_refused_where_95_right_kept"
    yield row("others refused where 95 % of right answers are kept", *(s[kept] for s in sides))
    yield row("near misses refused", *(side["refused_near_miss"] for side in sides))
    yield row("made pictures refused", *(side["made_refused"][1] for side in sides))


def all_clips(records: list[Record]) -> Iterator[str]:
    yield from header("out of fold", "lite2-v2", "lite0-v2")
    both = {r["variant"]: r for r in records if r["kind"] == "folds"}
    models = [both[name] for name in ("lite2", "lite0")]
    sides = [model["cross_validation"] for model in models]
    for words, key in (("UCF101", "ucf101"), ("other cameras", "other_cameras")):
        yield row(f"{words}, top-1", *(interval(side[f"top1_{key}"]) for side in sides))
        yield row(f"{words}, ECE", *(f"{side['ece'][key]:.3f}" for side in sides))
        yield row(f"{words}, AUROC", *(f"{side['area'][key]:.3f}" for side in sides))
        gain = {"ucf101": "ucf_train", "other_cameras": "wild_train"}[key]
        yield row(f"{words}, points by the LSTM", *(points(m["lstm"][gain]) for m in models))
    yield row("actions with few clips, top-1", *(interval(side["top1_few"]) for side in sides))
    yield row("others refused", *(interval(side["others_refused"]) for side in sides))
    yield row("made pictures refused", *(f"{side['made_refused']:.3f}" for side in sides))


def probes(records: list[Record]) -> Iterator[str]:
    columns = "UCF101", "class mean", "other cameras", "few clips", "AUROC", "others", "made"
    yield from header("the closed form reads", *columns)
    for record in records:
        if record["kind"] == "probe":
            got = record["cross_validation"]
            names = "ucf", "class_mean", "wild", "few"
            area = " / ".join(f"{one:.3f}" for one in got["area"])
            refused = (f"{got[name]:.3f}" for name in ("others_refused", "made_refused"))
            yield row(record["name"], *(f"{got[name]:.3f}" for name in names), area, *refused)


def main() -> None:
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    rounds = (
        (4, (halves, differences, order, few, test_sides)),
        (5, (all_clips, test_sides)),
        (6, (probes, all_clips, test_sides)),
    )
    for number, tables in rounds:
        for table in tables:
            print("\n".join(table([r for r in records if r.get("round") == number])))


if __name__ == "__main__":
    main()

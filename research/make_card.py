"""Card and weights of a fitted head, for scripts/assemble_bundle.py.

    python research/make_card.py OUT --encoder NAME --name NAME --lists FILE...

OUT is the folder that fit.py and measure.py filled: head.pt, card_numbers.json, test_sides.json.
--encoder is the encoder's name in actionstream (efficientnet_lite2_bands), --lists the files that
say which clips there are; their SHA-256 goes onto the card. Writes OUT/card.json and
OUT/weights.safetensors.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

LEAST_HALF = 64
"""Larger tensors were rounded to float16 before the export; they are stored so."""

FOLDS = "5-fold cross-validation by group and source inside the training clips, by clip"
TEST = "UCF101 split 1, test list, the clips at hand, from stored looks, once"
OTHER_CAMERAS = "clips of other cameras, not used in training, from stored looks, once"
OTHERS = "clips of other actions and of none, not used in training, from stored looks, once"
MADE = "made pictures of nothing, other kinds than in training, from stored looks, once"


def figure(
    name: str, values: list[float], evaluated: int, listed: int, how: str
) -> dict[str, object]:
    """One of the card's figures, of [value, low, high]."""
    value, low, high = values
    return {
        "name": name,
        "value": value,
        "low": low,
        "high": high,
        "evaluated": evaluated,
        "listed": listed,
        "how": how,
    }


def figures(numbers: dict[str, Any], test: dict[str, Any]) -> list[dict[str, object]]:
    """Every measured figure that has an interval."""
    folds, counts = numbers["cross_validation"], numbers["cross_validation"]["counts"]
    listed = test["listed"]
    out = []
    for name, key, count in (
        ("cross-validated top-1", "top1_ucf101", "ucf101"),
        ("cross-validated top-1, other cameras", "top1_other_cameras", "other_cameras"),
        ("cross-validated top-1, actions with few clips", "top1_few", "few"),
        ("cross-validated others refused", "others_refused", "others"),
    ):
        out.append(figure(name, folds[key], counts[count], counts[count], FOLDS))
    for end, key, part, how in (
        ("", "ucf101_test", "ucf_test", TEST),
        (", other cameras", "other_cameras", "wild", OTHER_CAMERAS),
    ):
        side = test[key]
        for name, value in (("top-1", "top1"), ("top-1 as answered", "as_answered")):
            out.append(figure(name + end, side[value], side["n"], listed[part], how))
    refused = test["others_refused_at_card_threshold"]
    others = test["evaluated"]["other_test"], listed["other_test"]
    return [*out, figure("others refused", refused, *others, OTHERS)]


def limits(numbers: dict[str, Any], test: dict[str, Any]) -> list[str]:
    """What it cannot do, in sentences."""
    labels, negatives = numbers["labels"], numbers["negatives"]
    few = {
        label: sides["ucf101"]
        for label, sides in numbers["clips_and_groups"].items()
        if sides["ucf101"][0] < 20
    }
    weak = [
        f"{label} ({recall:.2f} of {count})"
        for label, (count, recall) in sorted(test["recall_ucf101_test"].items())
        if recall < 0.72
    ]
    rests = ", ".join(f"{label} ({c} clips, {g} groups)" for label, (c, g) in few.items())
    passed = 1 - test["others_refused_at_card_threshold"][0]
    made = test["made_refused"]
    moving = ", ".join(test["made_kinds_not_all_refused"])
    ece = test["ucf101_test"]["ece"], test["other_cameras"]["ece"]
    return [
        f"Knows these {len(labels)} actions and no others.",
        "Learned from up to 72 clips an action in one view, with folds of one seed.",
        f"Rests on few clips for {rests}: hardly any of them are in the test figures.",
        f"On the test clips it is weak at {', '.join(weak)}.",
        f"On the test clips of other actions and of none it names one of its own in {passed:.0%}: "
        "read a low confidence as doubt.",
        f"Of {made[0]} made pictures of nothing {made[1]:.0%} are refused; still photographs that "
        f"move ({moving}) are not all.",
        f"Its confidence is off by {ece[0]:.3f} on the test clips and by {ece[1]:.3f} on other "
        "cameras (calibration error).",
        "Follows one person: of several, the most prominent one.",
        f"Negatives were {negatives['other_train']} clips of other actions or none, "
        f"{negatives['few_clip_actions_that_do_not_ship']} of actions with too few clips, and "
        f"{negatives['made']} made pictures; actions unlike all of these may pass as known.",
    ]


def training(numbers: dict[str, Any], lists: list[Path]) -> dict[str, Any]:
    """What the head was fitted on."""
    sides = numbers["clips_and_groups"]
    clips = {label: s["ucf101"][0] + s["other_cameras"][0] for label, s in sides.items()}
    groups = {label: s["ucf101"][1] + s["other_cameras"][1] for label, s in sides.items()}
    negatives = numbers["negatives"]
    counts = numbers["cross_validation"]["counts"]
    others = negatives["other_train"] + negatives["few_clip_actions_that_do_not_ship"]
    return {
        "data": f"UCF101, trainlist01.txt: {counts['ucf101'] + counts['few']} clips of groups g08 "
        f"to g25; {counts['other_cameras']} clips of other cameras; {others} of other actions "
        f"or none; {negatives['made']} made pictures",
        "split": "UCF101 split 1",
        "clips": sum(clips.values()),
        "clips_per_label": clips,
        "groups_per_label": groups,
        "no_action_clips": others + negatives["made"],
        "lists": hashlib.sha256(b"".join(path.read_bytes() for path in lists)).hexdigest(),
        "comparable": True,
        "recipe": {**numbers["recipe"], "known_share": numbers["known_share"]},
        "command": f"research/README.md, fit.py --variant {numbers['encoder']}",
    }


def card(
    numbers: dict[str, Any], test: dict[str, Any], name: str, encoder: str, lists: list[Path]
) -> dict[str, Any]:
    """The card's fields but for those that follow from the graphs."""
    recipe = numbers["recipe"]
    sizes = {key: recipe[key] for key in ("look_random", "hidden")}
    recall = {label: value for label, (_, value) in test["recall_ucf101_test"].items()}
    calibration = ("temperature", "file_temperature", "threshold", "known_threshold")
    return {
        "name": name,
        "labels": numbers["labels"],
        "encoder": {"name": encoder},
        "head": {
            "name": "picture_and_pose",
            "options": {
                "random": recipe["n_random"],
                **sizes,
                "dropout": 0.3,
                "input_dropout": 0.2,
                "both_ways": True,
                "signed_root": True,
            },
        },
        "spacing_seconds": numbers["spacing_seconds"],
        "ready_after": numbers["ready_after"],
        "reset_after_seconds": 2.6999999999999997,
        **{key: numbers[key] for key in calibration},
        "smooth_tau_seconds": 0.6,
        "hold_seconds": 0.35,
        "switch_margin": 0.1,
        "training": training(numbers, lists),
        "measured": {"figures": figures(numbers, test), "per_class": recall},
        "limits": limits(numbers, test),
        "licence": {
            "code": "MIT",
            "weights": "MIT for what was trained here; the encoder is EfficientNet-Lite with "
            "ImageNet weights (Apache 2.0), the pose is BlazePose by Google (Apache 2.0)",
            "data": "the clips' own: UCF101 is published for research; the rights to the clips of "
            "other cameras and of other actions are unclear, as their lists say; no clip is in "
            "this bundle",
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--lists", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    numbers = json.loads((args.out / "card_numbers.json").read_text(encoding="utf-8"))
    test = json.loads((args.out / "test_sides.json").read_text(encoding="utf-8"))
    fields = card(numbers, test, args.name, args.encoder, args.lists)
    text = json.dumps(fields, indent=2) + "\n"
    (args.out / "card.json").write_text(text, encoding="utf-8")
    tensors = torch.load(args.out / "head.pt", weights_only=True)
    stored = {
        key: (value.half() if value.numel() >= LEAST_HALF else value).contiguous()
        for key, value in tensors.items()
    }
    for key, value in stored.items():
        if not torch.equal(value.float(), tensors[key]):
            raise SystemExit(f"{key} is not stored exactly as float16")
    weights = args.out / "weights.safetensors"
    save_file(stored, weights)
    weights.chmod(0o644)  # safetensors leaves it readable by its owner alone


if __name__ == "__main__":
    main()

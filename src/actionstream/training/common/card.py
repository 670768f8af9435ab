"""What a trained bundle's card says: filled from the run, nothing invented."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from actionstream.datasets.split import Clip, Split, fingerprint
from actionstream.evaluation.metrics import (
    Figure,
    area_under_roc,
    expected_calibration_error,
    grouped_mean,
    mean_over_classes,
)
from actionstream.evaluation.report import figure
from actionstream.inference.sampling import WINDOW
from actionstream.training.common.calibrate import Calibration, ClipOutput
from actionstream.training.common.recipe import Recipe, Settings

TRAINED_HERE = "MIT for what was trained here"
DATA_LICENCE = "the clips' own; UCF101 is published for research, and no clip is in this bundle"


def held_out_figures(outputs: Sequence[ClipOutput], calibration: Calibration) -> dict[str, Any]:
    """Figures of clips that their head never saw, JSON-ready."""
    known = [i for i, output in enumerate(outputs) if output.target is not None]
    negatives = [i for i, output in enumerate(outputs) if output.target is None]
    targets = [int(outputs[i].target or 0) for i in known]
    correct = calibration.temperatures.correct[known].astype(float)
    top1 = grouped_mean(correct, [outputs[i].clip.group for i in known])
    scores = calibration.clip_scores
    refused = scores[negatives] < calibration.known_threshold
    readings = [
        float((outputs[i].logits.argmax(axis=1) == target).mean())
        for i, target in zip(known, targets, strict=True)
    ]
    sure = calibration.temperatures.probabilities[known].max(axis=1)
    return {
        "top1": top1.value,
        "top1_interval": [top1.low, top1.high],
        "class_mean": mean_over_classes(correct, targets),
        "reading_top1": float(np.mean(readings)),
        "calibration_error": expected_calibration_error(sure, correct),
        "clips": len(known),
        "others": len(negatives),
        "known_area": area_under_roc(scores[known], scores[negatives]) if negatives else None,
        "known_kept": float((scores[known] >= calibration.known_threshold).mean()),
        "others_refused": float(refused.mean()) if negatives else None,
    }


def card_fields(
    split: Split,
    recipe: Recipe,
    settings: Settings,
    calibration: Calibration,
    *,
    learned: Sequence[Clip],
    negatives: Sequence[Clip],
    figures: Sequence[dict[str, Any]],
    limits: Sequence[str],
    weights: str,
) -> dict[str, Any]:
    """The card's fields but for those that follow from the networks and files.

    `learned` are the clips of known actions that were learned from; `weights` says in words whose
    licence the weights have besides.
    """
    counts = Counter(str(clip.label) for clip in learned)
    groups = Counter(label for label, _ in {(str(clip.label), clip.group) for clip in learned})
    return {
        "name": settings.name or f"{recipe.name}-{split.name}",
        "labels": list(split.labels),
        "geometry": {"window_fraction": recipe.window_fraction},
        "spacing_seconds": recipe.spacing_seconds,
        "ready_after": recipe.ready_after,
        "reset_after_seconds": (WINDOW - 1) * recipe.spacing_seconds,
        "temperature": calibration.temperatures.reading,
        "file_temperature": calibration.temperatures.file,
        "threshold": calibration.threshold,
        "known_threshold": calibration.known_threshold,
        "smooth_tau_seconds": recipe.smooth_tau_seconds,
        "hold_seconds": recipe.hold_seconds,
        "switch_margin": recipe.switch_margin,
        "training": {
            "data": describe_data(split, learned, negatives),
            "split": split.name,
            "clips": len(learned),
            "clips_per_label": {label: counts[label] for label in split.labels},
            "groups_per_label": {label: groups[label] for label in split.labels},
            "no_action_clips": len(negatives),
            "lists": fingerprint([*learned, *negatives]),
            "comparable": not split.leaking,
            "recipe": recipe.facts(),
            "command": settings.command,
        },
        "measured": {"figures": list(figures), "per_class": {}},
        "limits": [*common_limits(split), *limits, *split.notes],
        "licence": {"code": "MIT", "weights": f"{TRAINED_HERE}; {weights}", "data": DATA_LICENCE},
    }


def top1_figure(name: str, figures: dict[str, Any], listed: int, how: str) -> dict[str, Any]:
    """The card's entry for the top-1 of `held_out_figures`."""
    value = Figure(figures["top1"], *figures["top1_interval"])
    return figure(name, value, figures["clips"], listed, how)


def describe_data(split: Split, learned: Sequence[Clip], negatives: Sequence[Clip]) -> str:
    """One sentence: layout, list, how many of the listed clips, labels, groups, other clips."""
    count, listed = len(learned), split.listed.get("train", len(learned))
    clips = f"all {count:,} clips" if count == listed else f"{count:,} of {listed:,} listed clips"
    known = f"{split.source or split.name}: {clips}, {len(split.labels)} labels"
    rest = f"; {len(negatives):,} clips of other actions or none" if negatives else ""
    return f"{known}, {_groups(learned)}{rest}"


def _groups(clips: Sequence[Clip]) -> str:
    groups = {clip.group for clip in clips}
    numbers = sorted({group.rpartition("/")[2] for group in groups})
    if all(re.fullmatch(r"g\d\d", number) for number in numbers):  # as UCF101 counts them
        return f"groups {numbers[0]} to {numbers[-1]}"
    return f"{len(groups):,} groups"


def common_limits(split: Split) -> list[str]:
    """Sentences on what any model of this split does not know."""
    sentences = [f"Knows these {len(split.labels)} actions and no others."]
    if split.absent_labels:
        sentences.append(
            f"{len(split.absent_labels)} labels of the data set's lists were not at hand and are "
            "unknown to it."
        )
    if split.leaking:
        sentences.append("NOT COMPARABLE: a random split puts clips of one source in two subsets.")
    return sentences

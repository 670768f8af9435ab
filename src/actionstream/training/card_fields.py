"""What a trained bundle's card says: filled from the run, nothing invented."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from actionstream.datasets.split import Clip, Split, fingerprint
from actionstream.evaluation.evaluate import Evaluation
from actionstream.evaluation.metrics import (
    Figure,
    area_under_roc,
    expected_calibration_error,
    grouped_mean,
    mean_over_classes,
)
from actionstream.inference.sampling import WINDOW
from actionstream.training.calibrate import Calibration
from actionstream.training.crossval import CrossValidation
from actionstream.training.recipe import Recipe
from actionstream.training.windows import Sample

WEIGHTS_LICENCE = (
    "MIT for what was trained here; the encoder's ImageNet weights come from their own package "
    "under its licence"
)
DATA_LICENCE = "the clips' own; UCF101 is published for research, and no clip is in this bundle"


def validation_figures(validation: CrossValidation, calibration: Calibration) -> dict[str, Any]:
    """Out-of-fold figures of clips, JSON-ready."""
    known = [i for i, one in enumerate(validation.outputs) if one.sample.target is not None]
    other = [i for i, one in enumerate(validation.outputs) if one.sample.target is None]
    samples = [validation.outputs[i].sample for i in known]
    targets = [int(sample.target or 0) for sample in samples]
    probabilities = calibration.probabilities[known]
    correct = (probabilities.argmax(axis=1) == np.array(targets)).astype(float)
    top1 = grouped_mean(correct, [sample.clip.group for sample in samples])
    scores = calibration.clip_scores
    refused = scores[other] < calibration.known_threshold
    readings = [
        float((validation.outputs[i].logits.argmax(axis=1) == target).mean())
        for i, target in zip(known, targets, strict=True)
    ]
    return {
        "top1": top1.value,
        "top1_interval": [top1.low, top1.high],
        "class_mean": mean_over_classes(correct, targets),
        "reading_top1": float(np.mean(readings)),
        "calibration_error": expected_calibration_error(probabilities.max(axis=1), correct),
        "clips": len(known),
        "others": len(other),
        "known_area": area_under_roc(scores[known], scores[other]) if other else None,
        "known_kept": float((scores[known] >= calibration.known_threshold).mean()),
        "others_refused": float(refused.mean()) if other else None,
    }


def card_fields(
    split: Split,
    samples: Sequence[Sample],
    recipe: Recipe,
    calibration: Calibration,
    validation: CrossValidation,
    *,
    name: str,
    command: str,
) -> dict[str, Any]:
    """The card's fields but for those that follow from the networks and files."""
    known = [sample.clip for sample in samples if sample.target is not None]
    others = [sample.clip for sample in samples if sample.target is None]
    counts = Counter(str(clip.label) for clip in known)
    groups = Counter(label for label, _ in {(str(clip.label), clip.group) for clip in known})
    found = validation_figures(validation, calibration)
    top1 = Figure(found["top1"], *found["top1_interval"])
    how = f"{recipe.folds}-fold cross-validation by group inside the training list, by clip"
    listed = split.listed.get("train", len(known))
    return {
        "name": name,
        "labels": list(split.labels),
        "geometry": {"window_fraction": recipe.window_fraction},
        "spacing_seconds": recipe.spacing_seconds,
        "ready_after": recipe.ready_after,
        "reset_after_seconds": (WINDOW - 1) * recipe.spacing_seconds,
        "temperature": calibration.temperature,
        "file_temperature": calibration.file_temperature,
        "threshold": calibration.threshold,
        "known_threshold": calibration.known_threshold,
        "smooth_tau_seconds": recipe.smooth_tau_seconds,
        "hold_seconds": recipe.hold_seconds,
        "switch_margin": recipe.switch_margin,
        "training": {
            "data": describe_data(split, known, others),
            "split": split.name,
            "clips": len(known),
            "clips_per_label": {label: counts[label] for label in split.labels},
            "groups_per_label": {label: groups[label] for label in split.labels},
            "no_action_clips": len(others),
            "lists": fingerprint([*known, *others]),
            "comparable": not split.leaking,
            "recipe": recipe.facts(),
            "command": command,
        },
        "measured": {
            "figures": [figure("cross-validated top-1", top1, len(known), listed, how)],
            "per_class": {},
        },
        "limits": limits(split, bool(others)),
        "licence": {"code": "MIT", "weights": WEIGHTS_LICENCE, "data": DATA_LICENCE},
    }


def describe_data(split: Split, learned: Sequence[Clip], others: Sequence[Clip]) -> str:
    """One sentence: layout, list, how many of the listed clips, labels, groups, other clips."""
    count, listed = len(learned), split.listed.get("train", len(learned))
    clips = f"all {count:,} clips" if count == listed else f"{count:,} of {listed:,} listed clips"
    known = f"{split.source or split.name}: {clips}, {len(split.labels)} labels"
    rest = f"; {len(others):,} clips of other actions or none" if others else ""
    return f"{known}, {_groups(learned)}{rest}"


def _groups(clips: Sequence[Clip]) -> str:
    groups = {clip.group for clip in clips}
    numbers = sorted({group.rpartition("/")[2] for group in groups})
    if all(re.fullmatch(r"g\d\d", number) for number in numbers):  # as UCF101 counts them
        return f"groups {numbers[0]} to {numbers[-1]}"
    return f"{len(groups):,} groups"


def limits(split: Split, has_others: bool) -> list[str]:
    """Sentences on what the model does not know."""
    sentences = [f"Knows these {len(split.labels)} actions and no others."]
    if split.absent_labels:
        sentences.append(
            f"{len(split.absent_labels)} labels of the data set's lists were not at hand and are "
            "unknown to it."
        )
    if not has_others:
        sentences.append(
            "Trained without examples of other actions: its 'no known action' is only a guess "
            "from how sure and how typical a clip is."
        )
    if split.leaking:
        sentences.append("NOT COMPARABLE: a random split puts clips of one source in two subsets.")
    return [*sentences, *split.notes]


def figure(name: str, value: Figure, evaluated: int, listed: int, how: str) -> dict[str, Any]:
    """One FigureCard."""
    return {
        "name": name,
        "value": value.value,
        "low": value.low,
        "high": value.high,
        "evaluated": evaluated,
        "listed": listed,
        "how": how,
    }


TEST_FIGURES = ("top-1", "top-1 as answered", "top-3", "kept as known", "others refused")
"""Names of what `test_figures` gives; the last only where there are such clips."""


def test_figures(evaluation: Evaluation, split: str) -> list[dict[str, Any]]:
    """The figures of the test list, for the card."""
    count, listed = len(evaluation.known_clips), evaluation.listed
    doubt = "" if evaluation.comparable else "; not comparable"
    how = f"{split}, test list, through recognition of the files{doubt}"
    parts = (evaluation.top1(), evaluation.top1_shown(), evaluation.top3(), evaluation.known_kept())
    figures = [
        figure(name, value, count, listed, how)
        for name, value in zip(TEST_FIGURES, parts, strict=False)
    ]
    refused = evaluation.others_refused()
    if refused is not None:
        others = len(evaluation.other_clips)
        how = f"clips of other actions and of none, not used in training{doubt}"
        figures.append(figure(TEST_FIGURES[-1], refused, others, others, how))
    return figures


ON_TEST = "On the test clips"
WEAK = 0.75


def test_limits(evaluation: Evaluation) -> list[str]:
    """Sentences on what the test list showed it to be bad at; each begins with `ON_TEST`."""
    sentences = []
    weak = [
        f"{label} ({value:.2f})" for label, value in evaluation.per_class().items() if value < WEAK
    ]
    if weak:
        sentences.append(f"{ON_TEST} it is weak at {', '.join(weak)}.")
    refused = evaluation.others_refused()
    if refused is not None:
        passed = f"{100 * (1 - refused.value):.0f} %"
        sentences.append(
            f"{ON_TEST} of other actions and of none it names one of its own in {passed}: read a "
            "low confidence as doubt."
        )
    return sentences

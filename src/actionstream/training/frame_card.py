"""What the card of networks trained on frames says: filled from the run, nothing invented."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from actionstream.datasets.split import Split, fingerprint
from actionstream.evaluation.metrics import grouped_mean
from actionstream.inference import postprocess as decide
from actionstream.training.card_fields import DATA_LICENCE, describe_data, figure, limits
from actionstream.training.frame_calibration import FrameCalibration, Output
from actionstream.training.frame_loop import TrainedNetworks
from actionstream.training.frame_recipe import FrameRecipe


def card_fields(
    trained: TrainedNetworks,
    split: Split,
    recipe: FrameRecipe,
    calibration: FrameCalibration,
    outputs: Sequence[Output],
    *,
    start: str,
) -> dict[str, Any]:
    """The card's fields but for its name, the command, and what follows from networks and files."""
    learned = [clip for clip in trained.subsets.train if clip.stem not in trained.failed]
    counts = Counter(str(clip.label) for clip in learned)
    others = [output for output in outputs if output.clip.label is None]
    return {
        "labels": list(split.labels),
        "geometry": {
            "input_size": recipe.input_size,
            "window_fraction": recipe.window_fraction,
        },
        "spacing_seconds": recipe.spacing_seconds,
        "ready_after": recipe.ready_after,
        "reset_after_seconds": recipe.rule.reset_after_seconds,
        "temperature": calibration.temperature,
        "file_temperature": calibration.file_temperature,
        "threshold": calibration.threshold,
        "known_threshold": calibration.known_threshold,
        "smooth_tau_seconds": recipe.smooth_tau_seconds,
        "hold_seconds": recipe.hold_seconds,
        "switch_margin": recipe.switch_margin,
        "training": {
            "data": f"{describe_data(split, learned, [one.clip for one in others])}; "
            f"{len(trained.subsets.validation)} further clips held out by group for calibration",
            "split": split.name,
            "clips": len(learned),
            "clips_per_label": {label: counts[label] for label in split.labels},
            "no_action_clips": len(others),
            "lists": fingerprint(learned),
            "comparable": not split.leaking,
            "recipe": recipe.facts(),
        },
        "measured": {"figures": [_top1(trained, split, calibration, outputs)], "per_class": {}},
        "limits": _limits(split, bool(others), len(trained.failed)),
        "licence": {
            "code": "MIT",
            "weights": f"MIT for what was trained here; it started from {start or 'weights'} "
            "under their licence",
            "data": DATA_LICENCE,
        },
    }


def _top1(
    trained: TrainedNetworks,
    split: Split,
    calibration: FrameCalibration,
    outputs: Sequence[Output],
) -> dict[str, Any]:
    known = [output for output in outputs if output.clip.label is not None]
    means = [decide.calibrate(one.logits, calibration.temperature).mean(axis=0) for one in known]
    said = [split.labels[int(mean.argmax())] for mean in means]
    hits = [float(label == one.clip.label) for label, one in zip(said, known, strict=True)]
    top1 = grouped_mean(hits, [one.clip.group for one in known])
    listed = len(trained.subsets.validation)
    how = "clips held out of the training list by group; they also set the temperatures"
    return figure("validation top-1", top1, len(known), listed, how)


def _limits(split: Split, has_others: bool, failed: int) -> list[str]:
    sentences = limits(split, has_others=True)
    if not has_others:
        sentences.append('It never says "no known action": both thresholds are 0.')
    if failed:
        sentences.append(f"{failed} training clips could not be read and were left out.")
    return [*sentences, "The test list was not read: `actionstream evaluate` measures on it."]

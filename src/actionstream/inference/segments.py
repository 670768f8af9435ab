"""What happens when in a file: all readings at once, without the delay of a camera.

A reading is about its whole window, so it speaks for the window's middle, not for its end. Over
the readings in order of their middles the best path of labels is found (Viterbi): what speaks for
a label is its probability and that known_score is over the threshold, and every change of label
costs `SWITCH_COST`. With one label in the whole file this is the rule for the file's answer: the
largest mean probability, known if the mean known_score reaches the threshold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from actionstream.inference.postprocess import Run
from actionstream.inference.sampling import WINDOW
from actionstream.results import Reading, Segment

SWITCH_COST = 4.0
"""Readings that a new label must win by its full probability before it pays to change."""
KNOWN_WEIGHT = 1.0
"""What known_score over the threshold counts against a label's probability."""
SEVERAL_SHARE = 0.2
"""Part of a file that an action must hold to be one of several."""


def file_runs(
    readings: Iterable[Reading], zero_seconds: float, spacing_seconds: float, threshold: float
) -> tuple[Run, ...]:
    """The runs of one label that explain the readings best, in seconds after the zero.

    Args:
        readings: of one stream, in the order in which they were made.
        zero_seconds: the time of the stream's first frame.
        spacing_seconds: between the looks of a window.
        threshold: known_score from which a label is known.
    """
    timed = _standing(readings, zero_seconds, spacing_seconds)
    if not timed:
        return ()
    probabilities = np.array([one.probabilities for _, one in timed], np.float64)
    known = np.array([one.known_score for _, one in timed]) - threshold
    path = _best_path(_support(probabilities, known))
    return tuple(_runs(path, [middle for middle, _ in timed], probabilities))


def _standing(
    readings: Iterable[Reading], zero_seconds: float, spacing_seconds: float
) -> list[tuple[float, Reading]]:
    """Answers with the middle of their window, rising. Where time ran backwards the newer
    timeline replaces what it overlaps."""
    kept: list[tuple[float, Reading]] = []
    for reading in readings:
        if reading.probabilities is None:
            continue
        while kept and kept[-1][1].time_seconds > reading.time_seconds:
            kept.pop()
        length = (min(reading.looks_seen, WINDOW) - 1) * spacing_seconds
        middle = max(reading.time_seconds - zero_seconds - length / 2, 0.0)
        if not kept or middle > kept[-1][0]:
            kept.append((middle, reading))
    return kept


def _support(probabilities: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
    """What speaks for each label, and last for none of them, at each reading: [T, K + 1]."""
    labels = probabilities - probabilities.max(axis=1, keepdims=True)
    labels += KNOWN_WEIGHT * known[:, None]
    return np.concatenate([labels, np.zeros((len(labels), 1))], axis=1)


def _best_path(support: NDArray[np.float64]) -> list[int]:
    """The states with the largest sum of support less `SWITCH_COST` a change (Viterbi 1967)."""
    total, came_from = support[0], []
    for row in support[1:]:
        best = int(total.argmax())
        change = total[best] - SWITCH_COST
        stays = total >= change
        came_from.append(np.where(stays, np.arange(len(total)), best))
        total = np.where(stays, total, change) + row
    path = [int(total.argmax())]
    for origin in reversed(came_from):
        path.append(int(origin[path[-1]]))
    return path[::-1]


def _runs(
    path: Sequence[int], middles: Sequence[float], probabilities: NDArray[np.float64]
) -> Iterable[Run]:
    """A run changes half-way between the middles of its last and the next one's first reading."""
    changes = [i for i in range(1, len(path)) if path[i] != path[i - 1]]
    for first, end in zip([0, *changes], [*changes, len(path)], strict=True):
        start = (middles[first - 1] + middles[first]) / 2 if first else 0.0
        label = path[first] if path[first] < probabilities.shape[1] else None
        confidence = 0.0 if label is None else float(probabilities[first:end, label].sum())
        yield Run(start, label, confidence, end - first)


def holds_several(segments: Iterable[Segment], duration_seconds: float) -> bool:
    """Whether two or more known actions each hold a good part of the time."""
    held: dict[str, float] = {}
    for segment in segments:
        if segment.label is not None:
            length = segment.end_seconds - segment.start_seconds
            held[segment.label] = held.get(segment.label, 0.0) + length
    return sum(length >= SEVERAL_SHARE * duration_seconds for length in held.values()) >= 2

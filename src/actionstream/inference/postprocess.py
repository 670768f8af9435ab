"""From the head's numbers to words: calibration, "no known action", smoothing, segments.

Pure functions of numbers and times; nothing here remembers anything. A stream is told reading by
reading (`smooth`, `extend`), a file from all of them at once and without a camera's delay
(`file_runs`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actionstream.inference.sampling import WINDOW
from actionstream.results import Probabilities, Reading, Segment

TIME_TOLERANCE_SECONDS = 1e-6
"""A hold of 0.4 s must not fail because 0.6 - 0.2 is 0.39999999999999997."""

_TINY = 1e-12
SWITCH_COST = 4.0
"""Readings that a new label must win by its full probability before it pays to change."""
KNOWN_WEIGHT = 1.0
"""What known_score over the threshold counts against a label's probability."""
SEVERAL_SHARE = 0.2
"""Part of a file that an action must hold to be one of several."""


@dataclass(frozen=True, slots=True)
class SmoothingRule:
    """The card's numbers for what is shown.

    threshold:          smoothed known_score from which a candidate has a label.
    smooth_tau_seconds: time constant of the exponential averages.
    hold_seconds:       how long the candidate must differ from what is shown.
    switch_margin:      by how much its probability must lead (not to or from None).
    """

    threshold: float
    smooth_tau_seconds: float
    hold_seconds: float
    switch_margin: float


def calibrate(logits: NDArray[np.float32], temperature: float) -> Probabilities:
    """softmax(logits / temperature) over the last axis. [..., K] to float32 [..., K].

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 9.
    """
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    weights = np.exp(scaled)
    shares: Probabilities = (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)
    return shares


def calibrate_clip(mean_probabilities: NDArray[np.floating], temperature: float) -> Probabilities:
    """The clip's probabilities: the log of the mean over readings [K], tempered, renormalised."""
    logs = np.log(np.maximum(mean_probabilities.astype(np.float64), _TINY))
    return calibrate(logs.astype(np.float32), temperature)


@dataclass(frozen=True, slots=True, eq=False)
class Smoothed:
    """The smoothed state of a stream after its newest reading.

    probabilities: exponential average, float64 [K].   known_score: likewise, 0..1.
    shown:         index of the label shown, None for "no known action".
    differs_since: since when the candidate differs from what is shown; None if it does not.
    """

    time_seconds: float
    probabilities: NDArray[np.float64]
    known_score: float
    shown: int | None
    differs_since: float | None = None


def _candidate(
    probabilities: NDArray[np.float64], known_score: float, threshold: float
) -> int | None:
    return int(probabilities.argmax()) if known_score >= threshold else None


def smooth(
    state: Smoothed | None,
    time_seconds: float,
    probabilities: Probabilities,
    known_score: float,
    rule: SmoothingRule,
) -> Smoothed:
    """The smoothed state after one more reading; `state` None for the first.

    Weight of the new reading: 1 - exp(-dt / tau). The candidate is the best label if the smoothed
    known_score reaches the threshold, else None. The first candidate shows at once. Later the
    shown label changes to the candidate of that moment when the candidate has differed from it
    for `hold_seconds` without a break and leads by `switch_margin`.
    """
    if state is None:
        average = probabilities.astype(np.float64)
        first = _candidate(average, known_score, rule.threshold)
        return Smoothed(time_seconds, average, known_score, first)
    weight = -math.expm1(-(time_seconds - state.time_seconds) / rule.smooth_tau_seconds)
    average = state.probabilities + weight * (probabilities - state.probabilities)
    score = state.known_score + weight * (known_score - state.known_score)
    candidate, shown = _candidate(average, score, rule.threshold), state.shown
    if candidate == shown:
        return Smoothed(time_seconds, average, score, shown)
    since = time_seconds if state.differs_since is None else state.differs_since
    held = time_seconds - since >= rule.hold_seconds - TIME_TOLERANCE_SECONDS
    leads = (
        candidate is None
        or shown is None
        or (average[candidate] - average[shown] >= rule.switch_margin)
    )
    if held and leads:
        return Smoothed(time_seconds, average, score, candidate)
    return Smoothed(time_seconds, average, score, shown, since)


@dataclass(frozen=True, slots=True)
class Shown:
    """What was shown at one reading: the label's index (None: no known action) and its p."""

    time_seconds: float
    label: int | None
    confidence: float


@dataclass(frozen=True, slots=True)
class Run:
    """A growing segment: readings in a row that show the same label."""

    start_seconds: float
    label: int | None
    confidence_sum: float
    count: int


def extend(runs: tuple[Run, ...], shown: Shown) -> tuple[Run, ...]:
    """The runs with one more reading: the last one grows or a new one starts.

    When time ran backwards the newer timeline replaces what it overlaps; one that begins before
    the zero replaces everything, and counts from the zero.
    """
    start = max(shown.time_seconds, 0.0)
    while runs and runs[-1].start_seconds >= start:
        runs = runs[:-1]
    if runs and runs[-1].label == shown.label:
        *before, last = runs
        total = last.confidence_sum + shown.confidence
        return (*before, Run(last.start_seconds, last.label, total, last.count + 1))
    return (*runs, Run(start if runs else 0.0, shown.label, shown.confidence, 1))


def segments(
    runs: Iterable[Run], labels: tuple[str, ...], duration_seconds: float
) -> tuple[Segment, ...]:
    """The runs as segments that tile [0, duration_seconds]: each ends where the next starts.

    A run that starts at the very end lasts for no time and is left out, unless it is the only one
    (a single frame whose length nobody knows).
    """
    listed = [
        run for index, run in enumerate(runs) if index == 0 or run.start_seconds < duration_seconds
    ]
    ends = [*(run.start_seconds for run in listed[1:]), duration_seconds][: len(listed)]
    return tuple(
        Segment(
            run.start_seconds,
            end,
            None if run.label is None else labels[run.label],
            None if run.label is None else run.confidence_sum / run.count,
        )
        for run, end in zip(listed, ends, strict=True)
    )


def file_runs(
    readings: Iterable[Reading], zero_seconds: float, spacing_seconds: float, threshold: float
) -> tuple[Run, ...]:
    """The runs of one label that explain a file's readings best, in seconds after the zero.

    A reading is about its whole window, so it speaks for the window's middle, not for its end. Over
    the readings in order of their middles the best path of labels is found (Viterbi): what speaks
    for a label is its probability and that known_score is over the threshold, and every change of
    label costs `SWITCH_COST`. With one label in the whole file this is the rule for the file's
    answer: the largest mean probability, known if the mean known_score reaches the threshold.

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

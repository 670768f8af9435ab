"""From the head's numbers to words: calibration, "no known action", smoothing, segments.

Pure functions of numbers and times; nothing here remembers anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actionstream.results import Probabilities, Segment

TIME_TOLERANCE_SECONDS = 1e-6
"""A hold of 0.4 s must not fail because 0.6 - 0.2 is 0.39999999999999997."""

_TINY = 1e-12


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

"""From numbers to words: calibration, smoothing and segments, worked by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actionstream.inference.postprocess import (
    Run,
    Shown,
    Smoothed,
    SmoothingRule,
    calibrate,
    calibrate_clip,
    extend,
    segments,
    smooth,
)
from actionstream.results import Segment

LABELS = ("PullUps", "PushUps", "Punch")
# With tau = 1 / ln 2 a reading one second after the last weighs exactly one half.
HALF = SmoothingRule(
    threshold=0.5, smooth_tau_seconds=1 / math.log(2), hold_seconds=0.4, switch_margin=0.1
)
# So quick that the average is the newest reading, to 1e-8 and better.
QUICK = SmoothingRule(threshold=0.5, smooth_tau_seconds=0.01, hold_seconds=0.4, switch_margin=0.1)


def row(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_calibration_by_hand() -> None:
    """Logits 0, ln 2, ln 4 are odds of 1 : 2 : 4; at temperature 2 of 1 : sqrt 2 : 2."""
    logits = np.log(row(1, 2, 4))
    np.testing.assert_allclose(calibrate(logits, 1.0), [1 / 7, 2 / 7, 4 / 7], atol=1e-7)
    total = 3 + math.sqrt(2)
    np.testing.assert_allclose(
        calibrate(logits, 2.0), [1 / total, math.sqrt(2) / total, 2 / total], atol=1e-7
    )


def test_calibration_takes_any_leading_axes_and_huge_logits() -> None:
    logits = np.array([[[1e4, 0.0], [-1e4, 0.0]]], dtype=np.float32)
    found = calibrate(logits, 0.5)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[[1, 0], [0, 1]]])


@given(
    logits=st.lists(st.floats(-50, 50, width=32), min_size=2, max_size=8),
    temperature=st.floats(0.1, 10),
)
def test_law_calibration_keeps_the_order(logits: list[float], temperature: float) -> None:
    found = calibrate(row(*logits), temperature)
    assert found.sum() == pytest.approx(1, abs=1e-5)
    order = np.argsort(logits, kind="stable")
    assert (np.diff(found[order]) >= 0).all()


def test_a_clip_at_temperature_one_is_its_mean() -> None:
    mean = np.array([0.7, 0.2, 0.1])
    np.testing.assert_allclose(calibrate_clip(mean, 1.0), mean, atol=1e-6)


def test_a_clip_at_temperature_a_half_is_squared() -> None:
    """0.49 : 0.04 : 0.01 over their sum 0.54."""
    found = calibrate_clip(np.array([0.7, 0.2, 0.1]), 0.5)
    np.testing.assert_allclose(found, np.array([0.49, 0.04, 0.01]) / 0.54, atol=1e-6)


def test_a_clip_that_rules_a_label_out_stays_finite() -> None:
    found = calibrate_clip(np.array([1.0, 0.0, 0.0]), 2.0)
    assert np.isfinite(found).all()
    assert found[0] > 0.99999


def play(
    readings: Sequence[tuple[float, np.ndarray, float]], rule: SmoothingRule
) -> list[Smoothed]:
    """All states of a stream with these (time, probabilities, known_score)."""
    states: list[Smoothed] = []
    for time, probabilities, score in readings:
        states.append(smooth(states[-1] if states else None, time, probabilities, score, rule))
    return states


def shown(readings: Sequence[tuple[float, np.ndarray, float]], rule: SmoothingRule) -> list:
    return [state.shown for state in play(readings, rule)]


def test_averages_by_hand() -> None:
    first, second, third = play(
        [(3.0, row(1, 0, 0), 0.9), (4.0, row(0, 1, 0), 0.5), (6.0, row(0, 0, 1), 0.1)], HALF
    )
    np.testing.assert_allclose(first.probabilities, [1, 0, 0])
    np.testing.assert_allclose(second.probabilities, [0.5, 0.5, 0], atol=1e-12)
    # Two seconds: weight 3/4.
    np.testing.assert_allclose(third.probabilities, [0.125, 0.125, 0.75], atol=1e-12)
    assert [first.known_score, second.known_score, third.known_score] == pytest.approx(
        [0.9, 0.7, 0.25]
    )


@given(step=st.floats(0.01, 3), count=st.integers(1, 5))
def test_law_the_average_depends_on_time_not_on_the_number_of_readings(
    step: float, count: int
) -> None:
    """The same reading in one step of n seconds or in n steps of one: the same average."""
    start, then = (0.0, row(1, 0, 0), 1.0), row(0, 0.5, 0.5)
    one = play([start, (step * count, then, 0.0)], HALF)[-1]
    many = play([start, *((step * (i + 1), then, 0.0) for i in range(count))], HALF)[-1]
    np.testing.assert_allclose(one.probabilities, many.probabilities, atol=1e-9)
    assert one.known_score == pytest.approx(many.known_score, abs=1e-9)


def test_the_first_candidate_shows_at_once() -> None:
    assert shown([(0.0, row(0.2, 0.7, 0.1), 0.5)], HALF) == [1]
    assert shown([(0.0, row(0.2, 0.7, 0.1), 0.49)], HALF) == [None]


def test_another_label_shows_after_the_hold() -> None:
    """PushUps from 0.2 on; held for 0.4 s at 0.6, though 0.6 - 0.2 is 0.39999999999999997."""
    pull, push = row(0.9, 0.1, 0), row(0.1, 0.9, 0)
    readings = [(0.0, pull, 1.0), *((time, push, 1.0) for time in (0.2, 0.4, 0.6, 0.8))]
    assert shown(readings, QUICK) == [0, 0, 0, 1, 1]
    states = play(readings, QUICK)
    assert [state.differs_since for state in states] == [None, 0.2, 0.2, None, None]


def test_a_break_starts_the_hold_again() -> None:
    pull, push = row(0.9, 0.1, 0), row(0.1, 0.9, 0)
    times = [(0.0, pull), (0.2, push), (0.4, push), (0.5, pull), (0.6, push), (0.9, push)]
    times.append((1.0, push))
    assert shown([(t, p, 1.0) for t, p in times], QUICK) == [0, 0, 0, 0, 0, 0, 1]


def test_the_hold_counts_differing_not_the_same_candidate() -> None:
    """Two candidates in turn both differ from what is shown; the later of them is shown."""
    pull, push, punch = row(0.9, 0.1, 0), row(0.1, 0.9, 0), row(0, 0.1, 0.9)
    readings = [(0.0, pull, 1.0), (0.2, push, 1.0), (0.4, push, 1.0), (0.6, punch, 1.0)]
    assert shown(readings, QUICK) == [0, 0, 0, 2]


def test_a_lead_under_the_margin_does_not_switch() -> None:
    """0.50 against 0.45 leads by 0.05, less than 0.1, for ever; 0.60 against 0.35 does."""
    close, clear = row(0.45, 0.50, 0.05), row(0.35, 0.60, 0.05)
    readings = [(0.0, row(0.9, 0.1, 0), 1.0), *((float(t), close, 1.0) for t in range(1, 9))]
    assert shown(readings, QUICK) == [0] * 9
    # The hold has long passed: the margin decides at once.
    assert shown([*readings, (9.0, clear, 1.0)], QUICK)[-1] == 1


def test_the_margin_does_not_apply_to_and_from_none() -> None:
    near = row(0.34, 0.33, 0.33)
    scores = [1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
    readings = [(0.2 * index, near, score) for index, score in enumerate(scores)]
    assert shown(readings, QUICK) == [0, 0, 0, None, None, None, 0]


def test_without_a_hold_the_label_follows_at_once() -> None:
    rule = SmoothingRule(0.5, 0.01, 0.0, 0.0)
    readings = [(0.0, row(1, 0, 0), 1.0), (1.0, row(0, 1, 0), 1.0), (2.0, row(0, 0, 1), 0.0)]
    assert shown(readings, rule) == [0, 1, None]


def test_smoothing_changes_nothing_it_was_given() -> None:
    before = smooth(None, 0.0, row(1, 0, 0), 1.0, HALF)
    smooth(before, 1.0, row(0, 1, 0), 0.0, HALF)
    np.testing.assert_array_equal(before.probabilities, [1, 0, 0])


def runs_of(*readings: tuple[float, int | None, float]) -> tuple[Run, ...]:
    runs: tuple[Run, ...] = ()
    for time, label, confidence in readings:
        runs = extend(runs, Shown(time, label, confidence))
    return runs


def test_segments_by_hand() -> None:
    runs = runs_of((0.4, 1, 0.5), (0.6, 1, 0.7), (0.8, None, 0.9), (1.0, None, 0.9), (1.2, 0, 0.8))
    assert segments(runs, LABELS, 2.0) == (
        Segment(0.0, 0.8, "PushUps", pytest.approx(0.6)),
        Segment(0.8, 1.2, None, None),
        Segment(1.2, 2.0, "PullUps", pytest.approx(0.8)),
    )


def test_no_reading_no_segment() -> None:
    assert segments((), LABELS, 5.0) == ()


@given(
    labels=st.lists(st.sampled_from([0, 1, 2, None]), min_size=1, max_size=30),
    tail=st.floats(0, 3),
)
def test_law_segments_tile_the_video(labels: list[int | None], tail: float) -> None:
    times = [0.2 * (index + 1) for index in range(len(labels))]
    duration = times[-1] + tail
    found = segments(
        runs_of(*((time, label, 0.5) for time, label in zip(times, labels, strict=True))),
        LABELS,
        duration,
    )
    assert found[0].start_seconds == 0.0
    assert found[-1].end_seconds == duration
    for earlier, later in pairwise(found):
        assert earlier.end_seconds == later.start_seconds
        assert earlier.label != later.label
    # Every reading before the end lies in a segment of its label.
    for time, label in zip(times, labels, strict=True):
        if time == duration:
            continue
        (here,) = [s for s in found if s.start_seconds <= time < s.end_seconds]
        assert here.label == (None if label is None else LABELS[label])


def test_a_newer_timeline_replaces_what_it_overlaps() -> None:
    """Time ran back from 3.0 to 1.5: what was shown from 2.0 on is gone."""
    runs = runs_of((0.2, 0, 0.5), (1.0, 1, 0.5), (2.0, 2, 0.5), (3.0, 2, 0.5), (1.5, 0, 0.5))
    assert segments(runs, LABELS, 2.0) == (
        Segment(0.0, 1.0, "PullUps", 0.5),
        Segment(1.0, 1.5, "PushUps", 0.5),
        Segment(1.5, 2.0, "PullUps", 0.5),
    )


def test_a_timeline_that_begins_before_the_zero_replaces_everything() -> None:
    """Red at the zero, then time runs back to 4.4 s before it and green follows."""
    runs = runs_of((0.0, 0, 0.5), (0.4, 1, 0.5), (-4.4, 2, 0.7), (-4.2, 2, 0.9))
    assert segments(runs, LABELS, 2.0) == (Segment(0.0, 2.0, "Punch", pytest.approx(0.9)),)


def test_what_starts_at_the_very_end_lasts_for_no_time() -> None:
    assert segments(runs_of((0.0, 0, 0.5), (5.0, 1, 0.5)), LABELS, 5.0) == (
        Segment(0.0, 5.0, "PullUps", 0.5),
    )
    assert segments(runs_of((0.0, 0, 0.5)), LABELS, 0.0) == (Segment(0.0, 0.0, "PullUps", 0.5),)


TIMES = st.one_of(st.sampled_from([-1.0, 0.0, 0.2, 0.4, 3.0]), st.floats(-50, 50))


@given(
    readings=st.lists(st.tuples(TIMES, st.sampled_from([0, 1, 2, None])), min_size=1, max_size=30),
    tail=st.floats(0, 3),
)
def test_law_segments_tile_whatever_the_times_do(
    readings: list[tuple[float, int | None]], tail: float
) -> None:
    duration = max(0.0, *(time for time, _ in readings)) + tail
    found = segments(runs_of(*((*reading, 0.5) for reading in readings)), LABELS, duration)
    assert (found[0].start_seconds, found[-1].end_seconds) == (0.0, duration)
    assert all(s.start_seconds < s.end_seconds for s in found) or duration == 0.0
    for earlier, later in pairwise(found):
        assert earlier.end_seconds == later.start_seconds
        assert earlier.label != later.label
    time, newest = readings[-1]
    if max(time, 0.0) < duration:  # the newest timeline is the one that stands
        here = [s for s in found if s.start_seconds <= max(time, 0.0) < s.end_seconds]
        assert [s.label for s in here] == [None if newest is None else LABELS[newest]]

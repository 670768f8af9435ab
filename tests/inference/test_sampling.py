"""The sampling rule by worked examples, and its laws."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actionstream.inference.sampling import (
    TOLERANCE_SECONDS,
    WINDOW,
    Clock,
    SamplingRule,
    fill,
    step,
)

RULE = SamplingRule(spacing_seconds=0.2, reset_after_seconds=2.0)


def looks(times: list[float], rule: SamplingRule = RULE) -> list[tuple[float, int]]:
    """(time, ticks filled) of every look when these times are streamed."""
    clock, found = Clock(), []
    for time in times:
        clock, moment = step(clock, time, rule)
        if moment in ("due", "reset"):
            clock, filled = fill(clock, time, rule)
            found.append((time, filled))
    return found


def due_times(times: list[float]) -> list[int]:
    """Indices of the frames that are looked at."""
    clock, chosen = Clock(), []
    for index, time in enumerate(times):
        clock, moment = step(clock, time, RULE)
        if moment in ("due", "reset"):
            clock, _ = fill(clock, time, RULE)
            chosen.append(index)
    return chosen


def looked_at(*times: float) -> Clock:
    """The clock after looks at these times."""
    clock = Clock()
    for time in times:
        clock, _ = fill(step(clock, time, RULE)[0], time, RULE)
    return clock


def at_rate(rate: float, count: int, start: float = 0.0) -> list[float]:
    return [start + index / rate for index in range(count)]


@pytest.mark.parametrize("start", [0.0, 12.345, -3.0, 1_700_000_000.0])
def test_25_frames_a_second_every_fifth_is_looked_at(start: float) -> None:
    times = at_rate(25, 26, start)
    assert looks(times) == [(times[index], 1) for index in (0, 5, 10, 15, 20, 25)]


def test_7_frames_a_second() -> None:
    """Frames at 0, .143, .286, .429, .571, .714, .857, 1; ticks at 0, .2, .4, .6, .8, 1."""
    assert due_times(at_rate(7, 8)) == [0, 2, 3, 5, 6, 7]


def test_one_frame_a_second_fills_five_ticks_a_look() -> None:
    assert looks([0.0, 1.0, 2.0]) == [(0.0, 1), (1.0, 5), (2.0, 5)]


def test_every_frame_is_looked_at_when_the_rate_is_that_of_the_ticks() -> None:
    assert due_times(at_rate(5, 40)) == list(range(40))


def test_times_rounded_to_a_millisecond_still_count() -> None:
    """30 a second in a Matroska file: 0, 33, 67, 100, ... ms; the sixth is at 0.2 exactly."""
    rounded = [round(time, 3) for time in at_rate(30, 31)]
    assert due_times(rounded) == [0, 6, 12, 18, 24, 30]
    assert due_times([0.0, 0.1995]) == [0, 1]
    assert due_times([0.0, 0.1985]) == [0]


def test_variable_frame_rate() -> None:
    times = [0.0, 0.05, 0.19, 0.21, 0.39, 0.55, 0.61, 0.62, 1.05, 1.06, 1.2]
    assert looks(times) == [
        (0.0, 1),
        (0.21, 1),
        (0.55, 1),  # reached tick 2 at 0.4, not yet tick 3 at 0.6
        (0.61, 1),
        (1.05, 2),  # ticks 4 and 5
        (1.2, 1),
    ]


def test_the_picture_in_the_docstring() -> None:
    """x . . x . x . . x, a hole, then x . x x as drawn: ticks 4 to 6 are filled by one look."""
    times = [index * 0.08 for index in (*range(9), 16, 17, 18, 20)]
    assert looks(times) == [
        (0.0, 1),
        (pytest.approx(0.24), 1),
        (pytest.approx(0.40), 1),
        (pytest.approx(0.64), 1),
        (pytest.approx(1.28), 3),
        (pytest.approx(1.44), 1),
        (pytest.approx(1.60), 1),
    ]


def test_a_hole_is_filled_by_the_look_after_it() -> None:
    assert looks([0.0, 0.2, 1.3, 1.4]) == [(0.0, 1), (0.2, 1), (1.3, 5), (1.4, 1)]


def test_a_dropped_look_is_a_missed_tick() -> None:
    """A worker was busy at 0.2 and 0.24: the frame at 0.28 is still due and fills tick 1."""
    clock = looked_at(0.0)
    for time in (0.2, 0.24, 0.28):
        clock, moment = step(clock, time, RULE)
        assert moment == "due"
    clock, filled = fill(clock, 0.28, RULE)
    assert (filled, clock.next_tick, clock.last_look_seconds) == (1, 2, 0.28)


def test_a_late_look_fills_all_that_it_has_passed() -> None:
    clock, filled = fill(step(looked_at(10.0), 10.9, RULE)[0], 10.9, RULE)
    assert (filled, clock.next_tick) == (4, 5)


def test_a_repeated_time_is_ignored() -> None:
    assert due_times([0.0, 0.0, 0.2, 0.2, 0.2, 0.4]) == [0, 2, 5]
    clock, _ = step(Clock(), 5.0, RULE)
    assert step(clock, 5.0, RULE) == (clock, "repeated")


def test_time_that_runs_backwards_resets() -> None:
    assert looks([10.0, 10.2, 10.1, 10.2, 10.3]) == [(10.0, 1), (10.2, 1), (10.1, 1), (10.3, 1)]


@pytest.mark.parametrize(
    ("gap", "moment"),
    [(2.0, "due"), (2.0 + TOLERANCE_SECONDS, "due"), (2.00101, "reset"), (2.01, "reset")],
)
def test_a_gap_over_the_limit_resets(gap: float, moment: str) -> None:
    """Exactly at the limit it does not; from zero the sum and the difference are exact."""
    assert step(looked_at(0.0), gap, RULE)[1] == moment


def test_a_reset_counts_the_stretches() -> None:
    clock = looked_at(5.0, 5.2, 3.0)
    assert clock == Clock(3.0, 1, 3.0, 3.0, stretch=1)
    assert looked_at(5.0, 5.2, 3.0, 99.0).stretch == 2


def test_after_a_gap_the_ticks_count_from_the_new_start() -> None:
    assert looks([0.0, 0.2, 2.75, 2.85, 2.95]) == [(0.0, 1), (0.2, 1), (2.75, 1), (2.95, 1)]


def test_the_first_frame_is_due() -> None:
    clock, moment = step(Clock(), 3.0, RULE)
    assert moment == "due"
    assert fill(clock, 3.0, RULE) == (Clock(3.0, 1, 3.0, 3.0), 1)


def test_a_look_needs_a_frame() -> None:
    with pytest.raises(ValueError, match="no frame"):
        fill(Clock(), 0.0, RULE)


@pytest.mark.parametrize("spacing", [0.0, -0.1, math.nan, math.inf])
def test_a_spacing_that_is_none_is_refused(spacing: float) -> None:
    with pytest.raises(ValueError, match="spacing_seconds must be above 0"):
        SamplingRule(spacing, 1.0)


@pytest.mark.parametrize("longest", [0.0, -1.0, math.nan, 3.01])
def test_a_reset_gap_longer_than_the_ring_is_refused(longest: float) -> None:
    with pytest.raises(ValueError, match="at most 15 spacings \\(3\\), got"):
        SamplingRule(0.2, longest)
    assert SamplingRule(0.2, 15 * 0.2).reset_after_seconds <= (WINDOW - 1) * 0.2 + 1e-9


def growing_times(longest_step: float) -> st.SearchStrategy[list[float]]:
    """Times in multiples of a millisecond with steps up to `longest_step` seconds."""
    steps = st.integers(1, round(longest_step * 1000))
    return st.lists(steps, min_size=1, max_size=80).map(
        lambda values: [sum(values[: index + 1]) / 1000 for index in range(len(values))]
    )


@given(times=growing_times(4.0), data=st.data())
def test_law_dropping_frames_that_are_not_due_changes_nothing(
    times: list[float], data: st.DataObject
) -> None:
    due = set(due_times(times))
    kept = [
        time for index, time in enumerate(times) if index in due or data.draw(st.booleans(), "keep")
    ]
    assert looks(kept) == looks(times)


@given(times=growing_times(0.6))
@example(times=[0.145, 0.344])  # "due" and "filled" rounded differently once
def test_law_each_tick_is_filled_once_and_in_time(times: list[float]) -> None:
    """Without gaps the ticks filled are those that the last look has passed, all of them."""
    found = looks(times)
    passed = math.floor((found[-1][0] - times[0] + 0.001) / 0.2) + 1
    assert sum(filled for _, filled in found) == passed
    assert all(filled >= 1 for _, filled in found)
    assert len(found) <= (times[-1] - times[0] + 0.001) / 0.2 + 1


@given(counts=st.lists(st.integers(1, 256), min_size=1, max_size=60), shift=st.integers(-999, 999))
def test_law_only_differences_of_time_count(counts: list[int], shift: int) -> None:
    """Multiples of 1/64 s with a spacing of 1/4: sums and shifts by seconds are exact."""
    rule = SamplingRule(0.25, 2.0)
    times = [sum(counts[: index + 1]) / 64 for index in range(len(counts))]
    found = looks([time + shift for time in times], rule)
    assert found == [(time + shift, filled) for time, filled in looks(times, rule)]

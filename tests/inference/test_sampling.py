"""The sampling rule by worked examples, and its laws."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actionstream.inference.sampling import WINDOW, Clock, SamplingRule, due_times, fill, judge, see

RULE = SamplingRule(spacing_seconds=0.2, reset_after_seconds=2.0)


def looks(times: list[float], rule: SamplingRule = RULE) -> list[tuple[float, int]]:
    """(time, ticks filled) of every look when these times are streamed."""
    clock, found = Clock(), []
    for time in times:
        moment = judge(clock, time, rule)
        if moment == "repeated":
            continue
        clock = see(Clock() if moment == "afresh" else clock, time)
        if moment != "not_due":
            clock, filled = fill(clock, time, rule)
            found.append((time, filled))
    return found


def at_rate(rate: float, count: int, start: float = 0.0) -> list[float]:
    return [start + index / rate for index in range(count)]


@pytest.mark.parametrize("start", [0.0, 12.345, -3.0, 1_700_000_000.0])
def test_25_frames_a_second_every_fifth_is_looked_at(start: float) -> None:
    times = at_rate(25, 26, start)
    assert looks(times) == [(times[index], 1) for index in (0, 5, 10, 15, 20, 25)]


def test_7_frames_a_second() -> None:
    """Frames at 0, .143, .286, .429, .571, .714, .857, 1; ticks at 0, .2, .4, .6, .8, 1."""
    assert due_times(at_rate(7, 8), RULE) == [0, 2, 3, 5, 6, 7]


def test_one_frame_a_second_fills_five_ticks_a_look() -> None:
    assert looks([0.0, 1.0, 2.0]) == [(0.0, 1), (1.0, 5), (2.0, 5)]


def test_every_frame_is_looked_at_when_the_rate_is_that_of_the_ticks() -> None:
    assert due_times(at_rate(5, 40), RULE) == list(range(40))


def test_times_rounded_to_a_millisecond_still_count() -> None:
    """30 a second in a Matroska file: 0, 33, 67, 100, ... ms; the sixth is at 0.2 exactly."""
    rounded = [round(time, 3) for time in at_rate(30, 31)]
    assert due_times(rounded, RULE) == [0, 6, 12, 18, 24, 30]
    assert due_times([0.0, 0.1995], RULE) == [0, 1]
    assert due_times([0.0, 0.1985], RULE) == [0]


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
    clock, _ = fill(see(Clock(), 0.0), 0.0, RULE)
    for time in (0.2, 0.24):
        assert judge(clock, time, RULE) == "due"
        clock = see(clock, time)
    assert judge(clock, 0.28, RULE) == "due"
    clock, filled = fill(see(clock, 0.28), 0.28, RULE)
    assert (filled, clock.next_tick, clock.last_look_seconds) == (1, 2, 0.28)


def test_a_late_look_fills_all_that_it_has_passed() -> None:
    clock, _ = fill(see(Clock(), 10.0), 10.0, RULE)
    clock, filled = fill(see(clock, 10.9), 10.9, RULE)
    assert (filled, clock.next_tick) == (4, 5)


def test_a_repeated_time_is_ignored() -> None:
    assert due_times([0.0, 0.0, 0.2, 0.2, 0.2, 0.4], RULE) == [0, 2, 5]
    clock = see(Clock(), 5.0)
    assert judge(clock, 5.0, RULE) == "repeated"


def test_time_that_runs_backwards_starts_afresh() -> None:
    assert looks([10.0, 10.2, 10.1, 10.2, 10.3]) == [(10.0, 1), (10.2, 1), (10.1, 1), (10.3, 1)]


@pytest.mark.parametrize(("gap", "moment"), [(2.0, "due"), (2.0005, "due"), (2.01, "afresh")])
def test_a_gap_starts_afresh(gap: float, moment: str) -> None:
    clock, _ = fill(see(Clock(), 1.0), 1.0, RULE)
    assert judge(clock, 1.0 + gap, RULE) == moment


def test_after_a_gap_the_ticks_count_from_the_new_start() -> None:
    assert looks([0.0, 0.2, 2.75, 2.85, 2.95]) == [(0.0, 1), (0.2, 1), (2.75, 1), (2.95, 1)]


def test_a_fresh_clock_is_what_reset_gives() -> None:
    assert judge(Clock(), 3.0, RULE) == "due"
    clock, filled = fill(see(Clock(), 3.0), 3.0, RULE)
    assert clock == Clock(3.0, 1, 3.0, 3.0)
    assert filled == 1


def test_a_look_needs_a_frame() -> None:
    with pytest.raises(ValueError, match="no frame"):
        fill(Clock(), 0.0, RULE)


def test_another_phase() -> None:
    assert due_times(at_rate(25, 16), RULE, offset_seconds=0.1) == [3, 8, 13]
    assert due_times(at_rate(25, 16), RULE, offset_seconds=99.0) == []
    assert due_times([], RULE) == []


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
    due = set(due_times(times, RULE))
    kept = [
        time for index, time in enumerate(times) if index in due or data.draw(st.booleans(), "keep")
    ]
    assert looks(kept) == looks(times)


@given(times=growing_times(0.6))
def test_law_each_tick_is_filled_once_and_in_time(times: list[float]) -> None:
    """Without gaps the ticks filled are those that the last look has passed, all of them."""
    found = looks(times)
    passed = math.floor((found[-1][0] - times[0] + 0.001) / 0.2) + 1
    assert sum(filled for _, filled in found) == passed
    assert all(filled >= 1 for _, filled in found)
    assert len(found) <= (times[-1] - times[0] + 0.001) / 0.2 + 1


@given(times=st.lists(st.integers(0, 9000).map(lambda count: count / 1000), max_size=60))
def test_law_a_file_is_looked_at_like_a_stream(times: list[float]) -> None:
    """`due_times` and a stream fed one frame after another agree, whatever the times do."""
    assert [times[index] for index in due_times(times, RULE)] == [time for time, _ in looks(times)]


@given(counts=st.lists(st.integers(1, 256), min_size=1, max_size=60), shift=st.integers(-999, 999))
def test_law_only_differences_of_time_count(counts: list[int], shift: int) -> None:
    """Multiples of 1/64 s with a spacing of 1/4: sums and shifts by seconds are exact."""
    rule = SamplingRule(0.25, 2.0)
    times = [sum(counts[: index + 1]) / 64 for index in range(len(counts))]
    found = looks([time + shift for time in times], rule)
    assert found == [(time + shift, filled) for time, filled in looks(times, rule)]

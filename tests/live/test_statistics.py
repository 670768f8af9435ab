"""Rates over the last seconds: steady for a steady stream, falling when it stalls, bounded."""

from __future__ import annotations

import pytest

from actionstream.live.history import MOST_ARRIVALS, RATE_SECONDS, Meter, Rate
from actionstream.results import Reading


def reading(age_seconds: float) -> Reading:
    return Reading("ready", 0.0, 16, ("A",), age_seconds=age_seconds)


def counted(times: list[float]) -> Rate:
    rate = Rate()
    for moment in times:
        rate.count(moment)
    return rate


@pytest.mark.parametrize("per_second", [1.0, 15.0, 29.97, 120.0])
def test_a_steady_rate_is_told_whenever_it_is_asked(per_second: float) -> None:
    rate = counted([i / per_second for i in range(round(20 * per_second))])
    for wait in (0.0, 0.5 / per_second, 0.99 / per_second):
        now = rate.times[-1] + wait
        assert rate.per_second(now) == pytest.approx(per_second, rel=0.01)


def test_a_stall_lowers_the_rate_to_nothing() -> None:
    rate = counted([i / 10 for i in range(100)])
    told = [rate.per_second(9.9 + wait) for wait in (0.1, 1.0, 3.0, RATE_SECONDS + 0.1)]
    assert told == sorted(told, reverse=True)
    assert told[0] == pytest.approx(10.0, rel=0.05)
    assert told[-1] == 0.0


def test_one_event_is_no_rate() -> None:
    assert Rate().per_second(1.0) == 0.0
    assert counted([1.0]).per_second(1.0) == 0.0
    assert counted([1.0, 1.0]).per_second(1.0) == 0.0


def test_memory_is_bounded_at_any_pace() -> None:
    rate = counted([i / 100_000 for i in range(5 * MOST_ARRIVALS)])
    assert len(rate.times) == MOST_ARRIVALS
    assert rate.per_second(rate.times[-1]) == pytest.approx(100_000, rel=0.01)


def test_the_whole_session_is_told_after_the_camera_stopped() -> None:
    meter, began = Meter(), 500.0
    for i in range(2001):  # 80 s at 25 a second, and nothing since
        meter.frame(began + i / 25)
        if i % 5 == 0 and i > 0:
            meter.reading(began + i / 25, reading(0.02 if i <= 1000 else 0.04))
    told = meter.statistics(began + 100)
    assert (told.frames_per_second, told.readings_per_second) == (0.0, 0.0)
    assert told.seconds == pytest.approx(80)
    assert told.mean_frames_per_second == pytest.approx(25)
    assert told.mean_readings_per_second == pytest.approx(5)
    assert told.age_mean_seconds == pytest.approx(0.03)


def test_a_session_without_a_span_has_no_rates() -> None:
    meter = Meter()
    for told in (meter.statistics(5.0), (meter.frame(5.0), meter.statistics(5.0))[1]):
        assert (told.seconds, told.age_mean_seconds) == (0.0, 0.0)
        assert (told.mean_frames_per_second, told.mean_readings_per_second) == (0.0, 0.0)

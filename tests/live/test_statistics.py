"""Rates over the last seconds: steady for a steady stream, falling when it stalls, bounded."""

from __future__ import annotations

import pytest

from actionstream.live.statistics import MOST_ARRIVALS, RATE_SECONDS, Rate


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

"""Laws of taking turns: one works at a time, all get on alike, who gives up leaves at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from streams import PATIENCE_SECONDS, eventually

from actionstream.app.turns import Turn, Turns


def work(turns: Turns, name: str, steps: int, log: list[str], busy: list[str]) -> threading.Thread:
    """A thread that takes steps of a millisecond and writes each down."""

    def run() -> None:
        with turns.taking(lambda: False) as turn:
            for _ in range(steps):
                busy.append(name)
                time.sleep(0.001)
                assert busy == [name], "two work at the same time"
                busy.clear()
                log.append(name)
                turn.pass_on()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def runs(log: list[str]) -> Iterator[tuple[str, int]]:
    """Who worked how many steps on end."""
    start = 0
    for index in range(1, len(log) + 1):
        if index == len(log) or log[index] != log[start]:
            yield log[start], index - start
            start = index


def test_one_works_at_a_time_and_all_in_turn() -> None:
    turns, log, busy = Turns(0.01), list[str](), list[str]()
    with turns.taking(lambda: False):  # until all have come
        threads = []
        for number, name in enumerate("abc", start=1):
            threads.append(work(turns, name, 100, log, busy))
            eventually(lambda wanted=number: len(turns._order) == wanted + 1)
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert sorted(log) == sorted("abc" * 100)
    stretches = list(runs(log))
    assert [name for name, _ in stretches[:6]] == list("abcabc")
    assert max(length for _, length in stretches[:6]) <= 11  # of a millisecond or more


def test_alone_there_is_nothing_to_wait_for() -> None:
    with Turns(0.0).taking(lambda: False) as turn:
        for _ in range(1000):
            turn.pass_on()
        assert turn.waited_seconds < 0.05


def test_who_comes_late_works_after_one_slice() -> None:
    turns, log, busy = Turns(0.02), list[str](), list[str]()
    long = work(turns, "long", 500, log, busy)
    eventually(lambda: len(log) >= 5)
    before = len(log)
    work(turns, "short", 5, log, busy).join(PATIENCE_SECONDS)
    assert log[before:].index("short") <= 25
    assert log.count("long") < 500
    long.join(PATIENCE_SECONDS)
    assert log.count("long") == 500


def test_who_gives_up_leaves_without_a_turn() -> None:
    turns, unwanted = Turns(0.0), threading.Event()
    left: list[Turn] = []

    def wait_in_vain() -> None:
        with turns.taking(unwanted.is_set) as turn:
            left.append(turn)

    with turns.taking(lambda: False) as mine:
        thread = threading.Thread(target=wait_in_vain)
        thread.start()
        eventually(lambda: len(turns._order) == 2)
        assert left == []
        unwanted.set()
        thread.join(PATIENCE_SECONDS)
        assert len(left) == 1
        assert left[0].waited_seconds > 0
        mine.pass_on()  # nobody is there any more
    assert len(turns._order) == 0


def test_an_error_gives_the_turn_back() -> None:
    turns = Turns(0.0)
    with pytest.raises(KeyError), turns.taking(lambda: False):
        raise KeyError
    with turns.taking(lambda: False) as turn:
        assert turn.waited_seconds < 0.05

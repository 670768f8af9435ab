"""The mailbox in which the newest wins."""

from __future__ import annotations

import threading

import pytest

from actionstream.concurrency import Latest


def test_a_newer_value_replaces_one_that_was_not_taken() -> None:
    box: Latest[int] = Latest()
    assert [box.put(1), box.put(2)] == [False, True]
    assert box.take(0.0) == 2
    assert box.take(0.0) is None
    assert box.put(3) is False
    box.clear()
    assert box.take(0.0) is None


def test_who_waits_is_woken_by_a_value() -> None:
    box: Latest[str] = Latest()
    taken: list[str | None] = []
    waiting = threading.Thread(target=lambda: taken.append(box.take(20.0)))
    waiting.start()
    box.put("news")
    waiting.join(20.0)
    assert taken == ["news"]


@pytest.mark.parametrize("error", [None, KeyError("gone")])
def test_who_waits_is_woken_by_the_end(error: Exception | None) -> None:
    box: Latest[int] = Latest()
    ends: list[object] = []

    def wait() -> None:
        try:
            ends.append(box.take(20.0))
        except KeyError as raised:
            ends.append(raised)

    waiting = threading.Thread(target=wait)
    waiting.start()
    box.close(error)
    waiting.join(20.0)
    assert ends == [error]
    wait()
    assert ends == [error, error], "later ones, too"


def test_nothing_enters_a_closed_mailbox() -> None:
    with Latest[int]() as box:
        box.put(1)
    assert box.closed
    assert box.put(2) is False
    assert box.take(0.0) is None

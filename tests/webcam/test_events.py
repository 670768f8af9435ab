"""From readings to events, and from events to files and commands."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from streams import eventually
from tiny import RED, plain, tiny_model

from actionstream.results import Reading
from actionstream.webcam.events import (
    MOST_WAITING,
    ActionEvent,
    Announcer,
    EventFinder,
    EventLog,
)

LABELS = ("Run", "Jump")


def shown(
    seconds: float, label: str | None, confidence: float = 0.5, *, looks: int | None = None
) -> Reading:
    """A reading of a stream with ten looks a second that began at 0, unless `looks` says more."""
    return Reading(
        "ready",
        seconds,
        16 + round(10 * seconds) if looks is None else looks,
        LABELS,
        np.array([confidence, 1 - confidence], np.float32),
        shown=label,
        shown_confidence=confidence,
    )


def warming(seconds: float) -> Reading:
    return Reading("warming_up", seconds, 1, LABELS)


def told(readings: list[Reading]) -> list[tuple[str, str, float, float | None]]:
    """The events of these readings and of the end, without wall time and confidence."""
    finder = EventFinder()
    events = [event for reading in readings for event in finder.push(reading)] + finder.finish()
    return [(e.kind, e.label, e.start_seconds, e.end_seconds) for e in events]


def test_an_action_begins_and_ends() -> None:
    readings = [warming(0), shown(1, None), shown(2, "Run"), shown(3, "Run"), shown(4, None)]
    assert told(readings) == [("begin", "Run", 2, None), ("end", "Run", 2, 4)]


def test_one_action_after_the_other_end_comes_first() -> None:
    assert told([shown(1, "Run"), shown(2, "Jump"), shown(3, "Jump")]) == [
        ("begin", "Run", 1, None),
        ("end", "Run", 1, 2),
        ("begin", "Jump", 2, None),
        ("end", "Jump", 2, 3),  # the stream ended
    ]


def test_a_fresh_start_ends_the_action_where_it_was_last_seen() -> None:
    assert told([shown(1, "Run"), shown(2, "Run"), warming(60), shown(61, "Run")]) == [
        ("begin", "Run", 1, None),
        ("end", "Run", 1, 2),
        ("begin", "Run", 61, None),
        ("end", "Run", 61, 61),
    ]


def test_backwards_time_ends_the_action() -> None:
    assert told([shown(5, "Run"), shown(6, "Run"), shown(1, "Run", looks=16)]) == [
        ("begin", "Run", 5, None),
        ("end", "Run", 5, 6),
        ("begin", "Run", 1, None),
        ("end", "Run", 1, 1),
    ]


def test_a_fresh_start_without_warming_up_ends_the_action_too() -> None:
    """With ready_after 1 in the model's card a stream's first look is answered."""
    readings = [shown(1, "Run", looks=5), shown(2, "Run", looks=6), shown(60, "Run", looks=1)]
    assert told(readings) == [
        ("begin", "Run", 1, None),
        ("end", "Run", 1, 2),
        ("begin", "Run", 60, None),
        ("end", "Run", 60, 60),
    ]
    again = [shown(1, "Run", looks=1), shown(60, "Run", looks=1), shown(61, "Run", looks=2)]
    assert told(again) == [
        ("begin", "Run", 1, None),
        ("end", "Run", 1, 1),
        ("begin", "Run", 60, None),
        ("end", "Run", 60, 61),
    ]


def test_a_gap_ends_the_action_of_a_model_that_answers_at_once() -> None:
    """The same with a stream: red, five seconds of nothing, red again."""
    model = tiny_model()
    card = model.card.model_copy(update={"ready_after": 1})
    stream = replace(model, bundle=replace(model.bundle, card=card)).live()
    moments = [0.0, 0.2, 0.4, 5.4, 5.6]
    readings = [stream.push(plain(RED), moment) for moment in moments]
    assert [reading.status for reading in readings] == ["ready"] * 5
    assert told(readings) == [
        ("begin", "red", 0.0, None),
        ("end", "red", 0.0, 0.4),
        ("begin", "red", 5.4, None),
        ("end", "red", 5.4, 5.6),
    ]


def test_nothing_shown_is_no_event() -> None:
    assert told([warming(0), shown(1, None), shown(2, None)]) == []


def test_confidence_and_wall_time() -> None:
    moment = datetime(2024, 5, 1, 12, 0, 3, tzinfo=UTC)
    finder = EventFinder(now=lambda: moment)
    (begin,) = finder.push(shown(1, "Run", 0.6))
    finder.push(shown(2, "Run", 0.8))
    (end,) = finder.push(shown(3, None, 0.1))
    assert begin.confidence == pytest.approx(0.6)
    assert end.confidence == pytest.approx(0.7)
    assert begin.wall_time == "2024-05-01T12:00:03.000+00:00"
    (begin,) = finder.push(replace(shown(4, "Run"), age_seconds=0.25))
    assert begin.wall_time == "2024-05-01T12:00:02.750+00:00", "when its frame arrived"


def test_the_log_is_readable_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"kind": "older"}\n', encoding="utf-8")
    event = ActionEvent("begin", "Läufer", 1.25, None, 0.5, "2024-05-01T12:00:00.000+00:00")
    with EventLog(path) as log:
        log.write(event)
        lines = path.read_text(encoding="utf-8").splitlines()  # before it is closed
    assert json.loads(lines[0]) == {"kind": "older"}
    assert json.loads(lines[1]) == {
        "kind": "begin",
        "label": "Läufer",
        "start_seconds": 1.25,
        "end_seconds": None,
        "confidence": 0.5,
        "wall_time": "2024-05-01T12:00:00.000+00:00",
    }
    assert "Läufer" in lines[1]


def test_the_announcer_tells_readings_and_events_in_order() -> None:
    heard: list[object] = []
    with Announcer(see=heard.append, tell=lambda event: heard.append(event.kind)) as announcer:
        run, none = shown(1, "Run"), shown(2, None)
        for reading in (run, none, shown(3, "Jump")):
            announcer.push(reading)
        announcer.lost()  # the camera is gone: the action is over
        eventually(lambda: heard.count("end") == 2)
    assert heard[:4] == [run, "begin", none, "end"]
    assert heard[5:] == ["begin", "end"]


def test_the_announcer_hands_errors_back_and_never_blocks() -> None:
    def fail(event: ActionEvent) -> None:
        raise OSError("disk full")

    announcer = Announcer(see=lambda reading: None, tell=fail)
    announcer.push(shown(1, "Run"))
    eventually(lambda: not announcer._thread.is_alive())
    for second in range(3 * MOST_WAITING):  # nobody takes them: a push that blocks never returns
        announcer.push(shown(second, "Run"))
    with pytest.raises(OSError, match="disk full"):
        announcer.close(0.1)


def test_a_listener_that_hangs_is_left_behind() -> None:
    hold = threading.Event()
    announcer = Announcer(see=lambda reading: hold.wait() and None, tell=lambda event: None)
    announcer.push(shown(1, "Run"))
    announcer.close(0.2)
    assert announcer._thread.is_alive(), "close came back though the listener had not"
    hold.set()

"""When an action begins and ends, found in readings and written as JSON Lines."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from actionstream.results import Reading

EventKind = Literal["begin", "end"]


@dataclass(frozen=True, slots=True)
class ActionEvent:
    """An action that is shown begins, or ends.

    start_seconds, end_seconds: the stream's time; the end is None while the action goes on.
    confidence:                 smoothed, at the beginning; the mean over the action at its end.
    wall_time:                  the moment of the event, ISO 8601, UTC.
    """

    kind: EventKind
    label: str
    start_seconds: float
    end_seconds: float | None
    confidence: float
    wall_time: str

    def to_json(self) -> str:
        """The event as one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)


@dataclass(slots=True)
class _Open:
    """The action that is going on."""

    label: str
    start_seconds: float
    newest_seconds: float
    confidence_sum: float
    count: int


class EventFinder:
    """Turns the readings of one stream into events: push readings, get none, one or two events.

    An action is what is shown (smoothed), so what the viewer sees and what programs hear agree.
    A stream that starts afresh ends the action at its newest reading.
    """

    def __init__(self) -> None:
        self._open: _Open | None = None
        self._looks_seen = 0  # by the newest reading

    def push(self, reading: Reading) -> list[ActionEvent]:
        """The events that this reading brings, the end before the beginning."""
        now, seconds = _wall_clock(reading.age_seconds), reading.time_seconds
        # Looks only grow in number until the stream starts afresh, whatever brought that about. A
        # reading that warms up is a sign of it, too, where the one before it did not get here.
        afresh = reading.looks_seen <= self._looks_seen or reading.status == "warming_up"
        self._looks_seen = reading.looks_seen
        before = self.finish() if afresh else []
        return [*before, *self._follow(reading, seconds, now)]

    def _follow(self, reading: Reading, seconds: float, now: str) -> list[ActionEvent]:
        going = self._open
        if going is not None and going.label == reading.shown:
            going.newest_seconds = seconds
            going.confidence_sum += reading.shown_confidence
            going.count += 1
            return []
        events = self._end(seconds, now)
        if reading.shown is not None:
            confidence = reading.shown_confidence
            self._open = _Open(reading.shown, seconds, seconds, confidence, 1)
            events.append(ActionEvent("begin", reading.shown, seconds, None, confidence, now))
        return events

    def finish(self) -> list[ActionEvent]:
        """The end of the action that is going on, if one is: the stream is over."""
        return self._end(None, _wall_clock(0.0))

    def _end(self, seconds: float | None, now: str) -> list[ActionEvent]:
        going, self._open = self._open, None
        if going is None:
            return []
        end = going.newest_seconds if seconds is None else seconds
        mean = going.confidence_sum / going.count
        return [ActionEvent("end", going.label, going.start_seconds, end, mean, now)]


def _wall_clock(age_seconds: float) -> str:
    moment = datetime.now(UTC) - timedelta(seconds=age_seconds)
    return moment.isoformat(timespec="milliseconds")


class EventLog:
    """Appends events to a JSON Lines file; each line is there for readers at once.

    Raises:
        OSError: the file cannot be opened or written.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def write(self, event: ActionEvent) -> None:
        self._file.write(event.to_json() + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

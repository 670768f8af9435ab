"""When an action begins and ends: found in readings, told to listeners, written as JSON Lines, and
given to a program of the user's.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from actionstream.concurrency import Background, Closing
from actionstream.errors import ActionstreamError
from actionstream.results import Reading

MOST_WAITING = 256
"""Readings that wait for slow listeners (a terminal that is held, a full disk) at most."""

EventKind = Literal["begin", "end"]
_Message = Reading | Literal["lost", "end"]
MOST_COMMANDS = 4
"""Commands that run at the same time; while so many run, only the newest events wait."""
_log = logging.getLogger(__name__)


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
    newest_seconds: float = 0.0
    confidence_sum: float = 0.0
    count: int = 0

    def add(self, seconds: float, confidence: float) -> None:
        self.newest_seconds = seconds
        self.confidence_sum += confidence
        self.count += 1


def _utc_now() -> datetime:
    return datetime.now(UTC)


class EventFinder:
    """Turns the readings of one stream into events: push readings, get none, one or two events.

    An action is what is shown (smoothed), so what the viewer sees and what programs hear agree.
    A stream that is reset ends the action at its newest reading.
    """

    def __init__(self, now: Callable[[], datetime] = _utc_now) -> None:
        self._now = now
        self._open: _Open | None = None
        self._looks_seen = 0  # by the newest reading

    def push(self, reading: Reading) -> list[ActionEvent]:
        """The events that this reading brings, the end before the beginning."""
        # Looks only grow in number until the stream is reset, for whatever reason. A reading that
        # warms up is a sign of it, too, where the one before it did not get here.
        reset = reading.looks_seen <= self._looks_seen or reading.status == "warming_up"
        self._looks_seen = reading.looks_seen
        events = self.finish() if reset else []
        going, seconds = self._open, reading.time_seconds
        if going is not None and going.label == reading.shown:
            going.add(seconds, reading.shown_confidence)
            return events
        now = self._wall_clock(reading.age_seconds)
        events += self._end(seconds, now)
        if reading.shown is not None:
            self._open = going = _Open(reading.shown, seconds)
            going.add(seconds, reading.shown_confidence)
            confidence = reading.shown_confidence
            events.append(ActionEvent("begin", reading.shown, seconds, None, confidence, now))
        return events

    def finish(self) -> list[ActionEvent]:
        """The end of the action that is going on, if one is: the stream is over."""
        return self._end(None, self._wall_clock(0.0))

    def _end(self, seconds: float | None, now: str) -> list[ActionEvent]:
        going, self._open = self._open, None
        if going is None:
            return []
        end = going.newest_seconds if seconds is None else seconds
        mean = going.confidence_sum / going.count
        return [ActionEvent("end", going.label, going.start_seconds, end, mean, now)]

    def _wall_clock(self, age_seconds: float) -> str:
        moment = self._now() - timedelta(seconds=age_seconds)
        return moment.isoformat(timespec="milliseconds")


class EventLog(Closing):
    """Appends events to a JSON Lines file, each at once. OSError: it cannot be written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def write(self, event: ActionEvent) -> None:
        self._file.write(event.to_json() + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class Announcer(Background):
    """Calls `see` with readings and `tell` with events, in a thread of its own.

    `push` fits `Worker.open(on_reading=...)`. What a listener raises ends the thread and is
    raised by `check` and by `close`; readings after that go nowhere.
    """

    def __init__(
        self, *, see: Callable[[Reading], None], tell: Callable[[ActionEvent], None]
    ) -> None:
        self._see, self._tell = see, tell
        self._finder = EventFinder()
        self._messages: queue.Queue[_Message] = queue.Queue(MOST_WAITING)
        super().__init__("actionstream-announcer")

    def push(self, reading: Reading) -> None:
        """Pass a reading on. While `MOST_WAITING` wait, it is left out."""
        with contextlib.suppress(queue.Full):
            self._messages.put_nowait(reading)

    def lost(self) -> None:
        """The camera is gone: what is going on ends now, not when it comes back."""
        with contextlib.suppress(queue.Full):
            self._messages.put_nowait("lost")

    def close(self, timeout: float = 5.0) -> None:
        """End the action that is going on, tell it, and end the thread.

        A listener that hangs is left behind after `timeout` seconds.
        """
        with contextlib.suppress(queue.Full):
            self._messages.put("end", timeout=timeout)
        self._thread.join(timeout)
        self.check()

    def _work(self) -> None:
        while self._handle(self._messages.get()):
            pass

    def _handle(self, message: _Message) -> bool:
        if isinstance(message, Reading):
            self._see(message)
            events = self._finder.push(message)
        else:
            events = self._finder.finish()
        for event in events:
            self._tell(event)
        return message != "end"


def parse_command(text: str) -> tuple[str, ...]:
    """The words of a command, split like a shell's but never given to one.

    Raises:
        ActionstreamError: no words, an open quote, or no such program.
    """
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ActionstreamError(f"command {text!r} cannot be split: {error}") from None
    if not words:
        raise ActionstreamError("the command is empty")
    if shutil.which(words[0]) is None:
        raise ActionstreamError(f"command {text!r}: no program {words[0]!r} that can be run")
    return words


class CommandRunner(Closing):
    """Runs a command for each event, without a shell and without waiting for it.

    The event stands in the environment, see `_environment`. What the command prints goes to
    stderr. A failure is logged, each kind once. Every command has a thread that waits for its
    end, so that none stays a zombie.

    While `most` run, the newest begin and the newest end wait, in the order in which they came,
    and older ones are left out: a lamp that a beginning switched on goes out in the end.
    """

    def __init__(self, argv: Sequence[str], *, most: int = MOST_COMMANDS) -> None:
        self._argv, self._most = list(argv), most
        self._changed = threading.Condition(threading.Lock())  # guards all that follows
        self._waiters: set[threading.Thread] = set()
        self._waiting: dict[EventKind, ActionEvent] = {}  # in the order in which they came
        self._logged: set[str] = set()

    def start(self, event: ActionEvent) -> bool:
        """Whether the command was started now; else it waits for a place, or cannot be started."""
        with self._changed:
            if len(self._waiters) < self._most:
                return self._launch(event)
            self._waiting.pop(event.kind, None)
            self._waiting[event.kind] = event
            self._log_once("busy", f"{self._most} still run, so only the newest events wait")
        return False

    def _launch(self, event: ActionEvent) -> bool:
        try:
            process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=_stderr(),
                env={**os.environ, **_environment(event)},
                start_new_session=True,  # Ctrl-C in the terminal is meant for us alone
            )
        except (OSError, ValueError) as error:  # ValueError: a label with a NUL character
            self._log_once("start", f"cannot be started: {error}")
            return False
        waiter = threading.Thread(target=self._wait, args=(process,), daemon=True)
        self._waiters.add(waiter)
        waiter.start()
        return True

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        with self._changed:
            self._waiters.discard(threading.current_thread())
            if code != 0:
                self._log_once(f"exit {code}", f"ended with exit code {code}")
            while self._waiting and len(self._waiters) < self._most:
                self._launch(self._waiting.pop(next(iter(self._waiting))))
            self._changed.notify_all()

    def _log_once(self, kind: str, message: str) -> None:
        if kind not in self._logged:
            self._logged.add(kind)
            _log.warning("command %s: %s (said once)", shlex.join(self._argv), message)

    def running(self) -> int:
        """How many commands run now."""
        with self._changed:
            return len(self._waiters)

    def close(self, timeout: float = 5.0) -> None:
        """Wait for the commands that run and those that wait, `timeout` seconds in all.

        What still runs then is left alone. If events still wait, the newest is started beside
        the others: commands that hang must not keep the last word from being said.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._waiters, timeout)
            if self._waiting:
                _, newest = self._waiting.popitem()
                self._waiting.clear()
                self._launch(newest)


def _stderr() -> int | None:
    """Our stderr's descriptor: stdout is for results. None (inherit) where there is none."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return subprocess.DEVNULL


def _environment(event: ActionEvent) -> dict[str, str]:
    end = "" if event.end_seconds is None else f"{event.end_seconds:.3f}"
    return {
        "ACTIONSTREAM_EVENT": event.kind,
        "ACTIONSTREAM_LABEL": event.label,
        "ACTIONSTREAM_START_SECONDS": f"{event.start_seconds:.3f}",
        "ACTIONSTREAM_END_SECONDS": end,
        "ACTIONSTREAM_CONFIDENCE": f"{event.confidence:.4f}",
    }

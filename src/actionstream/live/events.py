"""When an action begins and ends, told to other programs: JSON Lines and commands."""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from actionstream.errors import ActionstreamError
from actionstream.frames import Reading

EventKind = Literal["begin", "end"]

MOST_COMMANDS = 4
"""Commands that run at the same time; while so many run, further events start none."""

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


class CommandRunner:
    """Runs a command for each event, without a shell and without waiting for it.

    The event stands in the environment: ACTIONSTREAM_EVENT (begin, end), ACTIONSTREAM_LABEL,
    ACTIONSTREAM_START_SECONDS, ACTIONSTREAM_END_SECONDS (empty at the beginning) and
    ACTIONSTREAM_CONFIDENCE. What the command prints goes to stderr. A failure is logged, each
    kind once. Every command has a thread that waits for its end, so that none stays a zombie.
    """

    def __init__(self, argv: Sequence[str], *, most: int = MOST_COMMANDS) -> None:
        self._argv, self._most = list(argv), most
        self._lock = threading.Lock()
        self._waiters: set[threading.Thread] = set()
        self._logged: set[str] = set()

    def start(self, event: ActionEvent) -> bool:
        """Whether the command was started; not while `most` of them still run."""
        with self._lock:
            if len(self._waiters) >= self._most:
                self._log_once("busy", f"{self._most} still run, so some events start none")
                return False
            try:
                process = subprocess.Popen(
                    self._argv,
                    stdin=subprocess.DEVNULL,
                    stdout=_stderr(),
                    env={**os.environ, **_environment(event)},
                    start_new_session=True,  # Ctrl-C in the terminal is meant for us alone
                )
            except OSError as error:
                self._log_once("start", f"cannot be started: {error}")
                return False
            waiter = threading.Thread(target=self._wait, args=(process,), daemon=True)
            self._waiters.add(waiter)
            waiter.start()
        return True

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        with self._lock:
            self._waiters.discard(threading.current_thread())
            if code != 0:
                self._log_once(f"exit {code}", f"ended with exit code {code}")

    def _log_once(self, kind: str, message: str) -> None:
        if kind not in self._logged:
            self._logged.add(kind)
            _log.warning("command %s: %s (said once)", shlex.join(self._argv), message)

    def running(self) -> int:
        """How many commands run now."""
        with self._lock:
            return len(self._waiters)

    def close(self, timeout: float = 5.0) -> None:
        """Wait for the commands that run, `timeout` seconds in all; then leave them alone."""
        with self._lock:
            waiters = list(self._waiters)
        share = timeout / max(len(waiters), 1)
        for waiter in waiters:
            waiter.join(share)


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

"""A program of the user's, run when an action begins and ends."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence

from actionstream.concurrency import Closing
from actionstream.errors import ActionstreamError
from actionstream.webcam.events import ActionEvent, EventKind

MOST_COMMANDS = 4
"""Commands that run at the same time; while so many run, only the newest events wait."""

_log = logging.getLogger(__name__)


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

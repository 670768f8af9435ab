"""A command as a user runs it: a whole process, with its time, processor time and memory."""

from __future__ import annotations

import contextlib
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ACTIONSTREAM = (sys.executable, "-m", "actionstream")

SAMPLE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Ran:
    """What a process gave and took.

    seconds: wall clock.   processor_seconds: of all its threads, user and system.
    peak_megabytes: largest resident memory, 10^6 bytes.   memory: (seconds, megabytes) samples.
    """

    output: str
    seconds: float
    processor_seconds: float
    peak_megabytes: float
    memory: tuple[tuple[float, float], ...]


def run(command: Sequence[str | Path]) -> Ran:
    """Run a command to its end. Leaves the program with its message if it fails."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        before = _children_seconds()
        began = time.perf_counter()
        process = psutil.Popen([str(word) for word in command], stdout=out, stderr=errors)
        watcher = _Watcher(process)
        watcher.start()
        code = process.wait()
        seconds = time.perf_counter() - began
        watcher.join()
        out.seek(0)
        errors.seek(0)
        if code:
            sys.exit(f"{' '.join(map(str, command))}: exit {code}\n{errors.read()}")
        processor = _children_seconds() - before
        return Ran(out.read(), seconds, processor, watcher.peak, tuple(watcher.samples))


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class _Watcher(threading.Thread):
    """Samples a process until it is gone.

    The kernel's own mark of the largest size (VmHWM) misses nothing between two samples. The
    `ru_maxrss` of a child would count the memory that its parent had at the fork.
    """

    def __init__(self, process: psutil.Popen) -> None:
        super().__init__(daemon=True)
        self._process = process
        self.samples: list[tuple[float, float]] = []
        self.peak = 0.0

    def run(self) -> None:
        began = time.perf_counter()
        with contextlib.suppress(psutil.Error, OSError):
            while self._process.poll() is None:
                memory = float(self._process.memory_info().rss) / 1e6
                self.peak = max(self.peak, memory, self._mark())
                self.samples.append((time.perf_counter() - began, memory))
                time.sleep(SAMPLE_SECONDS)

    def _mark(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status")
        if not status.is_file():
            return 0.0
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
        return 0.0

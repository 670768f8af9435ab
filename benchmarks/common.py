"""What every benchmark shares: the machine in words, sides measured in turns, medians."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

LIBRARIES = ("numpy", "onnxruntime", "opencv-python-headless", "av", "torch", "torchvision")


@dataclass(frozen=True, slots=True)
class Side:
    """Measured seconds of one side, in the order of the rounds."""

    name: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def spread(self) -> tuple[float, float]:
        """10th and 90th percentile."""
        low, high = np.percentile(self.seconds, (10, 90))
        return float(low), float(high)

    def __str__(self) -> str:
        low, high = self.spread()
        return (
            f"{self.name}: median {1000 * self.median:.2f} ms "
            f"(p10 {1000 * low:.2f}, p90 {1000 * high:.2f}, n {len(self.seconds)})"
        )


def alternate(
    sides: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    warm_up: int = 3,
    steps: Mapping[str, int] | None = None,
) -> dict[str, Side]:
    """Run each side a round, all in one process: what disturbs one disturbs all.

    A side runs `steps` times in a row (once unless said otherwise) and its mean is one figure:
    for work that a user does without a break, so that no side is timed with caches that the
    others have just filled.
    """
    for _ in range(warm_up):
        for run in sides.values():
            run()
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            count = (steps or {}).get(name, 1)
            began = time.perf_counter()
            for _ in range(count):
                run()
            taken[name].append((time.perf_counter() - began) / count)
    return {name: Side(name, tuple(seconds)) for name, seconds in taken.items()}


def difference(more: Side, less: Side) -> float:
    """Median over the rounds of what `more` takes beyond `less`, in seconds."""
    pairs = zip(more.seconds, less.seconds, strict=True)
    return statistics.median(one - other for one, other in pairs)


def machine() -> str:
    """Processor, cores, memory, system and versions, a line each."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{_processor()}, {usable} cores usable, {memory:.0f} GiB, "
        f"{platform.system()} {platform.release()}\n"
        f"Python {platform.python_version()}, {versions(LIBRARIES)}\n"
        f"load before the run: {psutil.getloadavg()[0]:.2f}"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions(names: Sequence[str]) -> str:
    """Those of these packages that are installed, with their versions."""
    found = []
    for name in names:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def moving_pictures(width: int, height: int, count: int = 8) -> list[NDArray[np.uint8]]:
    """A few different pictures RGB uint8 [H, W, 3], smooth with some noise, as a camera's are."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width]
    pictures = []
    for index in range(count):
        waves = np.stack([np.sin((x + y * c) / 31 + index + c) for c in range(3)], axis=-1)
        noise = random.normal(0, 6, (height, width, 3))
        pictures.append(np.clip(127 + 100 * waves + noise, 0, 255).astype(np.uint8))
    return pictures


def rss_megabytes() -> float:
    """Resident memory of this process in MB (10^6 bytes)."""
    return float(psutil.Process().memory_info().rss) / 1e6


def verdict(what: str, value: float, bar: float, *, at_most: bool, unit: str) -> bool:
    """Print one bar and whether it is reached."""
    reached = value <= bar if at_most else value >= bar
    word = "at most" if at_most else "at least"
    mark = "reached" if reached else "MISSED"
    print(f"{mark}: {what}: {value:.2f} {unit} ({word} {bar:g} {unit})")
    return reached

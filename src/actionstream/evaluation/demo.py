"""A self-check without file or camera: a clip is made here and goes the whole way."""

from __future__ import annotations

import math
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actionstream import __version__
from actionstream.concurrency import usable_cores
from actionstream.evaluation.verify import TOLERANCE, Comparison, compare
from actionstream.progress import Progress
from actionstream.recognizer import Recognizer
from actionstream.results import Answer, Pixels, RGBFrame
from actionstream.video import VideoReader, VideoWriter

WIDTH, HEIGHT, FRAME_RATE, SECONDS = 320, 240, 30, 6
MOST_AGE_SECONDS = 0.3
"""A live answer older than this feels late."""

_PACKAGES = ("onnxruntime", "av", "numpy", "opencv-python-headless", "torch")


@dataclass(frozen=True, slots=True)
class Speed:
    """What the live run took, on this machine, pictures decoded beforehand.

    frames_per_second: frames pushed a second, due or not.
    median_seconds, p95_seconds: of the steps that looked: from the frame to its reading.
    """

    frames_per_second: float
    looks: int
    median_seconds: float
    p95_seconds: float


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold, in words."""

    holds: bool
    words: str


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What the self-check saw."""

    machine: str
    versions: dict[str, str]
    engine: str
    model: str
    answer: Answer
    speed: Speed
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.holds for check in self.checks)


def run_demo(model: Recognizer, *, progress: Progress | None = None) -> DemoReport:
    """Make a short moving clip, recognise it as a file and live, and judge what came of it.

    Raises:
        VideoWriteError, VideoError: the clip cannot be written or read here: there is something
            wrong with the installation or with the temporary folder.
    """
    with tempfile.TemporaryDirectory(prefix="actionstream-") as folder:
        clip = Path(folder) / "moving-figure.mp4"
        made = make_clip(clip, progress=progress)
        answer = model.recognize(clip, source=clip.name)
        with VideoReader(clip, threads=model.threads) as reader:
            frames = [RGBFrame(frame.to_rgb(), frame.time_seconds) for frame in reader]
    live, speed = _play(model, frames, progress)
    checks = (
        _decoded(answer, made),
        _live_agrees(compare("live", answer, live)),
        _sound_numbers(answer),
        _fast_enough(speed, model),
        _fresh_enough(speed),
    )
    return DemoReport(
        machine(), versions(), model.engine.describe(), _named(model), answer, speed, checks
    )


def _named(model: Recognizer) -> str:
    name = f"{model.card.name} ({model.fingerprint}), {len(model.labels)} actions"
    return f"{name}, a look every {model.card.spacing_seconds:g} s"


def make_clip(path: Path, *, progress: Progress | None = None) -> int:
    """Write a clip of a figure that does jumping jacks; returns the number of frames."""
    total = FRAME_RATE * SECONDS
    with VideoWriter(path, width=WIDTH, height=HEIGHT, frame_rate=FRAME_RATE) as writer:
        for index in range(total):
            seconds = index / FRAME_RATE
            writer.write(picture(seconds), seconds)
            if progress is not None:
                progress(index + 1, total, "making a clip")
    return total


def picture(seconds: float) -> Pixels:
    """The figure at that moment, RGB uint8 [240, 320, 3]: one jumping jack a second."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    pixels = np.empty((HEIGHT, WIDTH, 3), dtype=np.uint8)
    pixels[..., 0] = 120 + 40 * rows / HEIGHT
    pixels[..., 1] = 150 + 30 * rows / HEIGHT
    pixels[..., 2] = 185 - 60 * rows / HEIGHT
    pixels[rows > 0.82 * HEIGHT] = (96, 84, 70)
    for start, end, thickness, colour in _limbs(seconds):
        pixels[_near(rows, columns, start, end) < thickness] = colour
    return pixels


Point = tuple[float, float]
Limb = tuple[Point, Point, float, tuple[int, int, int]]


def _limbs(seconds: float) -> Iterator[Limb]:
    """The parts of the body as thick lines: (x, y) from, (x, y) to, half the width, colour."""
    swing = (1 - math.cos(2 * math.pi * seconds)) / 2
    skin, shirt, trousers = (205, 160, 130), (180, 40, 50), (40, 50, 90)
    x, hip = WIDTH / 2, 138 - 10 * swing
    shoulder = hip - 48
    for side in (-1, 1):
        arm, leg = math.radians(20 + 135 * swing), math.radians(6 + 24 * swing)
        foot = (x + side * (8 + 62 * math.sin(leg)), hip + 62 * math.cos(leg))
        hand = (x + side * (14 + 50 * math.sin(arm)), shoulder + 50 * math.cos(arm))
        yield (x + side * 8, hip), foot, 7, trousers
        yield (x + side * 14, shoulder), hand, 5, skin
    yield (x, shoulder + 2), (x, hip), 15, shirt
    yield (x, shoulder - 22), (x, shoulder - 20), 12, skin


def _near(
    rows: NDArray[np.float32], columns: NDArray[np.float32], start: Point, end: Point
) -> NDArray[np.float32]:
    """Distance in pixels of every pixel from the line between two points."""
    along = end[0] - start[0], end[1] - start[1]
    x, y = columns - start[0], rows - start[1]
    share = np.clip((x * along[0] + y * along[1]) / (along[0] ** 2 + along[1] ** 2), 0, 1)
    distance: NDArray[np.float32] = np.hypot(x - share * along[0], y - share * along[1])
    return distance


def _play(
    model: Recognizer, frames: list[RGBFrame], progress: Progress | None
) -> tuple[Answer, Speed]:
    """The frames through a live stream, timed, after one warm look that is not counted."""
    model.live().push(frames[0].pixels, 0.0)
    stream, ages = model.live(), []
    began = time.perf_counter()
    for frame in frames:
        reading = stream.push(frame)
        if reading is not None:
            ages.append(reading.age_seconds)
            if progress is not None:
                progress(len(ages), len(frames), "playing it live")
    taken = time.perf_counter() - began
    median, p95 = (float(value) for value in np.quantile(ages, (0.5, 0.95)))
    return stream.finish(), Speed(len(frames) / taken, len(ages), median, p95)


def _decoded(answer: Answer, made: int) -> Check:
    facts = answer.video
    complete = (
        facts is not None
        and (facts.frames_read, facts.corrupt_packets, facts.truncated) == (made, 0, False)
        and (facts.width, facts.height) == (WIDTH, HEIGHT)
    )
    if complete:
        return Check(True, f"all {made} frames of the clip were written and decoded again")
    return Check(False, f"of {made} frames written this came back: {facts}")


def _live_agrees(found: Comparison) -> Check:
    if found.first is not None:
        return Check(False, f"file and live stream differ at {found.first}")
    largest = max(found.largest.values())
    words = f"file and live stream agree in all {found.readings} readings"
    return Check(True, f"{words} (largest difference {largest:.1g}, allowed {TOLERANCE:g})")


def _sound_numbers(answer: Answer) -> Check:
    total = math.nan if answer.probabilities is None else float(answer.probabilities.sum())
    if abs(total - 1) < 1e-3 and 0 <= answer.known_score <= 1:
        return Check(True, "the probabilities add up to 1")
    return Check(False, f"the probabilities add up to {total}, known_score is {answer.known_score}")


def _fast_enough(speed: Speed, model: Recognizer) -> Check:
    rate = f"{speed.frames_per_second:.0f} frames a second live, a camera gives {FRAME_RATE}"
    if speed.frames_per_second >= FRAME_RATE:
        return Check(True, f"fast enough: {rate}")
    needed = 1 / model.card.spacing_seconds
    return Check(False, f"too slow: {rate}; live, looks will be dropped ({needed:.1f}/s wanted)")


def _fresh_enough(speed: Speed) -> Check:
    late = f"19 of 20 answers are there within {1000 * speed.p95_seconds:.0f} ms"
    return Check(speed.p95_seconds <= MOST_AGE_SECONDS, late)


def machine() -> str:
    """This machine in one line."""
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    return f"{system}, {usable_cores()} cores, Python {platform.python_version()}"


def versions() -> dict[str, str]:
    """Versions of actionstream and of what computes; a package not installed is left out."""
    found = {"actionstream": __version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found

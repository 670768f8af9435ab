"""The model as a program uses it: load it once, share it, ask it about files and streams."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from actionstream.bundle import Bundle, open_bundle, resolve
from actionstream.card import Card
from actionstream.engines import Engine, open_engine
from actionstream.engines.checks import default_threads
from actionstream.errors import NoFramesError, VideoError
from actionstream.frames import Answer, Failure, Pixels, Reading, Timing, VideoFacts
from actionstream.preprocess import preprocess, use_threads
from actionstream.sampling import Clock, fill, judge, see
from actionstream.stream import (
    Stream,
    StreamState,
    Tally,
    add_look,
    conclude,
    is_ready,
    warming_up,
    window,
)
from actionstream.video import DEFAULT_LIMITS, Limits, VideoReader

EngineName = Literal["onnx", "torch"]
Progress = Callable[[float, float | None], None]
"""Called with the seconds of video done and, if known, the seconds in all. To cancel, raise."""

BATCH = 4
"""Looks encoded at once when a file is read. On two cores 3 or 4 took 14 % less time than 8, whose
activations leave the caches, and 5 % less than 2."""


def load(
    model: str | Path | None = None,
    *,
    engine: EngineName = "onnx",
    threads: int | None = None,
    device: str | None = None,
) -> Recognizer:
    """Load a bundle.

    Args:
        model: None for the default, else the name of a shipped variant, else a folder.
        engine: "onnx" (ONNX Runtime) or "torch" (PyTorch, needs the extra `train`).
        threads: threads for the encoder, for decoding and (in the whole process) for OpenCV;
            None for the machine's cores.
        device: "cpu" or "cuda"; None for "cpu".

    Raises:
        BundleError: the bundle does not keep its contract; everything wrong is listed.
        EngineError: the engine or device cannot be used here.
        MissingExtraError: the engine's packages are not installed.
    """
    bundle = open_bundle(resolve(model))
    opened = open_engine(bundle, engine, threads=threads, device=device)
    use_threads(threads or default_threads())
    return Recognizer(bundle, opened, threads)


@dataclass(frozen=True, slots=True)
class Recognizer:
    """A loaded model. Immutable; several threads may use one at the same time."""

    bundle: Bundle
    engine: Engine
    threads: int | None = None

    @property
    def card(self) -> Card:
        return self.bundle.card

    @property
    def labels(self) -> tuple[str, ...]:
        """The actions that the model knows, in the order of its probabilities."""
        return self.card.labels

    @property
    def fingerprint(self) -> str:
        """First 12 hex digits of SHA-256 of the bundle's card."""
        return self.bundle.fingerprint

    @property
    def identity(self) -> dict[str, str]:
        """Name and fingerprint, as answers carry them."""
        return {"name": self.card.name, "fingerprint": self.fingerprint}

    def live(self, *, keep_readings: bool = True) -> Stream:
        """A new stream.

        With `keep_readings=False`, for streams that never end, the answer of `finish` has no
        readings; all that grows then is the list of segments, by one when the label changes.
        """
        return Stream(self.engine, self.card, self.identity, keep_readings=keep_readings)

    def recognize(
        self,
        path: str | Path,
        *,
        source: str | None = None,
        progress: Progress | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Answer:
        """What happens in a video file.

        Args:
            path: a plain video file.
            source: how the answer names it; the path as given unless said otherwise.
            progress: called as the file is read.
            limits: what the file may cost.

        Raises:
            VideoError: the file gives no pictures; `kind` says why. A damaged file that gave at
                least one look has an answer with the damage counted.
        """
        name = source or str(path)
        return _FileReading(self, os.fspath(path), name, progress, limits).run()

    def recognize_many(
        self,
        paths: str | Path | Iterable[str | Path],
        *,
        progress: bool | Callable[[int, int | None, str], None] = False,
    ) -> Iterator[Answer]:
        """Answers for many files, in their order, each as soon as it is there.

        A single path counts as a list of one.
        A bad file yields an Answer with `error` set and the others go on. `progress=True` draws
        a bar on stderr; a function is called with (done, in all if known, source).
        """
        listed = [paths] if isinstance(paths, (str, Path)) else list(paths)
        report = _Bar(len(listed)) if progress is True else progress or None
        try:
            for done, path in enumerate(listed):
                if report:
                    report(done, len(listed), str(path))
                yield self.recognize_or_error(path)
            if report and listed:
                report(len(listed), len(listed), str(listed[-1]))
        finally:
            close = getattr(report, "close", None)
            if close is not None:
                close()

    def recognize_or_error(
        self, path: str | Path, *, source: str | None = None, progress: Progress | None = None
    ) -> Answer:
        """`recognize`, but a bad file gives an Answer with `error` set."""
        try:
            return self.recognize(path, source=source, progress=progress)
        except VideoError as error:
            return Answer(source or str(path), self.labels, error=Failure.of(error))


@dataclass(slots=True)
class _Look:
    """A frame that will be looked at: its time, whether the stream starts afresh, the input."""

    time_seconds: float
    afresh: bool
    image: Pixels


@dataclass(slots=True)
class _FileReading:
    """One pass over one file: decode, look, encode in batches, read, conclude."""

    model: Recognizer
    path: str
    source: str
    progress: Progress | None
    limits: Limits
    state: StreamState = field(default_factory=StreamState)
    waiting: list[_Look] = field(default_factory=list)
    encoded: int = 0
    encode_seconds: float = 0.0
    head_seconds: float = 0.0

    def run(self) -> Answer:
        began = time.perf_counter()
        tally = Tally(self.model.card)
        with VideoReader(self.path, threads=self.model.threads, limits=self.limits) as reader:
            duration = reader.probe.duration_seconds
            for look in self._looks(reader):
                self.waiting.append(look)
                if len(self.waiting) == BATCH:
                    self._read_waiting(tally)
                    if self.progress is not None:
                        self.progress(look.time_seconds, duration)
            self._read_waiting(tally)
        if tally.count == 0 and self.state.ring is not None:
            last = self.state.clock.last_look_seconds or 0.0
            tally.add(self._conclude([(self.state, last)])[0], 0.0)
        total = time.perf_counter() - began
        decode = total - self.encode_seconds - self.head_seconds
        timing = Timing(total, decode, self.encode_seconds)
        if tally.count == 0:
            raise NoFramesError(self.path, "no frame could be decoded")
        return tally.answer(
            self.source,
            reader.duration_seconds,
            model=self.model.identity,
            video=_facts(reader, self.encoded),
            timing=timing,
        )

    def _looks(self, reader: VideoReader) -> Iterator[_Look]:
        """The frames that are due, as encoder inputs. No look is dropped in a file."""
        rule, geometry = self.model.card.sampling, self.model.card.input_geometry
        clock = Clock()
        for frame in reader:
            moment = judge(clock, frame.time_seconds, rule)
            if moment == "repeated":
                continue
            clock = see(Clock() if moment == "afresh" else clock, frame.time_seconds)
            if moment != "not_due":
                clock, _ = fill(clock, frame.time_seconds, rule)
                image = preprocess(frame.to_rgb(), geometry)
                yield _Look(frame.time_seconds, moment == "afresh", image)

    def _read_waiting(self, tally: Tally) -> None:
        """Encode the waiting looks as one batch and add their readings to the tally."""
        if not self.waiting:
            return
        began = time.perf_counter()
        features = self.model.engine.encode(np.stack([look.image for look in self.waiting]))
        self.encode_seconds += time.perf_counter() - began
        self.encoded += len(self.waiting)
        moments: list[tuple[StreamState, float]] = []
        for look, feature in zip(self.waiting, features, strict=True):
            if look.afresh:
                self._add(moments, tally)
                self.state = StreamState()
            seen = replace(self.state, clock=see(self.state.clock, look.time_seconds))
            self.state = add_look(seen, look.time_seconds, feature, self.model.card)
            moments.append((self.state, look.time_seconds))
        self._add(moments, tally)
        self.waiting.clear()

    def _add(self, moments: list[tuple[StreamState, float]], tally: Tally) -> None:
        """Read these moments of one unbroken stretch and add their readings; empties the list."""
        card = self.model.card
        ready = [moment for moment in moments if is_ready(moment[0], card)]
        for state, seconds in moments[: len(moments) - len(ready)]:
            tally.add(warming_up(state, seconds, card), 0.0)
        for reading in self._conclude(ready):
            tally.add(reading, 0.0)
        moments.clear()

    def _conclude(self, moments: list[tuple[StreamState, float]]) -> list[Reading]:
        if not moments:
            return []
        began = time.perf_counter()
        windows = np.stack([window(state) for state, _ in moments])
        logits, known = self.model.engine.read(windows)
        readings = []
        for (state, seconds), row, score in zip(moments, logits, known, strict=True):
            current = replace(state, smoothed=self.state.smoothed)
            done, reading = conclude(current, seconds, row, float(score), self.model.card)
            self.state = replace(self.state, smoothed=done.smoothed)
            readings.append(reading)
        self.head_seconds += time.perf_counter() - began
        return readings


def _facts(reader: VideoReader, encoded: int) -> VideoFacts:
    probe = reader.probe
    return VideoFacts(
        reader.duration_seconds,
        probe.frame_rate,
        probe.width,
        probe.height,
        reader.frames_read,
        encoded,
        reader.corrupt_packets,
        reader.truncated,
    )


class _Bar:
    """A progress bar on stderr with the time left."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task("recognising", total=total)
        self._progress.start()

    def __call__(self, done: int, total: int | None, source: str) -> None:
        self._progress.update(self._task, completed=done, description=Path(source).name[:40])

    def close(self) -> None:
        self._progress.stop()

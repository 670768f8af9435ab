"""The model as a program uses it: load it once, share it, ask it about files and streams."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actionstream.bundle.card import Card
from actionstream.bundle.folder import Bundle, open_bundle, resolve, shipped
from actionstream.concurrency import default_threads
from actionstream.engines import Engine, open_engine
from actionstream.errors import FrameError, NoFramesError, VideoError
from actionstream.inference.file import FramesRead, read_frames
from actionstream.inference.preprocess import use_threads
from actionstream.inference.stream import Stream, as_frame
from actionstream.progress import Progress, ProgressBar
from actionstream.results import Answer, Failure, Frame, Reading, RGBFrame, Timing, VideoFacts
from actionstream.video import DEFAULT_LIMITS, Limits, VideoReader

EngineName = Literal["onnx", "torch"]
Frames = Iterable[Frame | tuple[NDArray[np.uint8], float]]
OnReading = Callable[[Reading], None]
Video = str | os.PathLike[str] | bytes | BinaryIO | NDArray[np.uint8] | Frames


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


def list_models() -> list[str]:
    """Names of the shipped bundles, sorted; each is one that `load` takes."""
    return sorted(shipped())


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

    def __repr__(self) -> str:
        name = f"{self.card.name!r}, {len(self.labels)} actions, {self.fingerprint}"
        return f"Recognizer({name}, {self.engine.describe()})"

    def live(self, *, keep_readings: bool = True) -> Stream:
        """A new stream.

        With `keep_readings=False`, for streams that never end, the answer of `finish` has no
        readings, and its segments are those that were shown live; all that grows then is the list
        of segments, by one when the label changes.
        """
        return Stream(self.engine, self.card.rules, self.identity, keep_readings=keep_readings)

    def recognize(
        self,
        video: Video,
        *,
        fps: float | None = None,
        source: str | None = None,
        progress: Progress | None = None,
        on_reading: OnReading | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Answer:
        """What happens in a video.

        Args:
            video: a plain video file: its path, its bytes, or a binary file object that is read to
                its end; or frames: an array RGB uint8 [T, H, W, 3] with `fps`, or an iterable of
                `Frame`s or of (RGB uint8 [H, W, 3], seconds). Such frames are not kept; their
                answer has no `video`.
            fps: frames a second of an array.
            source: how the answer names it; the path as given unless said otherwise.
            progress: called as the video is read, with seconds and `source`.
            on_reading: called with every reading as soon as it is there, in their order, just
                before `progress`: the answer so far. What it raises ends the work.
            limits: what a file may cost.

        Raises:
            VideoError: the video gives no pictures; `kind` says why. A damaged file that gave at
                least one look has an answer with the damage counted.
            FrameError: it is none of these kinds, or a frame is of the wrong kind.
        """
        report = _Reports(progress, on_reading)
        if isinstance(video, str | os.PathLike):
            return self._recognize_file(video, source or str(video), report, limits)
        if isinstance(video, bytes | bytearray) or hasattr(video, "read"):
            name = source or str(getattr(video, "name", "video"))
            with _on_disk(video) as path:
                try:
                    return self._recognize_file(path, name, report, limits)
                except VideoError as error:
                    raise type(error)(name, error.cause) from None
        return self._recognize_frames(_frames(video, fps), source or "frames", report)

    def _recognize_file(
        self, path: str | os.PathLike[str], source: str, reports: _Reports, limits: Limits
    ) -> Answer:
        began = time.perf_counter()
        with VideoReader(os.fspath(path), threads=self.threads, limits=limits) as reader:
            announced = reader.probe.duration_seconds
            report = _seconds(reports.progress, announced, source)
            read = read_frames(reader, self.engine, self.card.rules, report, reports.on_reading)
        return read.total.answer(
            self.card.rules,
            source,
            reader.duration_seconds,
            model=self.identity,
            video=_facts(reader, read.total.looks),
            timing=_timing(began, read),
            warnings=reader.warnings,
        )

    def _recognize_frames(self, frames: Iterator[Frame], source: str, reports: _Reports) -> Answer:
        began = time.perf_counter()
        report = _seconds(reports.progress, None, source)
        read = read_frames(frames, self.engine, self.card.rules, report, reports.on_reading)
        if read.total.zero_seconds is None:
            raise NoFramesError(source, "there is no frame")
        duration = read.total.duration_seconds
        timing = _timing(began, read)
        return read.total.answer(
            self.card.rules, source, duration, model=self.identity, timing=timing
        )

    def recognize_many(
        self,
        paths: str | Path | Iterable[str | Path],
        *,
        progress: bool | Progress = False,
    ) -> Iterator[Answer]:
        """Answers for many files, in their order, each as soon as it is there.

        A single path counts as a list of one.
        A bad file yields an Answer with `error` set and the others go on. `progress=True` draws
        a bar on stderr; a function is called with (done, in all if known, source).
        """
        listed = [paths] if isinstance(paths, (str, Path)) else list(paths)
        with contextlib.ExitStack() as stack:
            bar = stack.enter_context(ProgressBar()) if progress is True else progress
            for done, path in enumerate(listed):
                if bar:
                    bar(done, len(listed), str(path))
                yield self.recognize_or_error(path)
            if bar and listed:
                bar(len(listed), len(listed), str(listed[-1]))

    def recognize_or_error(
        self, path: str | Path, *, source: str | None = None, progress: Progress | None = None
    ) -> Answer:
        """`recognize`, but a bad file gives an Answer with `error` set."""
        try:
            return self.recognize(path, source=source, progress=progress)
        except VideoError as error:
            return Answer(source or str(path), self.labels, error=Failure.of(error))


class _Reports(NamedTuple):
    """Who is told while a video is read."""

    progress: Progress | None
    on_reading: OnReading | None


def _seconds(
    progress: Progress | None, total: float | None, source: str
) -> Callable[[float], None] | None:
    return None if progress is None else lambda seconds: progress(seconds, total, source)


@contextlib.contextmanager
def _on_disk(video: Any) -> Iterator[Path]:
    """The bytes of a video in a private temporary file: containers want to be sought in."""
    with tempfile.TemporaryDirectory(prefix="actionstream-") as folder:
        path = Path(folder) / "video"
        with path.open("wb") as target:
            if isinstance(video, bytes | bytearray):
                target.write(video)
            else:
                _copy(video, target)
        yield path


def _copy(video: BinaryIO, target: BinaryIO) -> None:
    try:
        shutil.copyfileobj(video, target)
    except TypeError:
        raise FrameError("a file object must be opened for bytes: open(path, 'rb')") from None


def _frames(video: Any, fps: float | None) -> Iterator[Frame]:
    if isinstance(video, np.ndarray):
        return _array_frames(video, fps)
    if fps is not None:
        raise FrameError("fps is for arrays; other frames bring their times")
    try:
        items = iter(video)
    except TypeError:
        raise FrameError(
            "a video is a path, bytes, a binary file object, an array [T, H, W, 3] with fps, or an "
            f"iterable of frames, got {type(video).__name__}"
        ) from None
    return (as_frame(*item) if isinstance(item, tuple) else as_frame(item) for item in items)


def _array_frames(video: NDArray[np.uint8], fps: float | None) -> Iterator[Frame]:
    if fps is None or not (math.isfinite(fps) and fps > 0):
        raise FrameError(f"an array of frames needs its fps, a number above 0, got {fps!r}")
    if video.ndim != 4:
        raise FrameError(f"an array of frames is uint8 [T, H, W, 3], got {list(video.shape)}")
    return (RGBFrame(pixels, index / fps) for index, pixels in enumerate(video))


def _timing(began: float, read: FramesRead) -> Timing:
    total = time.perf_counter() - began
    return Timing(total, total - read.encode_seconds - read.head_seconds, read.encode_seconds)


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

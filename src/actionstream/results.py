"""The values that travel: Frame, Candidate, Reading, Segment, Notice, Answer.

All are frozen. Times are seconds, pictures are RGB uint8 [H, W, 3]; a picture never travels
without its time. Probabilities are float32 [K] in the order of the labels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from actionstream.errors import FrameError, MissingExtraError, VideoError, VideoErrorKind

if TYPE_CHECKING:
    from pandas import DataFrame

Pixels = NDArray[np.uint8]
Probabilities = NDArray[np.float32]
Status = Literal["ready", "warming_up"]
NoticeKind = Literal[
    "too_short",  # fewer looks than an answer should rest on
    "few_looks",  # too few pictures a second to see movement
    "no_times",  # frames were counted: the file has no usable times
    "clock_repaired",  # the file's times were put in order
    "damaged",  # damaged packets were skipped
    "cut_off",  # less came than the file announces
    "no_person",  # nobody was found whose pose could be read
    "sound",  # of a written video: its sound was left out or has holes
]


def check_pixels(pixels: object) -> Pixels:
    """Return `pixels` if it is a uint8 array of shape [H, W, 3], H and W at least 1.

    Raises:
        FrameError: anything else.
    """
    if not isinstance(pixels, np.ndarray):
        raise FrameError(
            f"a frame is a NumPy array of shape [H, W, 3], got {type(pixels).__name__}"
        )
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise FrameError(
            "a frame is RGB, uint8, of shape [H, W, 3] with H and W at least 1, "
            f"got {pixels.dtype} {list(pixels.shape)}"
        )
    return pixels


def check_time(time_seconds: object) -> float:
    """Return the time as a float; FrameError if it is not a finite number."""
    try:
        if isinstance(time_seconds, str | bytes):
            raise TypeError
        value = float(time_seconds)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise FrameError(f"a frame's time is a number of seconds, got {time_seconds!r}") from None
    if not math.isfinite(value):
        raise FrameError(f"a frame's time is a finite number of seconds, got {time_seconds!r}")
    return value


@runtime_checkable
class Frame(Protocol):
    """A picture and its moment. It may cost nothing until `to_rgb` is called.

    `time_seconds` counts from the stream's first frame, or by the caller's own clock;
    `to_rgb()` gives RGB uint8 [H, W, 3].
    """

    @property
    def time_seconds(self) -> float: ...

    def to_rgb(self) -> Pixels: ...


@dataclass(frozen=True, slots=True, eq=False)
class RGBFrame:
    """A `Frame` whose pixels are there: RGB uint8 [H, W, 3], and its time in seconds.

    Raises:
        FrameError: at birth, when the picture or the time is of the wrong kind.
    """

    pixels: Pixels
    time_seconds: float

    def __post_init__(self) -> None:
        check_pixels(self.pixels)
        check_time(self.time_seconds)

    def to_rgb(self) -> Pixels:
        """The pixels themselves, not a copy."""
        return self.pixels

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    def __repr__(self) -> str:
        return f"RGBFrame({self.width}x{self.height}, time_seconds={self.time_seconds:.3f})"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A label and the confidence in it, 0 to 1."""

    label: str
    confidence: float


class _Judgement:
    """What is read off the probabilities of a reading or an answer."""

    __slots__ = ()
    labels: tuple[str, ...]
    probabilities: Probabilities | None
    known: bool

    @property
    def label(self) -> str | None:
        """The best candidate's label, None when it is "no known action"."""
        return self.top(1)[0].label if self.known and self.probabilities is not None else None

    @property
    def confidence(self) -> float:
        """The best candidate's probability, known or not."""
        return 0.0 if self.probabilities is None else float(self.probabilities.max())

    def top(self, count: int = 3) -> list[Candidate]:
        """The `count` most probable labels, best first; ties in the order of the labels."""
        if count < 0:
            raise ValueError(f"count must be 0 or more, got {count}")
        if self.probabilities is None:
            return []
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [Candidate(self.labels[i], float(self.probabilities[i])) for i in order]


@dataclass(frozen=True, slots=True, eq=False)
class Reading(_Judgement):
    """What the network says at one moment of a stream.

    `label`, `confidence`, `known`, `known_score` and `top` are raw: this reading alone.
    `shown` and `shown_confidence` are smoothed over time, for people to read.
    While `status` is "warming_up" there is no answer yet: `label` and `shown` are None, the
    confidences 0 and `top` is empty; `looks_seen` says how far the warming up has come.
    `pose`, float32 [236], is the person's at this look as `actionstream.inference.pose` lays it
    out; None where nobody was found, or the model has no pose.
    """

    status: Status
    time_seconds: float
    looks_seen: int
    labels: tuple[str, ...] = field(repr=False)
    probabilities: Probabilities | None = field(default=None, repr=False)
    known: bool = False
    known_score: float = 0.0
    shown: str | None = None
    shown_confidence: float = 0.0
    age_seconds: float = 0.0
    pose: NDArray[np.float32] | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        if self.probabilities is None:
            return f"Reading({self.time_seconds:.3f} s, warming up, {self.looks_seen} looks)"
        return f"Reading({self.time_seconds:.3f} s, {_said(self)}, shown={self.shown!r})"

    def shown_top(self, count: int = 3) -> list[Candidate]:
        """What people are shown: `shown` with its smoothed confidence, then this moment's best."""
        if self.shown is None:
            return self.top(count)
        others = [one for one in self.top(count + 1) if one.label != self.shown]
        return [Candidate(self.shown, self.shown_confidence), *others][:count]


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time with one label; None is "no known action" (confidence None too)."""

    start_seconds: float
    end_seconds: float
    label: str | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Notice:
    """What an answer or a written video could not rest on, or what was mended for it."""

    kind: NoticeKind
    message: str


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What a file turned out to be. Sizes in pixels as shown (rotation applied)."""

    duration_seconds: float
    frame_rate: float
    width: int
    height: int
    frames_read: int
    frames_encoded: int
    corrupt_packets: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class Timing:
    """Wall-clock seconds: the whole call, decoding (with colour conversion), the encoder."""

    total_seconds: float
    decode_seconds: float
    encode_seconds: float


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a source has no answer."""

    kind: VideoErrorKind
    message: str

    @classmethod
    def of(cls, error: VideoError) -> Failure:
        return cls(error.kind, str(error))


@dataclass(frozen=True, slots=True, eq=False)
class Answer(_Judgement):
    """What happens in a file or in a whole stream.

    `label` is None and `known` False for "no known action"; `confidence` is that of the best
    candidate either way. `probabilities` [K] are the calibrated mean over all readings.
    `several` says that two or more known actions each hold a good part of the segments; then one
    label does not tell what happens. `warnings` say what the answer could not rest on.
    A source that could not be read has `error` set and nothing else.
    """

    source: str
    labels: tuple[str, ...] = field(repr=False)
    probabilities: Probabilities | None = field(default=None, repr=False)
    known: bool = False
    known_score: float = 0.0
    segments: tuple[Segment, ...] = ()
    readings: tuple[Reading, ...] = field(default=(), repr=False)
    video: VideoFacts | None = None
    timing: Timing | None = None
    model: Mapping[str, str] | None = None
    error: Failure | None = None
    several: bool = False
    warnings: tuple[Notice, ...] = ()

    def to_dict(self, *, top: int = 3) -> dict[str, Any]:
        """The answer as the object that `actionstream predict --json` prints."""
        if self.error is not None:
            error = {"kind": self.error.kind, "message": self.error.message}
            return {"source": self.source, "status": "error", "error": error}
        return {
            "source": self.source,
            "status": "ok",
            "label": self.label,
            "confidence": self.confidence,
            "known": self.known,
            "known_score": self.known_score,
            "top": [_fields(candidate) for candidate in self.top(top)],
            "segments": [_fields(segment) for segment in self.segments],
            "video": None if self.video is None else _fields(self.video),
            "timing": None if self.timing is None else _fields(self.timing),
            "model": None if self.model is None else dict(self.model),
            "several": self.several,
            "warnings": [_fields(notice) for notice in self.warnings],
        }

    def to_json(self, *, top: int = 3) -> str:
        """`to_dict` as one line of JSON, floats unrounded."""
        return json.dumps(self.to_dict(top=top), ensure_ascii=False, allow_nan=False)

    def annotate(
        self, video: str | PathLike[str], to: str | PathLike[str], *, skeleton: bool = False
    ) -> None:
        """Write `to`, an MP4: the video that this answer is about with the answer drawn onto it,
        and with `skeleton` the person's pose.

        Raises:
            ValueError, VideoError, VideoWriteError: see `actionstream.annotate`.
        """
        from actionstream.draw.annotate import annotate

        annotate(Path(video), self, Path(to), skeleton=skeleton)

    def save(self, to: str | PathLike[str]) -> None:
        """Write the answer: its video with the answer drawn, or as `.json` what `to_json` says.

        Raises:
            ValueError, VideoError, VideoWriteError: see `annotate`; the video is looked for at
                `source`.
        """
        if Path(to).suffix.lower() == ".json":
            Path(to).write_text(self.to_json() + "\n", encoding="utf-8")
        else:
            self.annotate(self.source, to)

    def to_frame(self) -> DataFrame:
        """The readings as a pandas table, one row each; the probabilities have a column a label.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise MissingExtraError("Answer.to_frame", packages="pandas") from None
        return pd.DataFrame([_row(reading) for reading in self.readings])

    def __repr__(self) -> str:
        said = f"error={self.error.kind!r}" if self.error else _said(self)
        return f"Answer({self.source!r}, {said}, {len(self.segments)} segments)"

    def __rich_repr__(self) -> Iterator[Any]:
        yield self.source
        if self.error is not None:
            yield "error", self.error.message
            return
        yield from (("label", self.label), ("confidence", round(self.confidence, 3)))
        yield "top", [(candidate.label, round(candidate.confidence, 3)) for candidate in self.top()]


def _said(value: Reading | Answer) -> str:
    """The label and the confidence, for a `repr`."""
    return f"label={value.label!r}, confidence={value.confidence:.3f}"


_COLUMNS = (
    *("time_seconds", "status", "label", "confidence", "known", "known_score"),
    *("shown", "shown_confidence"),
)


def _row(reading: Reading) -> dict[str, Any]:
    row = {name: getattr(reading, name) for name in _COLUMNS}
    numbers = reading.probabilities
    row |= {} if numbers is None else dict(zip(reading.labels, numbers.tolist(), strict=True))
    return row


def _fields(value: Candidate | Segment | Notice | VideoFacts | Timing) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}

"""Proof on any clip that file, live stream and the other engine give the same readings.

Three runs over one clip: `recognize` on the file, `Stream.push` on every one of its frames, and
`recognize` with the other engine (PyTorch if the model runs on ONNX Runtime). Every number of
every reading is compared, then the answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from actionstream.progress import Progress
from actionstream.recognizer import Recognizer
from actionstream.results import Answer, Reading, Segment
from actionstream.video import VideoReader

TOLERANCE = 1e-4
"""Largest difference of two probabilities or scores that counts as none."""

_SAME_MOMENT_SECONDS = 1e-6

"""Called with the name of the run, the seconds of video done and, if known, in all."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that is not alike: which, where, and by how much if it is a number.

    `index` and `time_seconds` are those of the reading, None for the answers at the end.
    """

    what: str
    index: int | None
    time_seconds: float | None
    expected: object
    got: object
    by: float | None

    def __str__(self) -> str:
        where = (
            "the answers"
            if self.index is None
            else f"reading {self.index} at {self.time_seconds:.3f} s"
        )
        apart = "" if self.by is None else f", {self.by:.2g} apart"
        return f"{where}: {self.what} is {self.expected!r} and {self.got!r}{apart}"


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two values that must be alike: numbers to `limit`, all else exactly (`limit` None)."""

    kind: str
    what: str
    expected: object
    got: object
    limit: float | None = None

    @property
    def apart(self) -> float:
        """How far two numbers are apart."""
        assert isinstance(self.expected, float)
        assert isinstance(self.got, float)
        return abs(self.expected - self.got)

    @property
    def alike(self) -> bool:
        return self.expected == self.got if self.limit is None else self.apart <= self.limit


@dataclass(slots=True)
class Comparison:
    """The file run against another one.

    name:     what it was compared with.
    readings: pairs of readings compared.
    largest:  the largest difference met, by kind of number.
    first:    the first difference over the tolerance; None if all is alike.
    """

    name: str
    readings: int = 0
    largest: dict[str, float] = field(default_factory=dict)
    first: Difference | None = None

    def _note(self, pair: _Pair, index: int | None = None, seconds: float | None = None) -> None:
        if pair.limit is not None:
            self.largest[pair.kind] = max(self.largest.get(pair.kind, 0.0), pair.apart)
        if self.first is None and not pair.alike:
            by = None if pair.limit is None else pair.apart
            self.first = Difference(pair.what, index, seconds, pair.expected, pair.got, by)


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify_clip` found. `skipped` says why there was no comparison with another engine."""

    answer: Answer
    comparisons: tuple[Comparison, ...]
    tolerance: float
    skipped: str | None = None

    @property
    def ok(self) -> bool:
        return all(comparison.first is None for comparison in self.comparisons)


def verify_clip(
    path: str | Path,
    model: Recognizer,
    *,
    other: Recognizer | None = None,
    skipped: str | None = None,
    tolerance: float = TOLERANCE,
    progress: Progress | None = None,
) -> Verification:
    """Compare the file, the live stream and, if given, another engine on one clip.

    Args:
        path: a plain video file.
        model: its `recognize` is the yardstick.
        other: the same bundle on another engine; None with the reason in `skipped`.
        tolerance: largest difference of probabilities and scores that counts as none.
        progress: called as the runs go on.

    Raises:
        VideoError: the clip cannot be read.
        ValueError: `other` is not the same bundle.
    """
    if other is not None and other.fingerprint != model.fingerprint:
        raise ValueError(f"two bundles: {model.fingerprint} and {other.fingerprint}")
    answer = model.recognize(path, progress=_named(progress, "file"))
    live = play(path, model, progress=_named(progress, "live"))
    comparisons = [compare("live stream, frame by frame", answer, live, tolerance)]
    if other is not None:
        seen = other.recognize(path, progress=_named(progress, other.engine.name))
        comparisons.append(compare(other.engine.describe(), answer, seen, tolerance))
    return Verification(answer, tuple(comparisons), tolerance, skipped)


def _named(progress: Progress | None, name: str) -> Progress | None:
    """The same under another name than the file's."""
    return progress and (lambda done, total, _: progress(done, total, name))


def play(
    path: str | Path,
    model: Recognizer,
    *,
    progress: Progress | None = None,
) -> Answer:
    """The answer of a live stream that is shown every frame of a file, as a camera would."""
    stream = model.live()
    with VideoReader(path, threads=model.threads) as reader:
        duration = reader.probe.duration_seconds
        for frame in reader:
            if stream.push(frame) and progress is not None:
                progress(frame.time_seconds, duration, str(path))
    return stream.finish()


def compare(name: str, expected: Answer, got: Answer, tolerance: float = TOLERANCE) -> Comparison:
    """Compare all readings in their order, then the answers."""
    found = Comparison(name)
    for index, (left, right) in enumerate(zip(expected.readings, got.readings, strict=False)):
        found.readings += 1
        for pair in _of_readings(left, right, tolerance):
            found._note(pair, index, left.time_seconds)
    for pair in _of_answers(expected, got, tolerance):
        found._note(pair)
    return found


def _of_readings(left: Reading, right: Reading, tolerance: float) -> Iterator[_Pair]:
    yield _Pair("time", "time", left.time_seconds, right.time_seconds, _SAME_MOMENT_SECONDS)
    yield _Pair("status", "status", left.status, right.status)
    yield _Pair("looks_seen", "looks_seen", left.looks_seen, right.looks_seen)
    yield _probability(left, right, tolerance)
    yield _number("known_score", left, right, tolerance)
    yield _number("shown_confidence", left, right, tolerance)
    for what in ("known", "label", "shown"):
        yield _Pair(what, what, getattr(left, what), getattr(right, what))


def _of_answers(left: Answer, right: Answer, tolerance: float) -> Iterator[_Pair]:
    yield _Pair("readings", "number of readings", len(left.readings), len(right.readings))
    yield _probability(left, right, tolerance)
    yield _number("known_score", left, right, tolerance)
    for what in ("known", "label"):
        yield _Pair(what, what, getattr(left, what), getattr(right, what))
    yield _Pair("segments", "number of segments", len(left.segments), len(right.segments))
    for index, (one, two) in enumerate(zip(left.segments, right.segments, strict=False)):
        yield from _of_segments(f"segment {index}", one, two, tolerance)


def _of_segments(name: str, one: Segment, two: Segment, tolerance: float) -> Iterator[_Pair]:
    """Starts say all about times: a segment ends where the next one starts, and a stream cannot
    know how long its last frame would have stayed."""
    yield _Pair("label", f"{name}'s label", one.label, two.label)
    start = one.start_seconds, two.start_seconds
    yield _Pair("time", f"{name}'s start", *start, _SAME_MOMENT_SECONDS)
    confidence = one.confidence or 0.0, two.confidence or 0.0
    yield _Pair("segment confidence", f"{name}'s confidence", *confidence, tolerance)


def _number(what: str, left: Reading | Answer, right: Reading | Answer, tolerance: float) -> _Pair:
    return _Pair(what, what, getattr(left, what), getattr(right, what), tolerance)


def _probability(left: Reading | Answer, right: Reading | Answer, tolerance: float) -> _Pair:
    """The label on which the two differ most. A side without probabilities counts as all 0."""
    nothing = np.zeros(len(left.labels), dtype=np.float32)
    one = nothing if left.probabilities is None else left.probabilities
    two = nothing if right.probabilities is None else right.probabilities
    worst = int(np.abs(one - two).argmax())
    what = f"probability of {left.labels[worst]}"
    return _Pair("probability", what, float(one[worst]), float(two[worst]), tolerance)

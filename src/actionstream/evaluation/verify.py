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
from actionstream.results import Answer, Reading
from actionstream.video import VideoReader

TOLERANCE = 1e-4
"""Largest difference of two probabilities or scores that counts as none."""

_SAME_MOMENT_SECONDS = 1e-6

_Facts = Iterator[tuple[str, str, object, object]]
"""Kind, what, expected and got of values that must be alike: floats nearly, all else exactly."""


@dataclass(slots=True)
class Comparison:
    """The file run against another one.

    name:     what it was compared with.
    readings: pairs of readings compared.
    largest:  the largest difference met, by kind of number.
    first:    the first difference over the tolerance, in words: where, what, expected and got,
              and how far apart if they are numbers; None if all is alike.
    """

    name: str
    readings: int = 0
    largest: dict[str, float] = field(default_factory=dict)
    first: str | None = None

    def _take(self, where: str, facts: _Facts, tolerance: float) -> None:
        for kind, what, expected, got in facts:
            alike, apart = expected == got, ""
            if isinstance(expected, float) and isinstance(got, float):
                by = abs(expected - got)
                self.largest[kind] = max(self.largest.get(kind, 0.0), by)
                alike = by <= (_SAME_MOMENT_SECONDS if kind == "time" else tolerance)
                apart = f", {by:.2g} apart"
            if self.first is None and not alike:
                self.first = f"{where}: {what} is {expected!r} and {got!r}{apart}"


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
        where = f"reading {index} at {left.time_seconds:.3f} s"
        found._take(where, _of_readings(left, right), tolerance)
    found._take("the answers", _of_answers(expected, got), tolerance)
    return found


def _of_readings(left: Reading, right: Reading) -> _Facts:
    yield "time", "time", left.time_seconds, right.time_seconds
    yield from _same(left, right, "status", "looks_seen")
    yield _probability(left, right)
    yield from _same(left, right, "known_score", "shown_confidence", "known", "label", "shown")


def _of_answers(left: Answer, right: Answer) -> _Facts:
    yield "readings", "number of readings", len(left.readings), len(right.readings)
    yield _probability(left, right)
    yield from _same(left, right, "known_score", "known", "label")
    yield "segments", "number of segments", len(left.segments), len(right.segments)
    for index, (one, two) in enumerate(zip(left.segments, right.segments, strict=False)):
        name = f"segment {index}"
        yield "label", f"{name}'s label", one.label, two.label
        # A segment ends where the next one starts, and a stream cannot know how long its last
        # frame would have stayed: starts say all about times.
        yield "time", f"{name}'s start", one.start_seconds, two.start_seconds
        confidence = one.confidence or 0.0, two.confidence or 0.0
        yield "segment confidence", f"{name}'s confidence", *confidence


def _same(left: Reading | Answer, right: Reading | Answer, *names: str) -> _Facts:
    return ((name, name, getattr(left, name), getattr(right, name)) for name in names)


def _probability(left: Reading | Answer, right: Reading | Answer) -> tuple[str, str, float, float]:
    """The label on which the two differ most. One without probabilities counts as all 0."""
    nothing = np.zeros(len(left.labels), dtype=np.float32)
    one = nothing if left.probabilities is None else left.probabilities
    two = nothing if right.probabilities is None else right.probabilities
    worst = int(np.abs(one - two).argmax())
    what = f"probability of {left.labels[worst]}"
    return "probability", what, float(one[worst]), float(two[worst])

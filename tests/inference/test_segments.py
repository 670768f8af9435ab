"""Segments of a file, by hand: a reading speaks for the middle of its window."""

from __future__ import annotations

import numpy as np
import pytest

from actionstream.inference.postprocess import file_runs, holds_several, segments
from actionstream.results import Reading, Segment

LABELS = ("a", "b", "c")
SPACING = 0.2


def readings(said: str, known: float = 0.9) -> list[Reading]:
    """A reading a tick of a full window; "?" is a reading over which nothing is known."""
    made = []
    for index, letter in enumerate(said):
        p = np.full(3, 0.1, np.float32)
        p[LABELS.index(letter) if letter in LABELS else 0] = 0.8
        score = 0.0 if letter == "?" else known
        seconds = 100 + (15 + index) * SPACING
        made.append(Reading("ready", seconds, 16 + index, LABELS, p, known_score=score))
    return made


def found(said: str, threshold: float = 0.5) -> list[tuple[str | None, float]]:
    """Label and end of each segment; the zero is at 100 s."""
    made = readings(said)
    duration = made[-1].time_seconds - 100 + SPACING
    runs = file_runs(made, 100.0, SPACING, threshold)
    listed = segments(runs, LABELS, duration)
    return [(one.label, pytest.approx(one.end_seconds)) for one in listed]


def test_a_change_is_where_the_windows_middles_are() -> None:
    """The 20th reading ends at 6.8 s after a window of 3 s: its middle is at 5.3 s."""
    assert found("a" * 20 + "b" * 20) == [("a", 5.4), ("b", 8.0 + 2.8 + 0.2)]


def test_a_short_whim_changes_nothing() -> None:
    assert [label for label, _ in found("a" * 20 + "cc" + "a" * 20)] == ["a"]
    assert [label for label, _ in found("a" * 20 + "?" * 3 + "b" * 20)] == ["a", "b"]


def test_a_long_time_of_nothing_known_has_no_label() -> None:
    assert [label for label, _ in found("a" * 20 + "?" * 30 + "b" * 20)] == ["a", None, "b"]


def test_one_segment_is_judged_by_the_mean_of_the_known_score() -> None:
    assert found("a" * 20, threshold=0.899)[0][0] == "a"
    assert found("a" * 20, threshold=0.901)[0][0] is None


def test_no_answer_no_run() -> None:
    assert file_runs([], 0.0, SPACING, 0.5) == ()
    assert file_runs([Reading("warming_up", 0.0, 1, LABELS)], 0.0, SPACING, 0.5) == ()


@pytest.mark.parametrize(
    ("ends", "several"),
    [((5.0, 10.0), True), ((8.0, 10.0), True), ((8.1, 10.0), False), ((10.0,), False)],
)
def test_several_hold_a_good_part_each(ends: tuple[float, ...], several: bool) -> None:
    starts = (0.0, *ends)
    listed = [Segment(s, e, label, 0.9) for s, e, label in zip(starts, ends, LABELS, strict=False)]
    assert holds_several(listed, 10.0) is several
    unknown = [Segment(s.start_seconds, s.end_seconds, None, None) for s in listed]
    assert not holds_several(unknown, 10.0)

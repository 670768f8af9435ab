"""The values that travel: checked at birth, frozen, and printed as the contract says."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from actionstream.errors import FrameError, MissingExtraError, NoVideoStreamError
from actionstream.results import (
    Answer,
    Candidate,
    Failure,
    Frame,
    Notice,
    Reading,
    RGBFrame,
    Segment,
    Timing,
    VideoFacts,
    check_pixels,
    check_time,
)

LABELS = ("PullUps", "PushUps", "Punch", "Lunges")
PROBABILITIES = np.array([0.2, 0.5, 0.1, 0.2], dtype=np.float32)


def test_a_frame_knows_its_size_and_prints_no_pixels() -> None:
    frame = RGBFrame(np.zeros((48, 64, 3), np.uint8), 1.25)
    assert isinstance(frame, Frame)
    assert frame.to_rgb() is frame.pixels
    assert (frame.height, frame.width, frame.time_seconds) == (48, 64, 1.25)
    assert repr(frame) == "RGBFrame(64x48, time_seconds=1.250)"
    with pytest.raises(dataclasses.FrozenInstanceError):
        frame.time_seconds = 2.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("pixels", "got"),
    [
        (np.zeros((4, 4, 3), np.float32), r"float32 \[4, 4, 3\]"),
        (np.zeros((4, 4), np.uint8), r"uint8 \[4, 4\]"),
        (np.zeros((4, 4, 4), np.uint8), r"uint8 \[4, 4, 4\]"),
        (np.zeros((3, 4, 4), np.uint8), r"uint8 \[3, 4, 4\]"),
        (np.zeros((0, 4, 3), np.uint8), r"uint8 \[0, 4, 3\]"),
        ([[[1, 2, 3]]], "list"),
        (None, "NoneType"),
    ],
)
def test_a_picture_of_another_kind_is_refused(pixels: object, got: str) -> None:
    with pytest.raises(FrameError, match=got):
        RGBFrame(pixels, 0.0)  # type: ignore[arg-type]


def test_pixels_are_returned_as_they_are() -> None:
    pixels = np.zeros((1, 1, 3), np.uint8)
    assert check_pixels(pixels) is pixels


@pytest.mark.parametrize("time", [math.nan, math.inf, -math.inf, "soon", None, [1.0]])
def test_a_time_of_another_kind_is_refused(time: object) -> None:
    with pytest.raises(FrameError, match=r"number of seconds, got"):
        RGBFrame(np.zeros((2, 2, 3), np.uint8), time)  # type: ignore[arg-type]


@pytest.mark.parametrize("time", [0, -3, 1.5, np.float32(2.5), np.int64(7)])
def test_any_finite_number_is_a_time(time: object) -> None:
    value = check_time(time)
    assert type(value) is float
    assert value == time


def test_the_best_are_sorted_and_stable() -> None:
    answer = Answer("a.mp4", LABELS, PROBABILITIES)
    names = [candidate.label for candidate in answer.top(4)]
    assert names == ["PushUps", "PullUps", "Lunges", "Punch"]
    assert answer.top(1) == [Candidate("PushUps", 0.5)]
    assert answer.top(0) == []
    assert len(answer.top(99)) == 4
    with pytest.raises(ValueError, match="0 or more, got -1"):
        answer.top(-1)


@pytest.mark.parametrize("known", [True, False])
def test_an_answer_has_a_confidence_known_or_not(known: bool) -> None:
    answer = Answer("a.mp4", LABELS, PROBABILITIES, known=known)
    assert answer.label == ("PushUps" if known else None)
    assert answer.confidence == 0.5
    assert answer.top(2) == [Candidate("PushUps", 0.5), Candidate("PullUps", pytest.approx(0.2))]


@pytest.mark.parametrize("known", [True, False])
def test_a_reading_has_a_confidence_known_or_not(known: bool) -> None:
    reading = Reading("ready", 1.0, 9, LABELS, PROBABILITIES, known=known)
    assert reading.label == ("PushUps" if known else None)
    assert reading.confidence == 0.5
    assert [candidate.label for candidate in reading.top(2)] == ["PushUps", "PullUps"]


def test_a_stream_that_warms_up_says_nothing() -> None:
    reading = Reading("warming_up", 0.2, 2, LABELS)
    assert (reading.label, reading.shown, reading.confidence, reading.top(3)) == (None, None, 0, [])
    assert (reading.looks_seen, reading.known) == (2, False)


def an_answer() -> Answer:
    return Answer(
        "a.avi",
        LABELS,
        PROBABILITIES,
        known=True,
        known_score=0.93,
        segments=(Segment(0.0, 1.2, "PushUps", 0.96), Segment(1.2, 3.2, None, None)),
        video=VideoFacts(3.2, 25.0, 320, 240, 80, 20, 0, False),
        timing=Timing(0.4, 0.1, 0.2),
        model={"name": "lite", "fingerprint": "0123456789ab"},
        several=True,
        warnings=(Notice("damaged", "3 damaged packets"),),
    )


def test_an_answer_as_json_has_the_promised_keys() -> None:
    line = an_answer().to_json(top=2)
    assert "\n" not in line
    found = json.loads(line)
    assert found == {
        "source": "a.avi",
        "status": "ok",
        "label": "PushUps",
        "confidence": 0.5,
        "known": True,
        "known_score": 0.93,
        "top": [
            {"label": "PushUps", "confidence": 0.5},
            {"label": "PullUps", "confidence": pytest.approx(0.2)},
        ],
        "segments": [
            {"start_seconds": 0.0, "end_seconds": 1.2, "label": "PushUps", "confidence": 0.96},
            {"start_seconds": 1.2, "end_seconds": 3.2, "label": None, "confidence": None},
        ],
        "video": {
            "duration_seconds": 3.2,
            "frame_rate": 25.0,
            "width": 320,
            "height": 240,
            "frames_read": 80,
            "frames_encoded": 20,
            "corrupt_packets": 0,
            "truncated": False,
        },
        "timing": {"total_seconds": 0.4, "decode_seconds": 0.1, "encode_seconds": 0.2},
        "model": {"name": "lite", "fingerprint": "0123456789ab"},
        "several": True,
        "warnings": [{"kind": "damaged", "message": "3 damaged packets"}],
    }
    assert list(found)[:4] == ["source", "status", "label", "confidence"]


def test_floats_are_not_rounded() -> None:
    probabilities = np.array([1 / 3, 1 / 3, 1 / 3], np.float32)
    answer = Answer("a", ("x", "y", "z"), probabilities, known=True)
    assert json.loads(answer.to_json())["confidence"] == float(np.float32(1 / 3))


def test_letters_of_every_script_stay_readable() -> None:
    assert "Заря.mp4" in Answer("Заря.mp4", LABELS, PROBABILITIES).to_json()


def test_a_failure_is_an_error_object_and_nothing_else() -> None:
    failure = Failure.of(NoVideoStreamError("b.mp4", "no video stream (audio only)"))
    answer = Answer("b.mp4", LABELS, error=failure)
    assert json.loads(answer.to_json()) == {
        "source": "b.mp4",
        "status": "error",
        "error": {"kind": "no_video", "message": "b.mp4: no video stream (audio only)"},
    }
    assert (answer.label, answer.confidence, answer.top(3)) == (None, 0.0, [])


def a_reading(seconds: float) -> Reading:
    return Reading("ready", seconds, 9, LABELS, PROBABILITIES, known=True, shown="PushUps")


def test_values_print_short_and_with_the_label() -> None:
    answer = dataclasses.replace(an_answer(), readings=(a_reading(1.0),) * 99)
    assert repr(answer) == "Answer('a.avi', label='PushUps', confidence=0.500, 2 segments)"
    assert list(answer.__rich_repr__())[:3] == ["a.avi", ("label", "PushUps"), ("confidence", 0.5)]
    assert repr(a_reading(1.0)) == (
        "Reading(1.000 s, label='PushUps', confidence=0.500, shown='PushUps')"
    )
    assert repr(Reading("warming_up", 0.2, 2, LABELS)) == "Reading(0.200 s, warming up, 2 looks)"
    failure = Failure.of(NoVideoStreamError("b.mp4", "audio only"))
    failed = Answer("b.mp4", LABELS, error=failure)
    assert repr(failed) == "Answer('b.mp4', error='no_video', 0 segments)"
    assert list(failed.__rich_repr__()) == ["b.mp4", ("error", "b.mp4: audio only")]


def test_readings_as_a_table() -> None:
    pytest.importorskip("pandas", reason="to_frame needs pandas")
    readings = (Reading("warming_up", 0.2, 2, LABELS), a_reading(0.4))
    table = dataclasses.replace(an_answer(), readings=readings).to_frame()
    assert table["time_seconds"].tolist() == [0.2, 0.4]
    assert table["shown"].tolist()[1] == "PushUps"
    assert table["Punch"].tolist()[1] == pytest.approx(0.1)
    assert math.isnan(table["Punch"].tolist()[0])


def test_without_pandas_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match="pip install pandas"):
        an_answer().to_frame()


def test_an_answer_is_saved_as_json(tmp_path: Path) -> None:
    an_answer().save(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == an_answer().to_dict()

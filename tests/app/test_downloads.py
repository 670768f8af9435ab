"""The answer as files."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from actionstream.app import downloads
from actionstream.app.camera_link import Minute
from actionstream.app.jobs import Job
from actionstream.recognizer import Recognizer
from actionstream.results import Answer, Reading, Segment

SVG = "{http://www.w3.org/2000/svg}"


def rows(answer: Answer) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(downloads.as_csv(answer.source, answer.segments))))


@pytest.mark.clips
def test_json_is_what_the_command_line_prints(
    model: Recognizer, ucf101_clip: Callable[..., Path]
) -> None:
    answer = model.recognize(ucf101_clip("PlayingPiano"), source="mine.mp4")
    assert json.loads(downloads.as_json(answer)) == json.loads(answer.to_json())
    assert rows(answer)[0]["source"] == "mine.mp4"
    assert float(rows(answer)[-1]["end_seconds"]) == answer.segments[-1].end_seconds


def test_csv_has_a_row_a_segment_unrounded() -> None:
    segments = (Segment(0.0, 1 / 3, None, None), Segment(1 / 3, 2.0, "PushUps", 0.1 + 0.2))
    assert rows(Answer("a,b.mp4", ("PushUps",), segments=segments)) == [
        {
            "source": "a,b.mp4",
            "start_seconds": "0.0",
            "end_seconds": "0.3333333333333333",
            "label": "",
            "confidence": "",
        },
        {
            "source": "a,b.mp4",
            "start_seconds": "0.3333333333333333",
            "end_seconds": "2.0",
            "label": "PushUps",
            "confidence": "0.30000000000000004",
        },
    ]


def test_the_timeline_is_a_picture_of_the_segments() -> None:
    segments = (Segment(0.0, 1.0, None, None), Segment(1.0, 4.0, "PushUps", 0.9))
    picture = ElementTree.fromstring(downloads.as_svg(segments, 4.0, "PushUps"))
    bars = [bar for bar in picture.iter(f"{SVG}rect") if bar.get("height") == "20"]
    assert [(bar.get("fill"), float(bar.get("width") or 0)) for bar in bars] == [
        ("#0b7a43", pytest.approx(562.5)),
        ("rgb(146,152,160)", pytest.approx(187.5)),
    ]
    words = [text.text for text in picture.iter(f"{SVG}text")]
    assert words == ["0.0 s", "1.0 s", "2.0 s", "3.0 s", "4.0 s", "Push Ups", "No known action"]


def test_a_picture_is_well_formed_whatever_the_labels() -> None:
    segments = [Segment(0.0, 1.0, '<a>\x00 & "b" \ud800', 1.0)]
    picture = ElementTree.fromstring(downloads.as_svg(segments, 0.0, None))
    assert len(list(picture.iter(f"{SVG}rect"))) == 2


def test_all_answers_are_in_one_archive(tmp_path: Path) -> None:
    jobs = [Job(name, tmp_path / f"{number}.mp4") for number, name in enumerate(("a.mp4", "A.avi"))]
    for job in jobs:
        job.answer = Answer(job.name, ("PushUps",), np.ones(1, np.float32), known=True)
    jobs[0].annotated = tmp_path / "annotated.mp4"
    jobs[0].annotated.write_bytes(b"film")
    jobs.append(Job("waiting.mp4", tmp_path / "2.mp4"))
    with zipfile.ZipFile(io.BytesIO(downloads.archive(jobs))) as kept:
        assert kept.namelist() == ["a.json", "a.csv", "a-annotated.mp4", "A-2.json", "A-2.csv"]
        assert kept.read("a-annotated.mp4") == b"film"
        assert json.loads(kept.read("A-2.json"))["source"] == "A.avi"


def test_a_cameras_minute_counts_from_its_first_reading() -> None:
    labels = ("PushUps", "Punch")
    readings = (
        Reading("warming_up", 100.0, 1, labels),
        Reading(
            *("ready", 102.0, 8, labels, np.array([0.8, 0.2], np.float32)),
            shown="PushUps",
            shown_confidence=0.7,
        ),
    )
    minute = Minute(readings, (Segment(102.0, 105.0, "PushUps", 0.7),), 105.0)
    (segment,) = downloads.minute_segments(minute)
    assert (segment.start_seconds, segment.end_seconds) == (2.0, 5.0)
    found = json.loads(downloads.minute_json(minute, {"name": "x"}))
    assert [part["label"] for part in found["segments"]] == ["PushUps"]
    (reading,) = found["readings"]
    assert (reading["time_seconds"], reading["shown"]) == (2.0, "PushUps")
    assert reading["top"][0]["confidence"] == pytest.approx(0.8)


@pytest.mark.parametrize("name", ["=1+1.mp4", "@x", "-x", "+x"])
def test_a_name_is_no_formula(name: str) -> None:
    answer = Answer(name, ("A",), segments=(Segment(0.0, 1.0, "A", 1.0),))
    assert rows(answer)[0]["source"] == f"'{name}"


def test_downloads_are_named_like_the_video() -> None:
    assert downloads.name_for("my clip.final.mov", ".json") == "my clip.final.json"
    assert downloads.name_for("../../etc/passwd", ".csv") == "passwd.csv"
    assert downloads.name_for("", ".csv") == "video.csv"

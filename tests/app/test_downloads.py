"""The answer as files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from actionstream.app import downloads
from actionstream.draw import colour_of, draw_timeline
from actionstream.recognizer import Recognizer
from actionstream.results import Answer, Segment, VideoFacts


def rows(answer: Answer) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(downloads.as_csv(answer))))


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
    segments = (Segment(0.0, 1.0, None, None), Segment(1.0, 2.0, "PushUps", 0.9))
    facts = VideoFacts(2.0, 25.0, 320, 240, 50, 12, 0, False)
    data = downloads.as_picture(Answer("a.mp4", ("PushUps",), segments=segments, video=facts))
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture.convert("RGB"))
    assert (pixels == draw_timeline(segments, 2.0)).all()
    green = (pixels == colour_of("PushUps")).all(axis=2)
    assert green[:, pixels.shape[1] // 2 :].sum() > 1000


@pytest.mark.parametrize("name", ["=1+1.mp4", "@x", "-x", "+x"])
def test_a_name_is_no_formula(name: str) -> None:
    answer = Answer(name, ("A",), segments=(Segment(0.0, 1.0, "A", 1.0),))
    assert rows(answer)[0]["source"] == f"'{name}"


def test_downloads_are_named_like_the_video() -> None:
    assert downloads.name_for("my clip.final.mov", ".json") == "my clip.final.json"
    assert downloads.name_for("../../etc/passwd", ".csv") == "passwd.csv"
    assert downloads.name_for("", ".csv") == "video.csv"

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from clips import make_clip
from damage import joined

from actionstream.video import VideoReader, probe


def test_all_that_a_file_says_of_itself(tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "a.mp4", rotation=90, audio="aac", rate=Fraction(30000, 1001), frames=30
    )
    facts = probe(clip)
    assert (facts.width, facts.height, facts.rotation_degrees) == (64, 48, 90)
    assert facts.frame_rate == pytest.approx(29.97, abs=0.01)
    assert facts.duration_seconds == pytest.approx(30 * 1001 / 30000, abs=0.01)
    assert (facts.codec, facts.pixel_format, facts.has_audio) == ("h264", "yuv420p", True)
    assert "mp4" in facts.container
    with VideoReader(clip) as reader:
        assert reader.probe == facts


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.avi", "a.ts", "a.flv"])
def test_duration_is_that_of_the_frames(tmp_path: Path, name: str) -> None:
    facts = probe(make_clip(tmp_path / name, frames=50))
    assert facts.duration_seconds == pytest.approx(2.0, abs=0.01)
    assert not facts.has_audio


def test_a_stream_without_a_length_has_none(tmp_path: Path) -> None:
    assert probe(make_clip(tmp_path / "a.h264", frames=50)).duration_seconds is None


def test_the_larger_of_two_films_is_taken(tmp_path: Path) -> None:
    small = make_clip(tmp_path / "small.mp4", size=(32, 32), frames=3)
    large = make_clip(tmp_path / "large.mp4", size=(128, 96), frames=3)
    both = tmp_path / "both.mkv"
    joined((small, large), both)
    assert (probe(both).width, probe(both).height) == (128, 96)

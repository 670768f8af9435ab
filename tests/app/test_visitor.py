"""What a visitor holds, and that it is freed."""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from actionstream.app.jobs import Runner
from actionstream.app.visitor import MOST_VIDEOS, TooManyVideosError, Visitor
from actionstream.errors import BundleError
from actionstream.recognizer import Recognizer


@pytest.fixture
def runner() -> Iterator[Runner]:
    running = Runner()
    yield running
    running.close()


def no_model() -> Recognizer:
    raise BundleError("none", ["not needed here"])


def test_files_are_private_and_under_random_names(runner: Runner, tmp_path: Path) -> None:
    visitor, other = Visitor.arrive(tmp_path), Visitor.arrive(tmp_path)
    job = visitor.add("../../evil name.MP4", io.BytesIO(b"abc"), runner, no_model)
    assert job.source.parent == visitor.folder != other.folder
    assert stat.S_IMODE(visitor.folder.stat().st_mode) == 0o700
    assert "evil" not in job.source.name
    assert job.source.suffix == ".mp4"
    assert job.source.read_bytes() == b"abc"
    assert job.name == "../../evil name.MP4"


@pytest.mark.parametrize("name", ["clip", "clip.", "clip.a/b", "clip.toolongasuffix", "clip.ü"])
def test_a_strange_suffix_is_left_out(name: str, runner: Runner, tmp_path: Path) -> None:
    job = Visitor.arrive(tmp_path).add(name, io.BytesIO(b"abc"), runner, no_model)
    assert job.source.suffix == ""


def test_removing_a_video_removes_its_files_only(runner: Runner, tmp_path: Path) -> None:
    visitor = Visitor.arrive(tmp_path)
    first, second = (
        visitor.add(name, io.BytesIO(b"abc"), runner, no_model) for name in ("a.mp4", "b.mp4")
    )
    first.source.with_name(f"{first.source.stem}-annotated.mp4").touch()
    visitor.remove(first)
    assert visitor.jobs == [second]
    assert list(visitor.folder.iterdir()) == [second.source]


def test_leaving_frees_everything(runner: Runner, tmp_path: Path) -> None:
    visitor = Visitor.arrive(tmp_path)
    job = visitor.add("a.mp4", io.BytesIO(b"abc"), runner, no_model)
    visitor.leave()
    visitor.leave()
    assert visitor.closed
    assert job.is_cancelled()
    assert list(tmp_path.iterdir()) == []


def test_there_is_a_most(runner: Runner, tmp_path: Path) -> None:
    visitor = Visitor.arrive(tmp_path)
    for number in range(MOST_VIDEOS):
        visitor.add(f"{number}.mp4", io.BytesIO(b"abc"), runner, no_model)
    with pytest.raises(TooManyVideosError):
        visitor.add("more.mp4", io.BytesIO(b"abc"), runner, no_model)
    assert len(list(visitor.folder.iterdir())) == MOST_VIDEOS

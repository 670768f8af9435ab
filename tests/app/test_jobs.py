"""The threads that work on uploads, with the real model on real and broken videos."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clips import make_clip, make_sound

from actionstream.app import jobs, words
from actionstream.app.job import Job
from actionstream.app.jobs import QueueFullError, Runner
from actionstream.app.space import Space
from actionstream.app.visitor import Visitor
from actionstream.recognizer import Recognizer
from actionstream.video import probe
from actionstream.video.transcode import browser_playable


def plenty() -> None:
    """There is room for everything."""


@pytest.fixture
def runner() -> Iterator[Runner]:
    running = Runner(plenty)
    yield running
    running.close()


def finish(job: Job, seconds: float = 60.0) -> Job:
    deadline = time.monotonic() + seconds
    while not job.finished and time.monotonic() < deadline:
        time.sleep(0.01)
    assert job.finished, f"still {job.stage}"
    return job


@pytest.mark.clips
def test_a_video_is_read_drawn_and_made_playable(
    runner: Runner, model: Recognizer, ucf101_clip: Callable[..., Path], tmp_path: Path
) -> None:
    source = tmp_path / "0123.mp4"
    source.write_bytes(ucf101_clip("PlayingPiano").read_bytes())
    job = Job("piano.mp4", source)
    runner.submit(job, lambda: model, visitor="somebody")
    assert finish(job).stage == "done"
    assert job.answer is not None
    assert (job.answer.label, job.answer.source) == ("PlayingPiano", "piano.mp4")
    assert job.original == source
    assert job.annotated is not None
    assert browser_playable(job.annotated)
    assert probe(job.annotated).width == probe(source).width


def test_an_old_codec_gets_a_copy_for_the_browser(
    runner: Runner, model: Recognizer, tmp_path: Path
) -> None:
    job = Job("old.avi", make_clip(tmp_path / "old.avi", codec="mpeg4", frames=30))
    runner.submit(job, lambda: model, visitor="somebody")
    assert finish(job).stage == "done"
    assert job.original not in (None, job.source)
    assert browser_playable(job.original or "")


def test_broken_videos_are_explained_and_the_next_one_still_works(
    runner: Runner, model: Recognizer, tmp_path: Path
) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").touch()
    make_sound(tmp_path / "sound.m4a")
    broken = [Job(name, tmp_path / name) for name in ("text.mp4", "empty.mp4", "sound.m4a")]
    good = Job("good.mp4", make_clip(tmp_path / "good.mp4"))
    for job in (*broken, good):
        runner.submit(job, lambda: model, visitor="somebody")
    assert finish(good).stage == "done"
    assert [job.stage for job in broken] == ["failed"] * 3
    said = [words.problem(job) for job in broken]
    assert "cannot be read as a video" in said[0]
    assert "is empty" in said[1]
    assert "no picture" in said[2]


def test_a_failure_of_the_program_itself_ends_one_job_only(
    runner: Runner, model: Recognizer, tmp_path: Path
) -> None:
    def fail() -> Recognizer:
        raise RuntimeError("on purpose")

    clip = make_clip(tmp_path / "clip.mp4")
    bad, good = Job("bad", clip), Job("good", clip)
    runner.submit(bad, fail, visitor="somebody")
    runner.submit(good, lambda: model, visitor="somebody")
    assert finish(good).stage == "done"
    assert bad.stage == "failed"
    assert "on purpose" not in words.problem(bad)


def test_a_job_is_left_soon_after_it_is_cancelled(
    runner: Runner, model: Recognizer, tmp_path: Path
) -> None:
    long = make_clip(tmp_path / "long.mp4", frames=5000)
    first, second = Job("first", long), Job("second", long)
    runner.submit(first, lambda: model, visitor="somebody")
    runner.submit(second, lambda: model, visitor="somebody")
    while first.share == 0.0 and not first.finished:
        time.sleep(0.01)
    second.cancel()
    first.cancel()
    assert finish(first, 10).stage == "cancelled"
    assert finish(second, 10).stage == "cancelled"
    assert 0 < first.share < 1
    assert second.answer is None
    assert [path.name for path in tmp_path.iterdir()] == ["long.mp4"]


@pytest.mark.parametrize("leaves", [False, True])
@pytest.mark.parametrize("writer", ["annotate", "to_browser_mp4"])
def test_a_file_that_appears_while_its_video_is_removed_goes_too(
    writer: str,
    leaves: bool,
    runner: Runner,
    model: Recognizer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`Visitor.remove` deletes what is there; a file may get its final name right afterwards."""
    visitor = Visitor.arrive(Space(tmp_path, 10**9))
    clip = make_clip(tmp_path / "clip.mp4", codec="mpeg4", frames=60)
    write = getattr(jobs, writer)

    def write_late(source: Path, *rest: Any, **_: Any) -> None:
        if leaves:
            visitor.leave()
            visitor.folder.mkdir()
            clip.rename(source)
        else:
            job.cancel()
        if writer == "annotate":
            write(source, *rest)
        else:
            write(source, rest[0])

    monkeypatch.setattr(jobs, writer, write_late)
    with clip.open("rb") as data:
        job = visitor.add("a.mp4", data, runner, lambda: model)
    assert finish(job).stage == "cancelled"
    assert visitor.folder.exists() != leaves
    assert list(visitor.folder.glob("*")) == ([] if leaves else [job.source])
    assert (job.annotated, job.original) == (None, None)


@pytest.mark.parametrize("size", [(4112, 2304), (2304, 4112)])
def test_pictures_beyond_4k_are_refused_in_words(
    size: tuple[int, int], runner: Runner, model: Recognizer, tmp_path: Path
) -> None:
    options = {"preset": "ultrafast"}
    job = Job("vast", make_clip(tmp_path / "vast.mp4", size=size, frames=2, options=options))
    runner.submit(job, lambda: model, visitor="somebody")
    assert finish(job).stage == "failed"
    assert "up to about 4096×2304 pixels" in words.problem(job)
    assert job.answer is None


def test_only_so_many_large_videos_are_drawn_at_once(
    model: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large is what is over LARGE_PIXELS; small ones do not wait for them."""
    monkeypatch.setattr(jobs, "LARGE_PIXELS", 64 * 48)
    monkeypatch.setattr(jobs, "MOST_LARGE", 1)
    monkeypatch.setattr(jobs, "SLICE_SECONDS", 0.0)
    runner = Runner(plenty)
    first, second, small = (
        Job(name, make_clip(tmp_path / f"{name}.mp4", size=size, frames=frames))
        for name, size, frames in (
            ("first", (320, 240), 1200),
            ("second", (320, 240), 30),
            ("small", (64, 48), 30),
        )
    )
    try:
        runner.submit(first, lambda: model, visitor="one")
        while first.stage != "drawing" or first.share == 0.0:
            time.sleep(0.002)
        runner.submit(second, lambda: model, visitor="two")
        runner.submit(small, lambda: model, visitor="three")
        assert finish(small).stage == "done"
        while second.answer is None:
            time.sleep(0.002)
        time.sleep(0.3)
        assert (first.stage, second.stage, second.share) == ("drawing", "drawing", 0.0)
        first.cancel()
        assert finish(second).stage == "done"
    finally:
        runner.close()


def test_a_long_video_holds_up_no_other_visitor(model: Recognizer, tmp_path: Path) -> None:
    runner = Runner(plenty)
    long = Job("long", make_clip(tmp_path / "long.mp4", frames=8000))
    short = Job("short", make_clip(tmp_path / "short.mp4", frames=30))
    try:
        runner.submit(long, lambda: model, visitor="one")
        while long.share == 0.0:
            time.sleep(0.01)
        runner.submit(short, lambda: model, visitor="other")
        assert finish(short).stage == "done"
        assert long.stage == "reading"
        share = long.share
        while long.share == share:  # it goes on
            time.sleep(0.01)
    finally:
        runner.close()
    assert long.stage == "cancelled"


def test_a_visitors_own_videos_come_one_after_the_other(
    runner: Runner, model: Recognizer, tmp_path: Path
) -> None:
    first = Job("first", make_clip(tmp_path / "long.mp4", frames=8000))
    second = Job("second", make_clip(tmp_path / "short.mp4", frames=30))
    other = Job("other", second.source)
    for job, visitor in ((first, "one"), (second, "one"), (other, "other")):
        runner.submit(job, lambda: model, visitor=visitor)
    assert finish(other).stage == "done"
    assert (first.finished, second.stage) == (False, "waiting")
    first.cancel()
    assert finish(second).stage == "done"


def test_the_time_of_others_turns_is_not_counted(
    runner: Runner, model: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner._turns, "_slice_seconds", 0.0)
    job = Job("clip", make_clip(tmp_path / "clip.mp4", frames=1500))
    began = time.monotonic()
    runner.submit(job, lambda: model, visitor="one")
    while job.share == 0.0:
        time.sleep(0.002)
    with runner._turns.taking(lambda: False):
        assert job.stage == "reading"
        time.sleep(1.0)
        assert job.answer is None
    while job.answer is None:
        time.sleep(0.002)
    timing = job.answer.timing
    assert timing is not None
    assert timing.total_seconds < time.monotonic() - began - 0.9
    assert 0 < timing.decode_seconds < timing.total_seconds


def test_a_copy_that_takes_all_room_is_given_up(
    model: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "CHECK_SECONDS", 0.0)
    clip = make_clip(tmp_path / "clip.mp4", size=(320, 240), frames=900)
    runner = Runner(Space(tmp_path, clip.stat().st_size).check)
    job = Job("clip", clip)
    try:
        runner.submit(job, lambda: model, visitor="one")
        assert finish(job).stage == "failed"
    finally:
        runner.close()
    assert job.answer is not None, "it failed while the copy was written"
    assert "room for videos was used up" in words.problem(job)
    assert list(tmp_path.iterdir()) == [clip]


def test_a_full_queue_says_so(
    runner: Runner, model: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MOST_WAITING", 1)
    small = Runner(plenty)
    try:
        long = make_clip(tmp_path / "long.mp4", frames=2000)
        first, second, third = (Job(name, long) for name in ("first", "second", "third"))
        small.submit(first, lambda: model, visitor="somebody")
        while first.stage == "waiting":
            time.sleep(0.01)
        small.submit(second, lambda: model, visitor="somebody")
        with pytest.raises(QueueFullError, match="1 videos are waiting"):
            small.submit(third, lambda: model, visitor="somebody")
    finally:
        small.close()


def test_closing_leaves_the_job_in_hand(model: Recognizer, tmp_path: Path) -> None:
    runner = Runner(plenty)
    clip = make_clip(tmp_path / "long.mp4", frames=5000)
    running, waiting = Job("running", clip), Job("waiting", clip)
    runner.submit(running, lambda: model, visitor="somebody")
    runner.submit(waiting, lambda: model, visitor="somebody")
    while running.stage == "waiting":
        time.sleep(0.01)
    runner.close()
    assert (running.stage, waiting.stage) == ("cancelled", "cancelled")

"""The threads that work on uploads, with the real model on real and broken videos."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clips import make_clip, make_sound

from actionstream.app import jobs, words
from actionstream.app.jobs import Job, JobQueue, QueueFullError
from actionstream.app.visitor import Quota, Visitor
from actionstream.errors import VideoWriteError
from actionstream.recognizer import Recognizer
from actionstream.results import Notice
from actionstream.video import probe
from actionstream.video.transcode import browser_playable


def plenty() -> None:
    """There is room for everything."""


@pytest.fixture
def queue() -> Iterator[JobQueue]:
    running = JobQueue(plenty)
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
    queue: JobQueue, model: Recognizer, ucf101_clip: Callable[..., Path], tmp_path: Path
) -> None:
    source = tmp_path / "0123.mp4"
    source.write_bytes(ucf101_clip("PlayingPiano").read_bytes())
    job = Job("piano.mp4", source)
    queue.submit(job, lambda: model, visitor="somebody")
    assert finish(job).stage == "done"
    assert job.answer is not None
    assert (job.answer.label, job.answer.source) == ("PlayingPiano", "piano.mp4")
    assert job.original == source
    assert job.annotated is not None
    assert browser_playable(job.annotated)
    assert probe(job.annotated).width == probe(source).width


def test_an_old_codec_gets_a_copy_for_the_browser(
    queue: JobQueue, model: Recognizer, tmp_path: Path
) -> None:
    job = Job("old.avi", make_clip(tmp_path / "old.avi", codec="mpeg4", frames=30))
    queue.submit(job, lambda: model, visitor="somebody")
    assert finish(job).stage == "done"
    assert job.original not in (None, job.source)
    assert browser_playable(job.original or "")


def test_broken_videos_are_explained_and_the_next_one_still_works(
    queue: JobQueue, model: Recognizer, tmp_path: Path
) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").touch()
    make_sound(tmp_path / "sound.m4a")
    broken = [Job(name, tmp_path / name) for name in ("text.mp4", "empty.mp4", "sound.m4a")]
    good = Job("good.mp4", make_clip(tmp_path / "good.mp4"))
    for job in (*broken, good):
        queue.submit(job, lambda: model, visitor="somebody")
    assert finish(good).stage == "done"
    assert [job.stage for job in broken] == ["failed"] * 3
    said = [words.problem(job) for job in broken]
    assert "cannot be read as a video" in said[0]
    assert "is empty" in said[1]
    assert "no picture" in said[2]


def test_a_failure_of_the_program_itself_ends_one_job_only(
    queue: JobQueue, model: Recognizer, tmp_path: Path
) -> None:
    def fail() -> Recognizer:
        raise RuntimeError("on purpose")

    clip = make_clip(tmp_path / "clip.mp4")
    bad, good = Job("bad", clip), Job("good", clip)
    queue.submit(bad, fail, visitor="somebody")
    queue.submit(good, lambda: model, visitor="somebody")
    assert finish(good).stage == "done"
    assert bad.stage == "failed"
    assert "on purpose" not in words.problem(bad)


def test_a_job_is_left_soon_after_it_is_cancelled(
    queue: JobQueue, model: Recognizer, tmp_path: Path
) -> None:
    long = make_clip(tmp_path / "long.mp4", frames=5000)
    first, second = Job("first", long), Job("second", long)
    queue.submit(first, lambda: model, visitor="somebody")
    queue.submit(second, lambda: model, visitor="somebody")
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
    queue: JobQueue,
    model: Recognizer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`Visitor.remove` deletes what is there; a file may get its final name right afterwards."""
    visitor = Visitor.arrive(Quota(tmp_path, 10**9))
    clip = make_clip(tmp_path / "clip.mp4", codec="mpeg4", frames=60)
    write = getattr(jobs, writer)

    def write_late(source: Path, *rest: Any, **_: Any) -> tuple[Notice, ...]:
        if leaves:
            visitor.leave("its tab")
            visitor.folder.mkdir()
            clip.rename(source)
        else:
            job.cancel()
        said: tuple[Notice, ...] = write(source, *(rest if writer == "annotate" else rest[:1]))
        return said

    monkeypatch.setattr(jobs, writer, write_late)
    with clip.open("rb") as data:
        job = visitor.add("a.mp4", data, queue, lambda: model)
    assert finish(job).stage == "cancelled"
    assert visitor.folder.exists() != leaves
    assert list(visitor.folder.glob("*")) == ([] if leaves else [job.source])
    assert (job.annotated, job.original) == (None, None)


@pytest.mark.parametrize("size", [(4112, 2304), (2304, 4112)])
def test_pictures_beyond_4k_are_refused_in_words(
    size: tuple[int, int], queue: JobQueue, model: Recognizer, tmp_path: Path
) -> None:
    options = {"preset": "ultrafast"}
    job = Job("vast", make_clip(tmp_path / "vast.mp4", size=size, frames=2, options=options))
    queue.submit(job, lambda: model, visitor="somebody")
    assert finish(job).stage == "failed"
    assert "up to about 4096×2304 pixels" in words.problem(job)
    assert job.answer is None


def test_a_long_video_holds_up_no_other_visitor(model: Recognizer, tmp_path: Path) -> None:
    queue = JobQueue(plenty)
    long = Job("long", make_clip(tmp_path / "long.mp4", frames=8000))
    short = Job("short", make_clip(tmp_path / "short.mp4", frames=30))
    try:
        queue.submit(long, lambda: model, visitor="one")
        while long.share == 0.0:
            time.sleep(0.01)
        queue.submit(short, lambda: model, visitor="other")
        assert finish(short).stage == "done"
        assert long.stage == "reading"
        share = long.share
        while long.share == share:  # it goes on
            time.sleep(0.01)
    finally:
        queue.close()
    assert long.stage == "cancelled"


def test_a_visitors_own_videos_come_one_after_the_other(
    queue: JobQueue, model: Recognizer, tmp_path: Path
) -> None:
    first = Job("first", make_clip(tmp_path / "long.mp4", frames=8000))
    second = Job("second", make_clip(tmp_path / "short.mp4", frames=30))
    other = Job("other", second.source)
    for job, visitor in ((first, "one"), (second, "one"), (other, "other")):
        queue.submit(job, lambda: model, visitor=visitor)
    assert finish(other).stage == "done"
    assert (first.finished, second.stage) == (False, "waiting")
    first.cancel()
    assert finish(second).stage == "done"


def test_a_copy_that_takes_all_room_is_given_up(
    model: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "CHECK_SECONDS", 0.0)
    clip = make_clip(tmp_path / "clip.mp4", size=(320, 240), frames=400)
    queue = JobQueue(Quota(tmp_path, clip.stat().st_size).check)
    job = Job("clip", clip)
    try:
        queue.submit(job, lambda: model, visitor="one")
        assert finish(job).stage == "done"
    finally:
        queue.close()
    assert job.answer is not None, "it was given up while the copy was written"
    assert (job.annotated, job.original) == (None, clip), "the file itself takes no room"
    assert "room for videos was used up" in words.problem(job)
    assert list(tmp_path.iterdir()) == [clip]


def test_an_answer_is_kept_whatever_happens_to_the_video(
    queue: JobQueue, model: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise VideoWriteError("annotated.mp4") from OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(jobs, "annotate", fail)
    job = Job("clip", make_clip(tmp_path / "clip.mp4"))
    queue.submit(job, lambda: model, visitor="somebody")
    assert finish(job).stage == "done"
    assert job.answer is not None
    assert (job.annotated, job.original) == (None, job.source)
    assert words.problem(job) == "The server's disk is full."


def test_what_could_not_go_along_is_told(
    queue: JobQueue, model: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notice = Notice("sound", "the sound could not be copied")
    monkeypatch.setattr(jobs, "annotate", lambda *_, **__: (notice,))
    monkeypatch.setattr(jobs, "to_browser_mp4", lambda *_, **__: (notice,))
    job = Job("old.avi", make_clip(tmp_path / "old.avi", codec="mpeg4", frames=60))
    queue.submit(job, lambda: model, visitor="somebody")
    assert finish(job).notices == (notice,)
    assert job.reading is not None, "the answer so far"
    assert job.reading.time_seconds > 1


def test_the_time_left_follows_from_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(jobs.time, "monotonic", lambda: now)
    job = Job("clip", Path("clip.mp4"))
    assert job.seconds_left() is None
    job.begin("reading")
    job.report(0.0, 60.0)
    assert job.seconds_left() is None, "too early to say"
    now = 110.0
    job.report(15.0, 60.0)
    assert job.seconds_left() == pytest.approx(30.0)
    assert words.stage(job) == "Looking at the video: 25%"
    assert words.time_left(job.seconds_left()) == "about 30 s left"
    job.stage = "done"
    assert job.seconds_left() is None


def test_the_place_in_the_queue_is_told(queue: JobQueue, model: Recognizer, tmp_path: Path) -> None:
    long = make_clip(tmp_path / "long.mp4", frames=5000)
    first, second, third = (Job(name, long) for name in ("first", "second", "third"))
    for job in (first, second, third):
        queue.submit(job, lambda: model, visitor="somebody")
    while first.stage == "waiting":
        time.sleep(0.01)
    assert [queue.before(job) for job in (first, second, third)] == [0, 0, 1]


def test_a_full_queue_says_so(
    queue: JobQueue, model: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MOST_WAITING", 1)
    small = JobQueue(plenty)
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
    queue = JobQueue(plenty)
    clip = make_clip(tmp_path / "long.mp4", frames=5000)
    running, waiting = Job("running", clip), Job("waiting", clip)
    queue.submit(running, lambda: model, visitor="somebody")
    queue.submit(waiting, lambda: model, visitor="somebody")
    while running.stage == "waiting":
        time.sleep(0.01)
    queue.close()
    assert (running.stage, waiting.stage) == ("cancelled", "cancelled")

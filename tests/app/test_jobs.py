"""The threads that work on uploads, with the real model on real and broken videos."""

from __future__ import annotations

import errno
import pickle
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from clips import make_clip, make_sound
from damage import scrambled_sound

from actionstream.app import jobs, words
from actionstream.app.jobs import Job, JobQueue, QueueFullError
from actionstream.app.visitor import Quota, Visitor
from actionstream.app.work import Convert, Draw
from actionstream.batch.worker import ProcessLimits, Setup, Worker
from actionstream.errors import VideoCrashedError, VideoError, VideoTooLargeError, VideoWriteError
from actionstream.video import Limits, VideoReader, probe
from actionstream.video.transcode import browser_playable
from actionstream.video.writer import explain_writing

MODEL = Setup(threads=1)


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
    queue: JobQueue, ucf101_clip: Callable[..., Path], tmp_path: Path
) -> None:
    source = tmp_path / "0123.mp4"
    source.write_bytes(ucf101_clip("PlayingPiano").read_bytes())
    job = Job("piano.mp4", source)
    queue.submit(job, lambda: MODEL, visitor="somebody")
    assert finish(job).stage == "done"
    assert job.answer is not None
    assert (job.answer.label, job.answer.source) == ("PlayingPiano", "piano.mp4")
    assert job.original == source
    assert job.annotated is not None
    assert browser_playable(job.annotated)
    assert probe(job.annotated).width == probe(source).width


def test_an_old_codec_gets_a_copy_for_the_browser(queue: JobQueue, tmp_path: Path) -> None:
    job = Job("old.avi", make_clip(tmp_path / "old.avi", codec="mpeg4", frames=30))
    queue.submit(job, lambda: MODEL, visitor="somebody")
    assert finish(job).stage == "done"
    assert job.original not in (None, job.source)
    assert browser_playable(job.original or "")


def test_broken_videos_are_explained_and_the_next_one_still_works(
    queue: JobQueue, tmp_path: Path
) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").touch()
    make_sound(tmp_path / "sound.m4a")
    broken = [Job(name, tmp_path / name) for name in ("text.mp4", "empty.mp4", "sound.m4a")]
    good = Job("good.mp4", make_clip(tmp_path / "good.mp4"))
    for job in (*broken, good):
        queue.submit(job, lambda: MODEL, visitor="somebody")
    assert finish(good).stage == "done"
    assert [job.stage for job in broken] == ["failed"] * 3
    said = [words.problem(job) for job in broken]
    assert "cannot be read as a video" in said[0]
    assert "is empty" in said[1]
    assert "no picture" in said[2]


def test_a_failure_of_the_program_itself_ends_one_job_only(queue: JobQueue, tmp_path: Path) -> None:
    def fail() -> Setup:
        raise RuntimeError("on purpose")

    clip = make_clip(tmp_path / "clip.mp4")
    bad, good = Job("bad", clip), Job("good", clip)
    queue.submit(bad, fail, visitor="somebody")
    queue.submit(good, lambda: MODEL, visitor="somebody")
    assert finish(good).stage == "done"
    assert bad.stage == "failed"
    assert "on purpose" not in words.problem(bad)


def test_a_job_is_left_soon_after_it_is_cancelled(queue: JobQueue, tmp_path: Path) -> None:
    long = make_clip(tmp_path / "long.mp4", frames=5000)
    first, second = Job("first", long), Job("second", long)
    queue.submit(first, lambda: MODEL, visitor="somebody")
    queue.submit(second, lambda: MODEL, visitor="somebody")
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
@pytest.mark.parametrize("stage", [Draw, Convert])
def test_a_file_that_appears_while_its_video_is_removed_goes_too(
    stage: type,
    leaves: bool,
    queue: JobQueue,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`Visitor.remove` deletes what is there; a file may get its final name right afterwards."""
    visitor = Visitor.arrive(Quota(tmp_path, 10**9))
    clip = make_clip(tmp_path / "clip.mp4", codec="mpeg4", frames=60)
    run = Worker.run

    def run_late(worker: Worker, task: Any, **rest: Any) -> Any:
        if not isinstance(task, stage):
            return run(worker, task, **rest)
        if leaves:
            visitor.leave("its tab")
            visitor.folder.mkdir()
            clip.rename(task.source)
        else:
            job.cancel()
        return run(worker, task, source=rest["source"])

    monkeypatch.setattr(Worker, "run", run_late)
    with clip.open("rb") as data:
        job = visitor.add("a.mp4", data, queue, lambda: MODEL)
    assert finish(job).stage == "cancelled"
    assert visitor.folder.exists() != leaves
    assert list(visitor.folder.glob("*")) == ([] if leaves else [job.source])
    assert (job.annotated, job.original) == (None, None)


@pytest.mark.parametrize("size", [(4112, 2304), (2304, 4112)])
def test_pictures_beyond_4k_are_refused_in_words(
    size: tuple[int, int], queue: JobQueue, tmp_path: Path
) -> None:
    options = {"preset": "ultrafast"}
    job = Job("vast", make_clip(tmp_path / "vast.mp4", size=size, frames=2, options=options))
    queue.submit(job, lambda: MODEL, visitor="somebody")
    assert finish(job).stage == "failed"
    assert "up to about 4096×2304 pixels" in words.problem(job)
    assert job.answer is None


def test_a_long_video_holds_up_no_other_visitor(tmp_path: Path) -> None:
    queue = JobQueue(plenty)
    long = Job("long", make_clip(tmp_path / "long.mp4", frames=8000))
    short = Job("short", make_clip(tmp_path / "short.mp4", frames=30))
    try:
        queue.submit(long, lambda: MODEL, visitor="one")
        while long.share == 0.0:
            time.sleep(0.01)
        queue.submit(short, lambda: MODEL, visitor="other")
        assert finish(short).stage == "done"
        assert long.stage == "reading"
        share = long.share
        while long.share == share:  # it goes on
            time.sleep(0.01)
    finally:
        queue.close()
    assert long.stage == "cancelled"


def test_a_visitors_own_videos_come_one_after_the_other(queue: JobQueue, tmp_path: Path) -> None:
    first = Job("first", make_clip(tmp_path / "long.mp4", frames=8000))
    second = Job("second", make_clip(tmp_path / "short.mp4", frames=30))
    other = Job("other", second.source)
    for job, visitor in ((first, "one"), (second, "one"), (other, "other")):
        queue.submit(job, lambda: MODEL, visitor=visitor)
    assert finish(other).stage == "done"
    assert (first.finished, second.stage) == (False, "waiting")
    first.cancel()
    assert finish(second).stage == "done"


def test_a_copy_that_takes_all_room_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "CHECK_SECONDS", 0.0)
    clip = make_clip(tmp_path / "clip.mp4", size=(320, 240), frames=400)
    queue = JobQueue(Quota(tmp_path, clip.stat().st_size).check)
    job = Job("clip", clip)
    try:
        queue.submit(job, lambda: MODEL, visitor="one")
        assert finish(job).stage == "done"
    finally:
        queue.close()
    assert job.answer is not None, "it was given up while the copy was written"
    assert (job.annotated, job.original) == (None, clip), "the file itself takes no room"
    assert "room for videos was used up" in words.problem(job)
    assert list(tmp_path.iterdir()) == [clip]


def test_an_answer_is_kept_whatever_happens_to_the_video(queue: JobQueue, tmp_path: Path) -> None:
    job = Job("clip", make_clip(tmp_path / "clip.mp4"))
    job.output("annotated").mkdir()
    queue.submit(job, lambda: MODEL, visitor="somebody")
    assert finish(job).stage == "done"
    assert job.answer is not None
    assert (job.annotated, job.original) == (None, job.source)
    assert isinstance(job.error, VideoWriteError)
    assert "something went wrong" in words.problem(job).lower()


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """The error of the worker's process says so here, too."""
    job = Job("clip", make_clip(tmp_path / "clip.mp4"))
    job.fail(pickle.loads(pickle.dumps(explain_writing(tmp_path, OSError(errno.ENOSPC, "full")))))
    assert words.problem(job) == "The server's disk is full."


@pytest.mark.skipif(sys.platform != "linux", reason="kills processes of this one")
@pytest.mark.parametrize("stage", ["reading", "drawing"])
def test_the_death_of_its_process_costs_one_video(
    stage: str, queue: JobQueue, tmp_path: Path
) -> None:
    long = make_clip(tmp_path / "long.mp4", frames=1000)
    first, second = Job("first", long), Job("second", make_clip(tmp_path / "short.mp4"))
    queue.submit(first, lambda: MODEL, visitor="somebody")
    queue.submit(second, lambda: MODEL, visitor="somebody")
    while not (first.stage == stage and first.share > 0):
        time.sleep(0.01)
    kill_workers()
    assert finish(second).stage == "done"
    assert isinstance(first.error, VideoCrashedError)
    assert "failed on the server" in words.problem(first)
    assert (first.answer is None) == (stage == "reading")
    assert first.stage == ("failed" if stage == "reading" else "done")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts addresses")
def test_memory_beyond_the_limit_costs_one_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures of 9 megapixels take 28 MB as RGB, and the decoder keeps several."""
    plain = pytest.importorskip("plain_bundle", reason="needs the extra 'test'").plain_bundle
    small = Setup(model=plain(tmp_path / "bundle"), threads=1)
    monkeypatch.setattr(jobs, "PROCESS", ProcessLimits(memory_bytes=60 << 20))
    options = {"preset": "ultrafast"}
    vast = make_clip(tmp_path / "vast.mp4", size=(4096, 2304), frames=6, options=options)
    first, second = Job("first", vast), Job("second", make_clip(tmp_path / "short.mp4"))
    queue = JobQueue(plenty)
    try:
        for job in (first, second):
            queue.submit(job, lambda: small, visitor="somebody")
        finish(second)
    finally:
        queue.close()
    assert (first.stage, first.answer) == ("failed", None)
    assert isinstance(first.error, VideoError)
    assert second.answer is not None, second.error


def kill_workers() -> None:
    for child in psutil.Process().children():
        if "spawn_main" in " ".join(child.cmdline()):
            child.kill()


def test_what_could_not_go_along_is_told(queue: JobQueue, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "noise.ts", frames=60, audio="aac")
    scrambled_sound(clip, every=2)
    job = Job("noise.ts", clip)
    queue.submit(job, lambda: MODEL, visitor="somebody")
    assert [notice.kind for notice in finish(job).notices] == ["sound"]
    assert job.annotated is not None
    assert job.original not in (None, job.source)
    assert job.reading is not None, "the answer so far"
    assert job.reading.time_seconds > 1


def test_too_many_pixels_in_all_are_refused_in_words(
    tmp_path: Path,
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=20)
    with pytest.raises(VideoTooLargeError, match="more than 46080 pixels together"):
        list(VideoReader(clip, limits=Limits(max_total_pixels=15 * 64 * 48)))
    assert len(list(VideoReader(clip, limits=Limits(max_total_pixels=20 * 64 * 48)))) == 20
    job = Job("clip", clip)
    job.fail(VideoTooLargeError("clip", "whatever"))
    assert "A smaller or shorter copy" in words.problem(job)


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


def test_the_place_in_the_queue_is_told(queue: JobQueue, tmp_path: Path) -> None:
    long = make_clip(tmp_path / "long.mp4", frames=5000)
    first, second, third = (Job(name, long) for name in ("first", "second", "third"))
    for job in (first, second, third):
        queue.submit(job, lambda: MODEL, visitor="somebody")
    while first.stage == "waiting":
        time.sleep(0.01)
    assert [queue.before(job) for job in (first, second, third)] == [0, 0, 1]


def test_a_full_queue_says_so(
    queue: JobQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MOST_WAITING", 1)
    small = JobQueue(plenty)
    try:
        long = make_clip(tmp_path / "long.mp4", frames=2000)
        first, second, third = (Job(name, long) for name in ("first", "second", "third"))
        small.submit(first, lambda: MODEL, visitor="somebody")
        while first.stage == "waiting":
            time.sleep(0.01)
        small.submit(second, lambda: MODEL, visitor="somebody")
        with pytest.raises(QueueFullError, match="1 videos are waiting"):
            small.submit(third, lambda: MODEL, visitor="somebody")
    finally:
        small.close()


def test_closing_leaves_the_job_in_hand(tmp_path: Path) -> None:
    queue = JobQueue(plenty)
    clip = make_clip(tmp_path / "long.mp4", frames=5000)
    running, waiting = Job("running", clip), Job("waiting", clip)
    queue.submit(running, lambda: MODEL, visitor="somebody")
    queue.submit(waiting, lambda: MODEL, visitor="somebody")
    while running.stage == "waiting":
        time.sleep(0.01)
    queue.close()
    assert (running.stage, waiting.stage) == ("cancelled", "cancelled")

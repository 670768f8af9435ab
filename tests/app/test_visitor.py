"""What a visitor holds, and that it is freed."""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from actionstream.app.jobs import JobQueue, QuotaExceededError
from actionstream.app.visitor import MOST_VIDEOS, Quota, TooManyVideosError, Visitor
from actionstream.batch.worker import Setup
from actionstream.errors import BundleError


@pytest.fixture
def queue() -> Iterator[JobQueue]:
    running = JobQueue(lambda: None)
    yield running
    running.close()


@pytest.fixture
def quota(tmp_path: Path) -> Quota:
    return Quota(tmp_path, 1_000_000)


def no_model() -> Setup:
    raise BundleError("none", ["not needed here"])


def test_files_are_private_and_under_random_names(queue: JobQueue, quota: Quota) -> None:
    visitor, other = Visitor.arrive(quota), Visitor.arrive(quota)
    job = visitor.add("../../evil name.MP4", io.BytesIO(b"abc"), queue, no_model)
    assert job.source.parent == visitor.folder != other.folder
    assert stat.S_IMODE(visitor.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(job.source.stat().st_mode) == 0o600
    assert "evil" not in job.source.name
    assert job.source.suffix == ".mp4"
    assert job.source.read_bytes() == b"abc"
    assert job.name == "../../evil name.MP4"


@pytest.mark.parametrize("name", ["clip", "clip.", "clip.a/b", "clip.toolongasuffix", "clip.ü"])
def test_a_strange_suffix_is_left_out(name: str, queue: JobQueue, quota: Quota) -> None:
    job = Visitor.arrive(quota).add(name, io.BytesIO(b"abc"), queue, no_model)
    assert job.source.suffix == ""


def test_removing_a_video_removes_its_files_only(queue: JobQueue, quota: Quota) -> None:
    visitor = Visitor.arrive(quota)
    first, second = (
        visitor.add(name, io.BytesIO(b"abc"), queue, no_model) for name in ("a.mp4", "b.mp4")
    )
    first.source.with_name(f"{first.source.stem}-annotated.mp4").touch()
    visitor.remove(first)
    assert visitor.jobs == [second]
    assert list(visitor.folder.iterdir()) == [second.source]


def test_leaving_frees_everything(queue: JobQueue, quota: Quota) -> None:
    visitor = Visitor.arrive(quota)
    job = visitor.add("a.mp4", io.BytesIO(b"abc"), queue, no_model)
    visitor.come("one tab")
    visitor.come("another tab")
    visitor.leave("one tab")
    assert not visitor.closed
    visitor.leave("another tab")
    visitor.leave("another tab")
    assert visitor.closed
    assert job.is_cancelled()
    assert list(quota.root.iterdir()) == []


def test_there_is_a_most(queue: JobQueue, quota: Quota) -> None:
    visitor = Visitor.arrive(quota)
    for number in range(MOST_VIDEOS):
        visitor.add(f"{number}.mp4", io.BytesIO(b"abc"), queue, no_model)
    with pytest.raises(TooManyVideosError):
        visitor.add("more.mp4", io.BytesIO(b"abc"), queue, no_model)
    assert len(list(visitor.folder.iterdir())) == MOST_VIDEOS


def test_room_is_shared_by_all_and_free_when_somebody_leaves(queue: JobQueue, quota: Quota) -> None:
    """A video needs three times its size, for what is made of it."""
    first, second = Visitor.arrive(quota), Visitor.arrive(quota)
    first.add("a.mp4", io.BytesIO(bytes(300_000)), queue, no_model)
    with pytest.raises(QuotaExceededError):
        second.add("b.mp4", io.BytesIO(bytes(300_000)), queue, no_model)
    assert list(second.folder.iterdir()) == []
    assert second.jobs == []
    second.add("small.mp4", io.BytesIO(bytes(200_000)), queue, no_model)
    assert quota.used_bytes() == 500_000
    first.leave("its tab")
    assert quota.used_bytes() == 200_000
    kept = second.add("b.mp4", io.BytesIO(bytes(250_000)), queue, no_model)
    second.remove(kept)
    assert quota.used_bytes() == 200_000


def test_copies_count_and_may_pass_the_limit_only_until_it_is_checked(
    queue: JobQueue, quota: Quota
) -> None:
    visitor = Visitor.arrive(quota)
    job = visitor.add("a.mp4", io.BytesIO(bytes(300_000)), queue, no_model)
    quota.check()
    job.source.with_name(f"{job.source.stem}-annotated.mp4").write_bytes(bytes(800_000))
    with pytest.raises(QuotaExceededError):
        quota.check()
    visitor.remove(job)
    quota.check()


def test_a_failed_upload_leaves_nothing(queue: JobQueue, quota: Quota) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("the disk is full")

    visitor = Visitor.arrive(quota)
    with pytest.raises(OSError, match="disk is full"):
        visitor.add("a.mp4", Broken(), queue, no_model)
    assert list(visitor.folder.iterdir()) == []

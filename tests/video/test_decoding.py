"""Fault injection: a decoder that fails where the test wants it to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from clips import index_of, make_clip

from actionstream.errors import NoFramesError, VideoTimeoutError
from actionstream.video import Limits, VideoReader


class _FailingContext:
    """Stands before the codec context and refuses chosen packets, as a decoder does."""

    def __init__(self, real: Any, refused: set[int]) -> None:
        self._real, self._refused, self._count, self.resets = real, refused, -1, 0

    def decode(self, packet: Any) -> Any:
        self._count += packet is not None
        if packet is not None and self._count in self._refused:
            raise av.error.InvalidDataError(1094995529, "injected")
        return self._real.decode(packet)

    def flush_buffers(self) -> None:
        self.resets += 1
        self._real.flush_buffers()


class _FailingContainer:
    """Hands out the packets and breaks off with `error` before each number in `at`."""

    def __init__(self, real: Any, stream: Any, at: list[int], error: Exception) -> None:
        self._packets = iter(list(real.demux(stream)))
        self._at, self._error, self._count = at, error, 0

    def demux(self, stream: Any) -> Iterator[Any]:
        while True:
            if self._at and self._count >= self._at[0]:
                self._at.pop(0)
                raise self._error
            packet = next(self._packets, None)
            if packet is None:
                return
            self._count += 1
            yield packet


def _reader(clip: Path, refused: set[int], **limits: int) -> tuple[VideoReader, _FailingContext]:
    # JPEG: every picture stands alone, so exactly the refused ones are missing.
    reader = VideoReader(clip, threads=1, limits=Limits(**limits))
    context = _FailingContext(reader._stream.codec_context, refused)
    reader._decoder._context = context  # type: ignore[assignment]
    return reader, context


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(
        tmp_path / "a.mov", codec="mjpeg", pix_fmt="yuvj420p", full_range=True, frames=24
    )


@pytest.mark.parametrize("refused", [{0}, {5}, {23}, {0, 1, 2}, {4, 9, 14}, set(range(3, 20))])
def test_refused_packets_are_counted_and_the_rest_keeps_its_times(
    clip: Path, refused: set[int]
) -> None:
    reader, context = _reader(clip, refused)
    frames = list(reader)
    kept = [i for i in range(24) if i not in refused]
    assert [index_of(frame.to_rgb()) for frame in frames] == kept
    assert reader.corrupt_packets == len(refused)
    assert [f.time_seconds for f in frames] == pytest.approx([(i - kept[0]) / 25 for i in kept])
    assert context.resets == (2 if len(refused) == 17 else 0)


def test_too_many_in_a_row_end_the_reading(clip: Path) -> None:
    reader, _ = _reader(clip, set(range(6, 24)), max_consecutive_corrupt_packets=10)
    assert len(list(reader)) == 6
    assert reader.truncated
    assert reader.corrupt_packets == 11


def test_only_refusals_in_a_row_end_the_reading(clip: Path) -> None:
    """Two of three packets are refused all along, and never three in a row."""
    refused = {i for i in range(24) if i % 3}
    reader, context = _reader(clip, refused, max_consecutive_corrupt_packets=2)
    assert [index_of(frame.to_rgb()) for frame in reader] == list(range(0, 24, 3))
    assert (reader.corrupt_packets, reader.truncated, context.resets) == (16, False, 0)


def test_nothing_but_refusals_is_one_error(clip: Path) -> None:
    reader, _ = _reader(clip, set(range(24)))
    with pytest.raises(NoFramesError, match=r"no frame could be decoded \(24 damaged packets\)"):
        next(reader)
    assert list(reader) == []


def _with_failing_reads(clip: Path, at: list[int], error: Exception) -> VideoReader:
    reader = VideoReader(clip, threads=1, limits=Limits(max_consecutive_read_errors=3))
    failing = _FailingContainer(reader._container, reader._stream, at, error)
    reader._decoder._container = failing  # type: ignore[assignment]
    return reader


def test_a_failed_read_is_tried_again(clip: Path) -> None:
    damage = av.error.InvalidDataError(1094995529, "injected")
    reader = _with_failing_reads(clip, [4, 10, 10], damage)
    assert [index_of(frame.to_rgb()) for frame in reader] == list(range(24))
    assert (reader.corrupt_packets, reader.truncated) == (3, False)


def test_reads_that_keep_failing_end_it(clip: Path) -> None:
    reader = _with_failing_reads(clip, [4, 4, 4, 4], av.error.OSError(5, "injected"))
    assert len(list(reader)) == 4
    assert reader.truncated


def test_a_file_that_stops_answering(clip: Path) -> None:
    reader = _with_failing_reads(clip, [4], av.error.ExitError(1414092869, "injected"))
    with pytest.raises(VideoTimeoutError, match="did not answer in time"):
        list(reader)

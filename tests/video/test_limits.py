from __future__ import annotations

from pathlib import Path

import pytest
from clips import make_clip

from actionstream.errors import VideoTooLargeError
from actionstream.video import Limits, VideoReader, probe
from actionstream.video.decoding import Decoder
from actionstream.video.opening import open_file


@pytest.mark.parametrize("name", Limits.__slots__)
def test_a_limit_of_zero_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be more than 0"):
        Limits(**{name: 0})


def test_a_file_over_the_limit_says_both_sizes(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4")
    size = clip.stat().st_size
    with pytest.raises(VideoTooLargeError, match=f"a.mp4: the file has {size} bytes.* is 100$"):
        VideoReader(clip, limits=Limits(max_file_bytes=100))
    assert probe(clip, limits=Limits(max_file_bytes=size)).width == 64


def test_frames_over_the_limit_are_refused_before_decoding(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", size=(64, 48))
    with pytest.raises(VideoTooLargeError, match="64x48 pixels, the limit is 3071 pixels"):
        VideoReader(clip, limits=Limits(max_frame_pixels=64 * 48 - 1))
    assert probe(clip, limits=Limits(max_frame_pixels=64 * 48)).height == 48


def test_a_picture_that_grows_on_the_way_is_stopped(tmp_path: Path) -> None:
    # An elementary stream may change its size: two of them, one behind the other.
    small = make_clip(tmp_path / "small.h264", size=(64, 48), frames=5)
    large = make_clip(tmp_path / "large.h264", size=(128, 96), frames=5)
    both = tmp_path / "both.h264"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    with VideoReader(both) as reader:
        shapes = [frame.to_rgb().shape for frame in reader]
    assert shapes == [(48, 64, 3)] * 5 + [(96, 128, 3)] * 5
    # FFmpeg saw both sizes when it looked the stream over, so opening would refuse it already;
    # a longer stream would come through to the check of each frame.
    with open_file(both, limits=Limits()) as container:
        tight = Limits(max_frame_pixels=64 * 48)
        decoder = Decoder(both, container, container.streams.video[0], threads=1, limits=tight)
        frames = decoder.frames()
        assert [next(frames).width for _ in range(5)] == [64] * 5
        with pytest.raises(VideoTooLargeError, match="128x96"):
            next(frames)

"""Every container and codec: the right pictures at the right times; damage with a stated result."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import BLUE, GREEN, RED, colours, index_of, make_clip

from actionstream.errors import (
    NoFramesError,
    NoVideoStreamError,
    UnreadableVideoError,
    UnsupportedVideoError,
)
from actionstream.video import VideoReader, probe

B_FRAMES = {"bf": "2", "preset": "medium"}
JPEG: dict[str, Any] = {"codec": "mjpeg", "pix_fmt": "yuvj420p", "full_range": True}
GREY: dict[str, Any] = {"full_range": True, "pix_fmt": "gray"}
AV1: dict[str, Any] = {"codec": "libsvtav1", "size": (64, 64)}

# name -> how it is made. The codec or pixel format in the name tells what is special about it.
KINDS: dict[str, dict[str, Any]] = {
    "h264.mp4": {},
    "h264-b-frames.mp4": {"options": B_FRAMES},
    "h264-fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "h264-sound.mp4": {"audio": "aac"},
    "h264-444.mp4": {"pix_fmt": "yuv444p"},
    "h264-odd.mp4": {"pix_fmt": "yuv444p", "size": (65, 49)},
    "h264.mov": {},
    "h264.mkv": {},
    "h264-b-frames.mkv": {"options": B_FRAMES},
    "h264.ts": {},
    "h264-b-frames.ts": {"options": B_FRAMES},
    "h264.avi": {},
    "h264-b-frames.avi": {"options": B_FRAMES},
    "h264.flv": {},
    "h264.3gp": {},
    "h264-b-frames.h264": {"options": B_FRAMES},
    "hevc.mp4": {"codec": "libx265"},
    "hevc-10bit.mp4": {"codec": "libx265", "pix_fmt": "yuv420p10le"},
    "hevc.mkv": {"codec": "libx265"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "vp9-odd.webm": {"codec": "libvpx-vp9", "size": (65, 49)},
    "vp9-alpha.webm": {"codec": "libvpx-vp9", "pix_fmt": "yuva420p"},
    "av1.mp4": AV1,
    "av1.mkv": AV1,
    "av1.webm": AV1,
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg4.mp4": {"codec": "mpeg4"},
    "mjpeg.avi": JPEG,
    "mjpeg.mov": JPEG,
    "mpeg2.mpg": {"codec": "mpeg2video", "options": {"qscale": "2"}},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "gif.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "raw.y4m": {"codec": "rawvideo"},
    "grey-h264.mp4": {"pix_fmt": "gray"},
    "grey-png.mov": {"codec": "png", **GREY},
    "grey-ffv1.mkv": {"codec": "ffv1", **GREY},
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_gives_its_pictures_at_their_times(tmp_path: Path, name: str) -> None:
    clip = make_clip(tmp_path / name, frames=20, **KINDS[name])
    with VideoReader(clip) as reader:
        times, indices, last = [], [], None
        for frame in reader:
            last = frame.to_rgb()
            times.append(frame.time_seconds)
            indices.append(index_of(last))
    assert indices == list(range(20))
    # Matroska and FLV round to a millisecond.
    assert times == pytest.approx([i / 25 for i in range(20)], abs=0.00101)
    assert times[0] == 0.0
    assert reader.frames_read == 20
    assert reader.duration_seconds == pytest.approx(0.8, abs=0.0011)
    assert (reader.corrupt_packets, reader.truncated) == (0, False)
    width, height = KINDS[name].get("size", (64, 48))
    assert last is not None
    assert last.shape == (height, width, 3)
    if not name.startswith("grey"):
        assert np.abs(np.subtract(colours(last), (RED, GREEN, BLUE))).max() <= 8
    else:
        assert np.ptp(last.astype(int), axis=2).max() <= 3, "grey has no colour"
    assert reader.probe.frame_rate == pytest.approx(25)
    assert (reader.probe.width, reader.probe.height) == (width, height)


def test_times_are_those_of_the_file_not_of_its_rate(tmp_path: Path) -> None:
    times = [0, 0.1, 0.15, 0.5, 1.0, 1.01, 4.0]
    for name in ("a.mp4", "a.mkv", "a.webm"):
        codec = "libvpx-vp9" if name == "a.webm" else "libx264"
        with VideoReader(make_clip(tmp_path / name, times=times, codec=codec)) as reader:
            frames = list(reader)
        assert [f.time_seconds for f in frames] == pytest.approx(times, abs=0.00101)
        assert [index_of(f.to_rgb()) for f in frames] == list(range(7))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.mov"])
@pytest.mark.parametrize("start", [0.5, 7.0])
def test_the_first_frame_is_zero_wherever_the_file_starts(
    tmp_path: Path, name: str, start: float
) -> None:
    clip = make_clip(tmp_path / name, times=[start + i / 25 for i in range(10)], audio="aac")
    with VideoReader(clip) as reader:
        times = [frame.time_seconds for frame in reader]
    assert times == pytest.approx([i / 25 for i in range(10)], abs=0.00101)
    assert times[0] == 0.0
    assert not reader.truncated


def test_reading_twice_and_with_any_threads_gives_the_same(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=25, options=B_FRAMES)
    runs = [_read(clip, threads=threads) for threads in (None, None, 1, 2, 4)]
    assert len(runs[0]) == 25
    assert all(run == runs[0] for run in runs)


def _read(clip: Path, threads: int | None = None) -> list[tuple[float, bytes]]:
    with VideoReader(clip, threads=threads) as reader:
        return [(frame.time_seconds, frame.to_rgb().tobytes()) for frame in reader]


def test_looking_at_some_frames_changes_none(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=20, options=B_FRAMES)
    everything = _read(clip)
    with VideoReader(clip) as reader:
        some = [
            (frame.time_seconds, frame.to_rgb().tobytes())
            for index, frame in enumerate(reader)
            if index % 6 == 0
        ]
    assert some == everything[::6]


def test_one_frame(tmp_path: Path) -> None:
    with VideoReader(make_clip(tmp_path / "a.mp4", frames=1)) as reader:
        assert [index_of(frame.to_rgb()) for frame in reader] == [0]
    assert reader.duration_seconds == pytest.approx(0.04)
    assert not reader.truncated


def test_a_reader_is_read_once(tmp_path: Path) -> None:
    with VideoReader(make_clip(tmp_path / "a.mp4", frames=5)) as reader:
        assert reader.probe.codec == "h264"
        assert len(list(reader)) == 5
        assert list(reader) == []
    closed = VideoReader(tmp_path / "a.mp4")
    closed.close()
    closed.close()
    assert list(closed) == []


@pytest.mark.parametrize("threads", [0, -1])
def test_a_wrong_number_of_threads(tmp_path: Path, threads: int) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=2)
    with pytest.raises(ValueError, match=f"threads must be 1 or more, got {threads}"):
        VideoReader(clip, threads=threads)


def test_several_readers_at_once(tmp_path: Path) -> None:
    clips = [make_clip(tmp_path / f"{i}.mp4", frames=10 + i) for i in range(4)]
    results: dict[Path, int] = {}

    def read(clip: Path) -> None:
        results[clip] = len(_read(clip))

    threads = [threading.Thread(target=read, args=(clip,)) for clip in clips]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == {clip: 10 + i for i, clip in enumerate(clips)}


# Damage ------------------------------------------------------------------------------------------

LONG: dict[str, Any] = {"frames": 150, "size": (128, 96), "options": {"g": "10"}}


@pytest.mark.parametrize("name", ["a.mkv", "a.avi", "a.flv", "a.webm", "front.mp4", "sound.mkv"])
def test_a_file_cut_in_half_gives_what_is_there_and_says_so(tmp_path: Path, name: str) -> None:
    kind = dict(LONG)
    if name == "a.webm":
        kind |= {"codec": "libvpx-vp9"}
    if name == "front.mp4":
        kind |= {"container_options": {"movflags": "faststart"}}
    if name == "sound.mkv":
        kind |= {"audio": "aac"}
    clip = make_clip(tmp_path / name, **kind)
    whole = _read(clip)
    cut = _half(clip)
    with VideoReader(cut) as reader:
        came = [(frame.time_seconds, frame.to_rgb().tobytes()) for frame in reader]
    assert reader.truncated
    assert 10 <= len(came) < 140
    # The last pictures may be damaged; those before are untouched.
    assert came[:-8] == whole[: len(came) - 8]
    assert reader.frames_read == len(came)


def test_a_transport_stream_cut_in_half_reads_to_its_end(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.ts", **LONG)
    whole = _read(clip)
    came = _read(_half(clip))  # it announces no length: nothing tells that more was meant
    assert 10 <= len(came) < 140
    assert came[:-8] == whole[: len(came) - 8]


def test_an_mp4_that_lost_its_index_says_so(tmp_path: Path) -> None:
    cut = _half(make_clip(tmp_path / "a.mp4", **LONG))
    with pytest.raises(UnreadableVideoError, match=r"not finished.*its index \(moov\) is missing"):
        VideoReader(cut)


def _half(clip: Path) -> Path:
    cut = clip.with_name(f"cut{clip.suffix}")
    data = clip.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    return cut


def test_a_header_without_pictures(tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "a.mp4", frames=30, container_options={"movflags": "frag_keyframe+empty_moov"}
    )
    data = clip.read_bytes()
    clip.write_bytes(data[: data.find(b"moof") - 4])
    with pytest.raises(NoFramesError, match=r"a\.mp4: no frame could be decoded"):
        list(VideoReader(clip))
    with pytest.raises(NoFramesError):
        probe(clip)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.mp4", {}),
        ("a.mkv", {}),
        ("a.ts", {}),
        ("a.avi", {"codec": "mpeg4"}),
        ("a.flv", {}),
        ("a.webm", {"codec": "libvpx-vp9"}),
        ("a.gif", {"codec": "gif", "pix_fmt": "rgb8", "size": (32, 32)}),
        ("b.mkv", {"codec": "libx265"}),
        ("j.mov", JPEG),
    ],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_flipped_bits_never_crash_or_hang_and_are_told(
    tmp_path: Path, name: str, kind: dict[str, Any], seed: int
) -> None:
    clip = make_clip(tmp_path / name, **{"frames": 60, **kind})
    data = bytearray(clip.read_bytes())
    dice = np.random.default_rng(seed)
    for _ in range(60):
        data[dice.integers(len(data))] ^= 1 << dice.integers(8)
    clip.write_bytes(data)
    try:
        with VideoReader(clip) as reader:
            shapes = [frame.to_rgb().shape for frame in reader]
    except (UnreadableVideoError, NoFramesError, NoVideoStreamError, UnsupportedVideoError):
        return  # so damaged that one of these is the answer
    assert len(shapes) == reader.frames_read > 0
    assert all(len(shape) == 3 and shape[2] == 3 for shape in shapes)
    assert reader.duration_seconds < 60, "a flipped bit in a time stamp made hours"
    if len(shapes) < 55:
        assert reader.truncated or reader.corrupt_packets > 0, "frames went missing silently"


def _announce(clip: Path, seconds: float) -> None:
    """Overwrite the length that an FLV's or a Matroska's header tells."""
    data = bytearray(clip.read_bytes())
    if clip.suffix == ".flv":
        place, value = data.index(b"duration") + len("duration") + 1, seconds
    else:
        place, value = data.index(b"\x44\x89\x88") + 3, seconds * 1000  # the element Duration
        digits = data.index(b"00:00:", data.index(b"DURATION"))
        data[digits : digits + 12] = f"00:00:{seconds:06.3f}".encode()
    data[place : place + 8] = struct.pack(">d", value)
    clip.write_bytes(data)


@pytest.mark.parametrize("name", ["a.mkv", "a.flv"])
def test_a_header_that_announces_too_little_changes_no_time(tmp_path: Path, name: str) -> None:
    times = [i / 2 for i in range(60)] + [38.0, 38.5]
    clip = make_clip(tmp_path / name, times=times)
    _announce(clip, 1.0)
    with VideoReader(clip) as reader:
        assert [frame.time_seconds for frame in reader] == pytest.approx(times, abs=1e-3)
    assert reader.probe.duration_seconds == pytest.approx(1.0, abs=0.1)
    assert 38.5 < reader.duration_seconds <= 39.1
    assert not reader.truncated


def test_a_flipped_time_is_replaced_and_a_long_pause_is_not_for_ever(tmp_path: Path) -> None:
    """Past the announced end: one frame is an hour late; and a pause of a minute is caught up."""
    times = [i / 2 for i in range(20)] + [70.0 + i for i in range(60)]
    clip = make_clip(tmp_path / "a.flv", times=times)
    data = bytearray(clip.read_bytes())
    stamp = (5500).to_bytes(3, "big")
    places = [i for i in range(len(data)) if data[i : i + 3] == stamp and data[i - 4] == 9]
    assert len(places) == 1, "the tag of the frame at 5.5 s"
    data[places[0]] ^= 0x40  # 4,194 s more
    clip.write_bytes(data)
    _announce(clip, 9.54)
    with VideoReader(clip) as reader:
        read = [frame.time_seconds for frame in reader]
    assert read == pytest.approx(times, abs=1e-3), "halfway between its neighbours"
    assert [notice.kind for notice in reader.warnings] == ["clock_repaired", "few_looks"]


@pytest.mark.clips
def test_a_real_clip(ucf101_clip: Callable[..., Path]) -> None:
    with VideoReader(ucf101_clip("PushUps")) as reader:
        frames = list(reader)
    times = [frame.time_seconds for frame in frames]
    assert (reader.probe.width, reader.probe.height) == (320, 240)
    assert len(frames) >= 25
    assert times == sorted(set(times))
    assert (reader.corrupt_packets, reader.truncated) == (0, False)
    assert 5 < frames[0].to_rgb().mean() < 250

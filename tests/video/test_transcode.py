from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import BLUE, GREEN, GREY_FIRST, GREY_STEP, RED, colours, make_clip, make_sound, quarter
from damage import decode_order, no_times, patched, right, scrambled_sound

from actionstream.errors import NoVideoStreamError, VideoWriteError
from actionstream.video import VideoReader, browser_playable, probe, to_browser_mp4

JPEG: dict[str, Any] = {"codec": "mjpeg", "pix_fmt": "yuvj420p", "full_range": True}

# name -> how it is made, whether browsers play it as it is, whether its video can be copied
KINDS: dict[str, tuple[dict[str, Any], bool, bool]] = {
    "plain.mp4": ({"audio": "aac"}, True, True),
    "silent.mp4": ({}, True, True),
    "mp3.mp4": ({"audio": "libmp3lame"}, True, True),
    "b-frames.mp4": ({"options": {"bf": "2", "preset": "medium"}}, True, True),
    "turned.mp4": ({"rotation": 90}, True, True),
    "vp9.webm": ({"codec": "libvpx-vp9", "audio": "libopus"}, True, False),
    "quick.mov": ({"audio": "pcm_s16le"}, False, True),
    "late.mkv": ({"audio": "libopus", "times": [3 + i / 25 for i in range(20)]}, False, True),
    "plain.ts": ({"audio": "aac"}, False, True),
    "plain.flv": ({}, False, True),
    "scrambled.avi": ({"options": {"bf": "2", "preset": "medium"}}, False, False),
    "mpeg4.avi": ({"codec": "mpeg4"}, False, False),
    "mjpeg.mov": (JPEG, False, False),
    "hevc.mp4": ({"codec": "libx265"}, False, False),
    "ten-bit.mkv": (
        {"codec": "libx265", "pix_fmt": "yuv420p10le", "rotation": 270, "size": (64, 64)},
        False,
        False,
    ),
    "444.mp4": ({"pix_fmt": "yuv444p"}, False, False),
    "av1.mp4": ({"codec": "libsvtav1", "size": (64, 64)}, False, False),
    "moving.gif": ({"codec": "gif", "pix_fmt": "rgb8"}, False, False),
    "odd.webm": ({"codec": "libvpx-vp9", "size": (65, 49)}, True, False),
}


def test_sound_of_a_codec_that_nobody_knows_is_left_out(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mkv", frames=20, audio="libopus")
    source.write_bytes(source.read_bytes().replace(b"A_OPUS", b"A_XXXX"))
    assert not browser_playable(source)
    assert to_browser_mp4(source, tmp_path / "out.mp4") == ()
    facts = probe(tmp_path / "out.mp4")
    assert (facts.codec, facts.has_audio) == ("h264", False)


@pytest.mark.parametrize("name", KINDS)
def test_anything_becomes_something_that_plays(tmp_path: Path, name: str) -> None:
    kind, playable, copied = KINDS[name]
    source = make_clip(tmp_path / name, frames=20, **kind)
    assert browser_playable(source) is playable
    target, shares = tmp_path / "out.mp4", []
    assert to_browser_mp4(source, target, shares.append) == ()
    assert shares == sorted(shares)
    assert shares[0] >= 0
    assert shares[-1] == 1.0

    assert browser_playable(target)
    facts, was = probe(target), probe(source)
    assert facts.has_audio == was.has_audio
    assert (facts.width, facts.height) == (was.width + was.width % 2, was.height + was.height % 2)
    with VideoReader(target) as reader:
        frames = list(reader)
    assert [f.time_seconds for f in frames] == pytest.approx([i / 25 for i in range(20)], abs=2e-3)
    pictures = [f.to_rgb() for f in frames]
    # Two lossy codecs, one after the other: nearer to the right grey than to the next one's (8).
    greys = [quarter(rgb, "below right").mean() for rgb in pictures]
    assert greys == pytest.approx([GREY_FIRST + GREY_STEP * i for i in range(20)], abs=7)
    assert np.abs(np.subtract(colours(pictures[-1]), (RED, GREEN, BLUE))).max() <= 8
    data = target.read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")
    assert (_packets(source) == _packets(target)) is copied
    assert sorted(_names(tmp_path)) == sorted([name, "out.mp4"])


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _packets(clip: Path) -> list[bytes]:
    """The coded slices, without the framing that differs between containers."""
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        if stream.codec_context.name != "h264":
            return []
        return [bytes(packet)[-24:] for packet in container.demux(stream) if packet.size]


def test_copied_sound_stays_with_its_picture(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.ts", audio="aac", frames=50)
    to_browser_mp4(source, tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert sound.codec_context.name == "aac"
        start = {s.type: float((s.start_time or 0) * s.time_base) for s in (video, sound)}
    assert start["video"] - start["audio"] == pytest.approx(_offset(source), abs=0.03)


def _offset(clip: Path) -> float:
    with av.open(str(clip)) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        return float(video.start_time * video.time_base - sound.start_time * sound.time_base)


@pytest.mark.parametrize("name", ["plain.mp4", "mpeg4.avi"])
def test_cancelling_leaves_nothing(tmp_path: Path, name: str) -> None:
    source = make_clip(tmp_path / name, frames=20, **KINDS[name][0])
    calls = []

    def interrupt(share: float) -> None:
        calls.append(share)
        if len(calls) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        to_browser_mp4(source, tmp_path / "out.mp4", interrupt)
    assert _names(tmp_path) == [name]


def test_what_cannot_be_done_is_told(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", frames=5)
    before = source.read_bytes()
    with pytest.raises(VideoWriteError, match="is the source itself"):
        to_browser_mp4(source, source)
    assert source.read_bytes() == before
    with pytest.raises(VideoWriteError, match="does not exist"):
        to_browser_mp4(source, tmp_path / "none" / "b.mp4")
    song = make_sound(tmp_path / "s.mp4")
    for call in (lambda: to_browser_mp4(song, tmp_path / "b.mp4"), lambda: browser_playable(song)):
        with pytest.raises(NoVideoStreamError):
            call()
    assert sorted(_names(tmp_path)) == ["a.mp4", "s.mp4"]


# Copies that would not be whole are encoded ------------------------------------------------------

B_FRAMES = {"bf": "3", "preset": "medium", "b-adapt": "0"}


def _copied_or_encoded(source: Path, target: Path) -> tuple[list[str], list[float], float]:
    said = [notice.kind for notice in to_browser_mp4(source, target)]
    with av.open(str(target)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    assert packets[0].is_keyframe
    with VideoReader(target) as reader:
        times = [frame.time_seconds for frame in reader]
    assert (reader.corrupt_packets, reader.truncated) == (0, False)
    assert browser_playable(target)
    assert len(packets) == len(times)
    return said, times, reader.duration_seconds


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.flv", "a.mp4"])
def test_b_frames_are_copied_whole(tmp_path: Path, name: str) -> None:
    source = make_clip(tmp_path / name, frames=150, options=B_FRAMES)
    said, times, seconds = _copied_or_encoded(source, tmp_path / "out.mp4")
    assert said == []
    assert times == pytest.approx([i / 25 for i in range(150)], abs=2e-3)
    assert seconds == pytest.approx(6.0, abs=2e-3)
    ends = [[packet[-6:] for packet in _packets(clip)] for clip in (source, tmp_path / "out.mp4")]
    assert ends[0] == ends[1], "encoded, not copied"


@pytest.mark.parametrize("form", ["decode.mp4", "decode.mkv", "none.mkv", "wild.ts", "fast.mp4"])
def test_wrong_times_are_mended_in_the_copy(tmp_path: Path, form: str) -> None:
    film = make_clip(tmp_path / "film.mp4", frames=60, options=B_FRAMES)
    source = tmp_path / form
    if form.startswith("decode"):
        decode_order(film, source)
    elif form.startswith("none"):
        no_times(film, source)
    elif form.startswith("fast"):
        right(film, source, rate=1000)
    else:
        plain = make_clip(tmp_path / "plain.ts", frames=60)
        patched(plain, source, lambda i: -1.0 if i % 25 == 24 else 0.0)
    assert not browser_playable(source)
    said, times, _ = _copied_or_encoded(source, tmp_path / "out.mp4")
    assert said[0] in ("clock_repaired", "no_times")
    assert times == pytest.approx([i / 25 for i in range(60)], abs=2e-3)


@pytest.mark.parametrize("damaged", [False, True])
def test_joined_or_damaged_sound_never_loses_the_video(tmp_path: Path, damaged: bool) -> None:
    source = make_clip(tmp_path / "a.ts", frames=50, audio="aac", options=B_FRAMES)
    count = 50
    if damaged:
        scrambled_sound(source, every=3)
    else:
        source.write_bytes(source.read_bytes() * 2)
        count = 100
    said, times, _ = _copied_or_encoded(source, tmp_path / "out.mp4")
    assert times == pytest.approx([i / 25 for i in range(count)], abs=2e-3)
    assert ("sound" in said) == damaged
    with av.open(str(tmp_path / "out.mp4")) as container:
        sound = list(container.decode(audio=0))
    assert sound[-1].time == pytest.approx(count / 25, abs=0.2)

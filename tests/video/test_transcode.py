from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import BLUE, GREEN, GREY_FIRST, GREY_STEP, RED, colours, make_clip, make_sound, quarter

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
    assert to_browser_mp4(source, tmp_path / "out.mp4") is True
    facts = probe(tmp_path / "out.mp4")
    assert (facts.codec, facts.has_audio) == ("h264", False)


@pytest.mark.parametrize("name", KINDS)
def test_anything_becomes_something_that_plays(tmp_path: Path, name: str) -> None:
    kind, playable, copied = KINDS[name]
    source = make_clip(tmp_path / name, frames=20, **kind)
    assert browser_playable(source) is playable
    target, shares = tmp_path / "out.mp4", []
    assert to_browser_mp4(source, target, shares.append) is True
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
    answers = iter([False] * 5 + [True] * 100)
    assert to_browser_mp4(source, tmp_path / "out.mp4", cancel=lambda: next(answers)) is False
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

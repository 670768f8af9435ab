from __future__ import annotations

import resource
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from clips import BLUE, GREEN, RED, colours, index_of, make_clip, make_sound, picture

from actionstream.errors import (
    FrameError,
    NoVideoStreamError,
    UnreadableVideoError,
    VideoWriteError,
)
from actionstream.video import VideoReader, VideoWriter, probe

SIZE = (64, 48)


def _write(path: Path, times: Sequence[float], audio_from: Path | None = None) -> Path:
    with VideoWriter(path, width=64, height=48, frame_rate=25, audio_from=audio_from) as writer:
        for index, seconds in enumerate(times):
            writer.write(picture(index, SIZE), seconds)
    assert writer.frames_written == len(times)
    return path


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _leftovers(folder: Path) -> list[str]:
    return [name for name in _names(folder) if ".part" in name]


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    times = [i / 25 for i in range(20)]
    out = _write(tmp_path / "out.mp4", times)
    with VideoReader(out) as reader:
        frames = list(reader)
    assert [f.time_seconds for f in frames] == pytest.approx(times, abs=1e-4)
    assert [index_of(f.to_rgb()) for f in frames] == list(range(20))
    for frame in frames:
        assert np.abs(np.subtract(colours(frame.to_rgb()), (RED, GREEN, BLUE))).max() <= 8
    assert reader.duration_seconds == pytest.approx(0.8, abs=1e-3)
    assert (reader.truncated, reader.corrupt_packets) == (False, 0)
    assert _leftovers(tmp_path) == []


def test_every_browser_can_play_it(tmp_path: Path) -> None:
    out = _write(tmp_path / "out.mp4", [0, 0.04, 0.08])
    facts = probe(out)
    assert (facts.codec, facts.pixel_format) == ("h264", "yuv420p")
    with av.open(str(out)) as container:
        assert container.streams.video[0].profile in ("High", "Main")
        assert container.metadata["major_brand"] == "isom"
    data = out.read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat"), "the index is not in front"


def test_times_are_kept_whatever_their_spacing(tmp_path: Path) -> None:
    times = [0, 0.1, 0.1333, 0.5, 2.0, 2.001, 7.25]
    with VideoReader(_write(tmp_path / "out.mp4", times)) as reader:
        read = [(f.time_seconds, index_of(f.to_rgb())) for f in reader]
    assert [t for t, _ in read] == pytest.approx(times, abs=1e-4)
    assert [i for _, i in read] == list(range(7))


@pytest.mark.parametrize(
    ("stay", "end"), [(0.5, 3.5), (None, 3.04), (0.0, 3.0), (-1.0, 3.0), (1e9, 23_863.9)]
)
def test_the_last_frame_stays_as_long_as_is_said(
    stay: float | None, end: float, tmp_path: Path
) -> None:
    """And not for the mean of the others, here a second. An MP4 bounds it at 6.6 hours."""
    with VideoWriter(tmp_path / "o.mp4", width=64, height=48, frame_rate=25) as writer:
        for index in range(4):
            writer.write(picture(index, SIZE), index, stay if index == 3 else None)
    with av.open(str(tmp_path / "o.mp4")) as written:
        assert written.duration is not None
        assert written.duration / av.time_base == pytest.approx(end, abs=0.1 if end > 9 else 1e-3)


def test_a_time_that_does_not_rise_is_moved_behind_the_last(tmp_path: Path) -> None:
    with VideoReader(_write(tmp_path / "out.mp4", [0, 0.04, 0.04, 0.02, 0.08])) as reader:
        times = [frame.time_seconds for frame in reader]
    assert times == pytest.approx([0, 0.04, 0.04, 0.04, 0.08], abs=1e-3)
    assert times == sorted(set(times))


@pytest.mark.parametrize("size", [(65, 49), (64, 49), (65, 48), (1, 1), (2, 2), (641, 359)])
def test_odd_sizes_get_one_more_line(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    with VideoWriter(tmp_path / "o.mp4", width=width, height=height, frame_rate=25) as writer:
        for index in range(3):
            writer.write(picture(index, size), index / 25)
    with VideoReader(tmp_path / "o.mp4") as reader:
        shape = next(reader).to_rgb().shape
    assert shape == (height + height % 2, width + width % 2, 3)


def test_a_frame_of_another_size_is_scaled(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "o.mp4", width=64, height=48, frame_rate=25) as writer:
        writer.write(picture(0, (64, 48)), 0)
        writer.write(picture(1, (320, 240)), 0.04)
        writer.write(picture(2, (32, 24)), 0.08)
    with VideoReader(tmp_path / "o.mp4") as reader:
        assert [index_of(frame.to_rgb()) for frame in reader] == [0, 1, 2]


def test_high_definition_keeps_its_colours(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "o.mp4", width=1280, height=720, frame_rate=25) as writer:
        writer.write(picture(3, (1280, 720)), 0)
    with VideoReader(tmp_path / "o.mp4") as reader:
        rgb = next(reader).to_rgb()
    assert np.abs(np.subtract(colours(rgb), (RED, GREEN, BLUE))).max() <= 4


@pytest.mark.parametrize(
    ("name", "codec", "audio", "kept"),
    [
        ("a.mp4", "libx264", "aac", "aac"),
        ("a.mkv", "libx264", "libmp3lame", "mp3float"),
        ("a.ts", "libx264", "aac", "aac"),
        ("a.webm", "libvpx-vp9", "libopus", "aac"),
        ("a.mov", "libx264", "pcm_s16le", "aac"),
        ("b.ts", "libx264", "mp2", "aac"),
    ],
)
def test_sound_is_kept(tmp_path: Path, name: str, codec: str, audio: str, kept: str) -> None:
    source = make_clip(tmp_path / name, codec=codec, audio=audio, frames=50)
    out = _write(tmp_path / "out.mp4", [i / 25 for i in range(50)], audio_from=source)
    with av.open(str(out)) as container:
        assert container.streams.audio[0].codec_context.name == kept
        sound = list(container.decode(audio=0))
    # Encoders add silence of up to two of their blocks (about 50 ms) at either end.
    assert float(sound[0].time) == pytest.approx(0, abs=0.06)
    last = sound[-1]
    assert float(last.time) + last.samples / last.sample_rate == pytest.approx(2.0, abs=0.12)
    loudest = max(float(np.abs(frame.to_ndarray().astype(np.float64)).max()) for frame in sound)
    assert loudest > 0.1, "the tone is gone"
    assert len(list(VideoReader(out))) == 50


def test_sound_and_pictures_start_together(tmp_path: Path) -> None:
    # The tone runs from 0 to 3.4 s, the pictures from 3.0 s on: 0.4 s of tone belong to them.
    source = make_clip(tmp_path / "a.mkv", audio="aac", times=[3 + i / 25 for i in range(10)])
    out = _write(tmp_path / "out.mp4", [i / 25 for i in range(10)], audio_from=source)
    with av.open(str(out)) as container:
        sound = list(container.decode(audio=0))
    seconds = sum(frame.samples / frame.sample_rate for frame in sound)
    assert seconds == pytest.approx(0.4, abs=0.06)


def test_a_source_without_sound_gives_none(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", frames=3)
    assert not probe(_write(tmp_path / "out.mp4", [0, 0.04], audio_from=source)).has_audio
    with pytest.raises(NoVideoStreamError):
        _write(tmp_path / "o.mp4", [0], audio_from=make_sound(tmp_path / "s.mp4"))
    assert _leftovers(tmp_path) == []


def test_it_never_replaces_its_own_source(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", frames=3)
    (tmp_path / "link.mp4").symlink_to(source)
    before = source.read_bytes()
    for path in (source, tmp_path / "link.mp4", tmp_path / "." / "a.mp4"):
        with pytest.raises(VideoWriteError, match="is the source itself"):
            VideoWriter(path, width=64, height=48, frame_rate=25, audio_from=source)
    assert source.read_bytes() == before


class _Interruption(Exception):
    pass


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    out = _write(tmp_path / "out.mp4", [0, 0.04])
    before = out.read_bytes()
    writer = VideoWriter(out, width=64, height=48, frame_rate=25)
    writer.write(picture(0, SIZE), 0)
    assert len(_leftovers(tmp_path)) == 1
    assert out.read_bytes() == before, "the name shows an unfinished file"
    with pytest.raises(_Interruption), writer:
        raise _Interruption
    assert out.read_bytes() == before
    assert _leftovers(tmp_path) == []


def test_the_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    out = _write(tmp_path / "out.mp4", [0])
    assert out.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_no_frame_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VideoWriteError, match=r"out\.mp4: no frame was written"):
        _write(tmp_path / "out.mp4", [])
    assert _names(tmp_path) == []


def test_bad_places_are_told(tmp_path: Path) -> None:
    with pytest.raises(VideoWriteError, match="the folder .*none does not exist"):
        _write(tmp_path / "none" / "out.mp4", [0])
    with pytest.raises(VideoWriteError, match="is a folder"):
        _write(tmp_path, [0])
    (tmp_path / "file").touch()
    with pytest.raises(VideoWriteError, match="Not a directory"):
        _write(tmp_path / "file" / "out.mp4", [0])


@pytest.mark.parametrize("size", [(0, 48), (64, -1), (20_000, 48)])
def test_sizes_that_no_encoder_takes(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(VideoWriteError, match=f"{size[0]}x{size[1]} pixels"):
        VideoWriter(tmp_path / "o.mp4", width=size[0], height=size[1], frame_rate=25)
    assert _names(tmp_path) == []


def test_no_picture_and_no_time(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "o.mp4", width=64, height=48, frame_rate=0) as writer:
        with pytest.raises(FrameError):
            writer.write(np.zeros((48, 64), np.uint8), 0)
        with pytest.raises(FrameError):
            writer.write(picture(0, SIZE), float("nan"))
        with pytest.raises(FrameError):
            writer.write(picture(0, SIZE), 0, float("inf"))
        writer.write(picture(0, SIZE), 0)
    writer.close()
    with pytest.raises(VideoWriteError, match="already closed"):
        writer.write(picture(0, SIZE), 1)


def test_a_full_disk_is_one_error_and_leaves_nothing(tmp_path: Path) -> None:
    # A limit on the size of files stands in for a full disk: writing fails in the same place.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(VideoWriteError, match=r"out\.mp4: File too large"):
            _write_noise(tmp_path / "out.mp4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert _names(tmp_path) == []


def _write_noise(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    with VideoWriter(path, width=320, height=240, frame_rate=25) as writer:
        for index in range(60):
            writer.write(np.roll(noise, index), index / 25)


def test_sound_that_mp4_refuses_becomes_aac(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mkv", audio="libmp3lame", audio_rate=11025, frames=50)
    out = _write(tmp_path / "out.mp4", [i / 25 for i in range(50)], audio_from=source)
    with av.open(str(out)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        assert [*container.decode(audio=0)][-1].time == pytest.approx(2.0, abs=0.15)


def test_sound_that_cannot_go_along_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_clip(tmp_path / "a.mkv", audio="aac", frames=10)
    writer = VideoWriter(
        tmp_path / "out.mp4", width=64, height=48, frame_rate=25, audio_from=source
    )
    with writer:
        for index in range(10):
            writer.write(picture(index, SIZE), index / 25)
        source.write_bytes(source.read_bytes()[:200])  # gone before the sound was taken
    assert [notice.kind for notice in writer.warnings] == ["sound"]
    facts = probe(tmp_path / "out.mp4")
    assert not facts.has_audio
    assert len(list(VideoReader(tmp_path / "out.mp4"))) == 10
    assert _leftovers(tmp_path) == []


@pytest.mark.parametrize("title", ["x" * 251, "äöü" * 41 + "12345", "映画" * 41 + "12345"])
def test_titles_may_be_as_long_as_the_file_system_takes(tmp_path: Path, title: str) -> None:
    name = f"{title}.mp4"
    assert len(name.encode()) == 255
    assert len(list(VideoReader(_write(tmp_path / name, [0, 0.04])))) == 2
    for source in (None, tmp_path / name):
        with pytest.raises(VideoWriteError, match="File name too long"):
            _write(tmp_path / f"x{name}", [0], audio_from=source)
    assert _names(tmp_path) == [name]


def test_a_link_that_leads_round_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").symlink_to(tmp_path / "b.mp4")
    (tmp_path / "b.mp4").symlink_to(tmp_path / "a.mp4")
    with pytest.raises(VideoWriteError, match=r"a\.mp4: Too many levels"):
        VideoWriter(tmp_path / "a.mp4", width=64, height=48, frame_rate=25)
    with pytest.raises(UnreadableVideoError, match=r"a\.mp4: cannot be read"):
        VideoReader(tmp_path / "a.mp4")


@pytest.mark.parametrize("rate", [2_147_483_647.0, 1e9, 1e-9])
def test_absurd_rates_are_clamped(tmp_path: Path, rate: float) -> None:
    with VideoWriter(tmp_path / "o.mp4", width=64, height=48, frame_rate=rate) as writer:
        for index in range(3):
            writer.write(picture(index, SIZE), index / 25)
    with VideoReader(tmp_path / "o.mp4") as reader:
        times = [frame.time_seconds for frame in reader]
    assert times == pytest.approx([0, 0.04, 0.08], abs=1e-3)

"""What is let in and what is refused, and that nothing else is ever opened."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from clips import index_of, make_clip, make_sound
from damage import joined

from actionstream.errors import (
    EmptyVideoError,
    NoVideoStreamError,
    UnreadableVideoError,
    UnsupportedVideoError,
    VideoError,
    VideoNotFoundError,
)
from actionstream.video import VideoReader, probe

Script = Callable[[Path], str]


def _m3u8(clip: Path) -> str:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{clip}\n#EXT-X-ENDLIST\n"


SCRIPTS: dict[str, Script] = {
    "ffconcat": lambda clip: f"ffconcat version 1.0\nfile '{clip}'\n",
    "m3u8": _m3u8,
    "sdp": lambda clip: (
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    ),
    "mpd": lambda clip: (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011">'
        f"<Period><AdaptationSet><Representation><BaseURL>{clip}</BaseURL></Representation>"
        "</AdaptationSet></Period></MPD>\n"
    ),
}


@pytest.mark.parametrize("suffix", [".own", ".mp4", ".avi"])
@pytest.mark.parametrize("kind", SCRIPTS)
def test_a_script_that_names_another_file_is_refused(
    tmp_path: Path, kind: str, suffix: str
) -> None:
    clip = make_clip(tmp_path / "secret.mp4", frames=3)
    script = tmp_path / f"script{suffix if suffix != '.own' else '.' + kind}"
    script.write_text(SCRIPTS[kind](clip))
    with pytest.raises(UnsupportedVideoError) as caught:
        probe(script)
    assert str(caught.value).startswith(f"{script}: a ")
    assert str(caught.value).endswith(", which would have other files opened, and is refused")
    assert probe(clip).width == 64, "the clip could be read, had the script been followed"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"#EXTM3U\nb.mp4\n", "a playlist (M3U, HLS), "),
        (b"\xef\xbb\xbf\r\n#EXTM3U\r\nb.mp4", "a playlist (M3U, HLS), "),
        (b"ffconcat version 1.0\nfile 'b.mp4'\n", "a list of files to join (ffconcat), "),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", "a description of a network stream (SDP), "),
        (b"[Playlist]\nFile1=b.mp4\n", "a playlist (PLS), "),
        (b"<MPD></MPD>", "a playlist (DASH), "),
        (b"<?xml version='1.0'?>\n<!-- made by x -->\n<mpd:MPD>", "a playlist (DASH), "),
    ],
)
def test_a_list_of_other_files_is_told_by_its_first_bytes(
    tmp_path: Path, content: bytes, words: str
) -> None:
    for name in ("a.mp4", "a.avi", "a.m3u8", "a"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnsupportedVideoError) as caught:
            VideoReader(tmp_path / name)
        assert caught.value.cause.startswith(words)


@pytest.mark.parametrize("content", [b"v=0.5 is half", b"<html>MPD</html>", b"#EXTM3USIC"])
def test_other_text_is_no_list(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(VideoError) as caught:
        probe(tmp_path / "a.mp4")
    assert "which would have" not in str(caught.value)


def test_a_picture_is_no_video(tmp_path: Path) -> None:
    picture = make_clip(tmp_path / "a.mov", codec="png", pix_fmt="rgb24", frames=1)
    data = picture.read_bytes()
    (tmp_path / "a.png").write_bytes(data[data.find(b"\x89PNG") :])
    with pytest.raises(UnsupportedVideoError):
        probe(tmp_path / "a.png")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(VideoNotFoundError, match=r"none\.mp4: no such file") as caught:
        VideoReader(tmp_path / "none.mp4")
    assert isinstance(caught.value, FileNotFoundError)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(VideoNotFoundError):
        probe(tmp_path / "file" / "below.mp4")


def test_zero_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(EmptyVideoError, match=r"a\.mp4: the file is empty"):
        probe(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    "content", [b"hello\n", b"hello world, " * 4000, bytes(5000), b"\xff" * 99]
)
def test_no_media_at_all(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises((UnreadableVideoError, UnsupportedVideoError, NoVideoStreamError)):
        probe(tmp_path / "a.mp4")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind here")
def test_no_permission(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=2)
    clip.chmod(0)
    with pytest.raises(UnreadableVideoError, match="no permission"):
        probe(clip)


def test_a_name_that_no_system_knows() -> None:
    with pytest.raises(UnreadableVideoError, match="null"):
        probe("a\0b.mp4")


def test_folders_pipes_sockets_and_devices_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "s"))
    cases = {tmp_path: "folder", tmp_path / "pipe.mp4": "pipe", tmp_path / "s": "socket"}
    for path, word in {**cases, Path("/dev/zero"): "device"}.items():
        with pytest.raises(UnsupportedVideoError, match=f"is a {word}, not a"):
            probe(path)
    server.close()


def test_sound_without_pictures(tmp_path: Path) -> None:
    for name, codec in (("a.mp4", "aac"), ("a.mp3", "libmp3lame"), ("a.wav", "pcm_s16le")):
        make_sound(tmp_path / name, codec=codec)
        with pytest.raises(NoVideoStreamError, match=r"no video stream \(audio only\)"):
            probe(tmp_path / name)


def test_the_cover_of_a_song_is_no_film(tmp_path: Path) -> None:
    song = _with_cover(make_sound(tmp_path / "song.mp3", codec="libmp3lame"), tmp_path)
    with pytest.raises(NoVideoStreamError, match="audio only"):
        probe(song)


def _with_cover(song: Path, folder: Path) -> Path:
    """An MP3 with an ID3v2.3 frame APIC, put in front by hand."""
    clip = make_clip(folder / "c.mov", codec="mjpeg", pix_fmt="yuvj420p", full_range=True, frames=1)
    data = clip.read_bytes()
    jpeg = data[data.find(b"\xff\xd8") : data.find(b"\xff\xd9") + 2]
    body = b"\0image/jpeg\0\x03\0" + jpeg
    frame = b"APIC" + len(body).to_bytes(4, "big") + b"\0\0" + body
    size = bytes((len(frame) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    covered = folder / "covered.mp3"
    covered.write_bytes(b"ID3\x03\0\0" + size + frame + song.read_bytes())
    with av.open(str(covered)) as container:
        assert [stream.type for stream in container.streams] == ["audio", "video"]
    return covered


@pytest.mark.parametrize("name", ["a.mov", "a.mkv"])
def test_a_larger_still_beside_the_film_is_not_taken(tmp_path: Path, name: str) -> None:
    film = make_clip(tmp_path / "film.mp4", frames=10)
    still = make_clip(
        tmp_path / "still.mov",
        codec="mjpeg",
        pix_fmt="yuvj420p",
        full_range=True,
        frames=1,
        size=(640, 480),
    )
    joined((film, still), tmp_path / name)
    with VideoReader(tmp_path / name) as reader:
        assert [index_of(frame.to_rgb()) for frame in reader] == list(range(10))


def test_an_animated_png_is_read(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.apng", codec="apng", pix_fmt="rgb24", rate=5, frames=8)
    with VideoReader(clip) as reader:
        frames = [(frame.time_seconds, index_of(frame.to_rgb())) for frame in reader]
    assert frames == [(pytest.approx(i / 5), i) for i in range(8)]


@pytest.mark.parametrize(("flags", "words"), [(0x02, "animated WebP.*GIF or MP4"), (0x10, "")])
def test_an_animated_webp_is_refused_with_advice(tmp_path: Path, flags: int, words: str) -> None:
    header = b"VP8X" + (10).to_bytes(4, "little") + bytes([flags]) + bytes(9)
    data = b"RIFF" + (4 + len(header)).to_bytes(4, "little") + b"WEBP" + header
    (tmp_path / "a.webp").write_bytes(data)
    with pytest.raises(VideoError, match=words) as caught:
        probe(tmp_path / "a.webp")
    assert isinstance(caught.value, UnsupportedVideoError) or not words


@pytest.mark.parametrize(
    "name",
    [
        "-",
        "-i.mp4",
        "pipe:0",
        "http:x.mp4",
        "concat:a|b",
        "file:a.mp4",
        "%03d.mp4",
        "a*.mp4",
        "#1 ü 日本.mp4",
        "with space.mp4",
        "no_extension",
    ],
)
def test_every_name_is_only_a_name(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=3)
    clip.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for path in (name, Path(name), tmp_path / name):
        with VideoReader(path) as reader:
            assert [index_of(frame.to_rgb()) for frame in reader] == [0, 1, 2]


@pytest.mark.skipif(os.name == "nt", reason="names are text on Windows")
def test_a_name_that_is_not_text(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=3)
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.mp4")
    clip.rename(name)
    assert probe(name).width == 64


def test_every_refusal_is_a_video_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("hello")
    with pytest.raises(VideoError) as caught:
        probe(tmp_path / "a.mp4")
    assert "\n" not in str(caught.value)
    assert caught.value.source == str(tmp_path / "a.mp4")

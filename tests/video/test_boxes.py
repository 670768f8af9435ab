"""What an MP4 declares is held against what it is, before FFmpeg is given it."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from clips import make_clip

from actionstream.errors import (
    UnreadableVideoError,
    UnsupportedVideoError,
    VideoError,
    VideoTooLargeError,
)
from actionstream.video import VideoReader, boxes, probe

FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}
CENC = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "00112233445566778899aabbccddeeff",
    "encryption_kid": "00112233445566778899aabbccddeeff",
}


def _declare(clip: Path, box: bytes, offset: int, value: int) -> Path:
    data = bytearray(clip.read_bytes())
    place = data.index(box) + 4 + offset
    data[place : place + 4] = value.to_bytes(4, "big")
    clip.write_bytes(data)
    return clip


@pytest.mark.parametrize(
    ("box", "offset", "kind"),
    [
        (b"stsz", 8, {}),
        (b"stts", 8, {}),
        (b"ctts", 8, {}),
        (b"stco", 4, {}),
        (b"trun", 4, FRAGMENTS),
    ],
)
def test_more_samples_than_bytes(
    tmp_path: Path, box: bytes, offset: int, kind: dict[str, str]
) -> None:
    clip = make_clip(
        tmp_path / "a.mp4", container_options=kind, options={"bf": "2", "preset": "medium"}
    )
    assert boxes.read_boxes(clip) is not None
    with pytest.raises(UnreadableVideoError, match=r"declares 500000\d\d samples and has"):
        probe(_declare(clip, box, offset, 50_000_000))


def test_limits_of_samples_and_boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=20)
    monkeypatch.setattr(boxes, "MAX_SAMPLES", 19)
    with pytest.raises(VideoTooLargeError, match="more than 19 samples"):
        VideoReader(clip)
    monkeypatch.setattr(boxes, "MAX_SAMPLES", 20)
    assert probe(clip).width == 64
    monkeypatch.setattr(boxes, "MAX_BOXES", 8)
    with pytest.raises(VideoTooLargeError, match="more than 8 boxes"):
        VideoReader(clip)


def test_plain_sound_has_as_many_samples_as_it_likes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxes, "MAX_SAMPLES", 100)
    clip = make_clip(tmp_path / "a.mov", audio="pcm_s16le", frames=50)
    assert probe(clip).has_audio


def _box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def test_a_compressed_index_and_endless_nesting(tmp_path: Path) -> None:
    table = _box(b"stts", bytes(4) + (1).to_bytes(4, "big") + (10**8).to_bytes(4, "big") + bytes(4))
    packed = bytes(4) + zlib.compress(_box(b"moov", _box(b"trak", table)))
    moov = _box(b"moov", _box(b"cmov", _box(b"dcom", b"zlib") + _box(b"cmvd", packed)))
    (tmp_path / "a.mov").write_bytes(moov)
    with pytest.raises(UnreadableVideoError, match="declares 100000000 samples"):
        probe(tmp_path / "a.mov")
    nested = b""
    for _ in range(3000):
        nested = _box(b"trak", nested)
    (tmp_path / "b.mov").write_bytes(_box(b"moov", nested))
    with pytest.raises(VideoError):
        probe(tmp_path / "b.mov")


@pytest.mark.parametrize("cut", [0.5, 0.8])
def test_fragments_that_are_cut_are_said_to_be(tmp_path: Path, cut: float) -> None:
    clip = make_clip(
        tmp_path / "a.mp4", frames=100, options={"g": "10"}, container_options=FRAGMENTS
    )
    with VideoReader(clip) as whole:
        assert len(list(whole)) == 100
    assert not whole.truncated
    data = clip.read_bytes()
    clip.write_bytes(data[: int(len(data) * cut)])
    with VideoReader(clip) as reader:
        assert 100 * cut - 15 < len(list(reader)) < 100 * cut + 10
    assert reader.truncated
    assert [notice.kind for notice in reader.warnings][-1] == "cut_off"


def test_an_encrypted_film_is_called_so(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", container_options=CENC)
    with pytest.raises(UnsupportedVideoError, match=r"a\.mp4: encrypted"):
        probe(clip)


def test_an_encrypted_transport_stream_is_called_so(tmp_path: Path) -> None:
    data = bytearray(make_clip(tmp_path / "a.ts", frames=60).read_bytes())
    for start in range(0, len(data), 188):
        pid = int.from_bytes(data[start + 1 : start + 3], "big") & 0x1FFF
        if pid == 0x100:
            data[start + 3] |= 0x80  # scrambled with the even key
            body = start + 4 + (1 + data[start + 4] if data[start + 3] & 0x20 else 0)
            data[body : start + 188] = bytes(b ^ 0xA5 for b in data[body : start + 188])
    (tmp_path / "b.ts").write_bytes(data)
    with pytest.raises(VideoError, match=r"b\.ts: encrypted"):
        probe(tmp_path / "b.ts")

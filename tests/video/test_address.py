from __future__ import annotations

import sys

import pytest

from actionstream.errors import UnsupportedVideoError
from actionstream.video.address import parse_address


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://camera/stream", "rtsp://camera/stream"),
        ("rtsp://user:secret@camera:554/s", "rtsp://***@camera:554/s"),
        ("rtsp://user:se@cr/et@camera/s", "rtsp://***@camera/s"),
        ("http://user:secr?et@camera/s", "http://***@camera/s"),
        ("https://camera/s?token=secret&a=b@c", "https://***@c"),
        ("https://camera/s?token=secret", "https://camera/s?***"),
        ("RTSP://u:secret@[::1]:8554/s", "RTSP://***@[::1]:8554/s"),
        ("rtsp://u:secret@[broken/s", "rtsp://***@[broken/s"),
    ],
)
def test_secrets_never_show(address: str, shown: str) -> None:
    parsed = parse_address(address)
    assert parsed.kind == "network"
    assert parsed.shown == shown
    assert parsed.url == address, "what is opened is the whole address"
    assert "secret" not in repr(parsed)
    assert "secret" not in parsed.redact(f"cannot open {address}: refused")
    assert "secret" not in parsed.redact("cannot open rtsp://me:secret@other/x")


@pytest.mark.parametrize(
    "address",
    ["file:///etc/passwd", "ftp://h/x", "concat://a", "lavfi://x", "rtp://h:5", "data://x", "://"],
)
def test_other_schemes_are_refused(address: str) -> None:
    with pytest.raises(UnsupportedVideoError, match="not a stream that is read"):
        parse_address(address)


@pytest.mark.parametrize(
    ("address", "allowed", "refused"),
    [
        ("rtsp://h/x", {"rtsp", "rtp", "udp", "tcp"}, {"file", "http", "tls"}),
        ("rtsps://h/x", {"rtsp", "tls", "srtp"}, {"file", "http"}),
        ("http://h/x", {"http", "tcp"}, {"file", "udp", "rtsp"}),
        ("udp://h:1", {"udp"}, {"file", "tcp", "http"}),
        ("tcp://h:1", {"tcp"}, {"file", "udp", "http"}),
        ("rtmp://h/x", {"rtmp", "tcp"}, {"file", "http"}),
    ],
)
def test_each_scheme_opens_its_own_protocols_only(
    address: str, allowed: set[str], refused: set[str]
) -> None:
    options = parse_address(address).options
    protocols = set(options["protocol_whitelist"].split(","))
    assert allowed <= protocols
    assert not refused & protocols
    formats = set(options["format_whitelist"].split(","))
    assert formats
    assert not {"hls", "dash", "concat", "sdp", "lavfi", "image2"} & formats


@pytest.mark.skipif(sys.platform != "linux", reason="names of cameras are those of Linux")
def test_cameras_of_linux() -> None:
    for address, device in (("0", "/dev/video0"), ("12", "/dev/video12"), (" 1 ", "/dev/video1")):
        assert parse_address(address).url == device
    camera = parse_address("/dev/v4l/by-id/usb", size=(640, 480), frame_rate=29.97)
    assert (camera.kind, camera.format) == ("camera", "v4l2")
    assert camera.options["video_size"] == "640x480"
    assert camera.options["framerate"] == "29.97"


@pytest.mark.skipif(sys.platform != "linux", reason="names of cameras are those of Linux")
@pytest.mark.parametrize("address", ["", "clip.mp4", "/home/x.mp4", "-1", "²", "video=x"])
def test_what_is_neither(address: str) -> None:
    with pytest.raises(UnsupportedVideoError, match="neither a camera"):
        parse_address(address)

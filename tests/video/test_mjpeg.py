"""Cameras that send JPEGs by HTTP in ways that browsers take and FFmpeg does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from clips import index_of, picture

from actionstream.errors import UnsupportedVideoError, VideoTimeoutError, VideoTooLargeError
from actionstream.video import Backoff, Limits, LiveSource
from actionstream.video.mjpeg import picture_in
from actionstream.video.picture import encode_jpeg

JPEGS = [encode_jpeg(picture(i), 95) for i in range(20)]
ONCE = Backoff(max_attempts=1)
QUICK = Limits(open_timeout_seconds=5, read_timeout_seconds=5)

# How a part is written: what stands before a picture of so many bytes, and what behind it.
PARTS = {
    "boundary-behind": (
        "Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
        "\r\n--frame\r\n",
    ),
    "no-type": ("--frame\r\nContent-Length: {}\r\n\r\n", "\r\n"),
    "image-jpg": ("--frame\r\nContent-Type: image/jpg\r\n\r\n", "\r\n"),
    "length-first": (
        "--frame\r\nContent-Length: {}\r\nX: 1\r\nContent-Type: image/jpg\r\n\r\n",
        "",
    ),
    "nothing-at-all": ("", ""),
}


class _Camera(BaseHTTPRequestHandler):
    asked = 0
    over = threading.Event()

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        kind = self.path.strip("/")
        if kind == "single":
            type(self).asked += 1
            return self._whole("image/jpeg", JPEGS[self.asked % 20])
        if kind == "cut":  # as cameras do that declare the first picture's length for all
            type(self).asked += 1
            return self._whole("image/jpeg", JPEGS[self.asked % 20][:-40])
        if kind == "page":
            return self._whole("text/html", b"<html><img src='/video'></html>")
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        before, behind = PARTS[kind.removesuffix("-hangs")]
        for jpeg in JPEGS:
            part = before.format(len(jpeg)).encode() + jpeg + behind.encode()
            for start in range(0, len(part), 700):  # as a network cuts it
                self.wfile.write(part[start : start + 700])
        if kind.endswith("-hangs"):
            self.over.wait(20)
        return None

    def _whole(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def camera() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Camera) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        _Camera.over.set()
        server.shutdown()


@pytest.mark.parametrize("kind", PARTS)
def test_parts_as_cameras_write_them(camera: str, kind: str) -> None:
    source = LiveSource(f"{camera}/{kind}", backoff=ONCE, limits=QUICK)
    seen: list[int] = []
    with source, pytest.raises(OSError, match="the stream ended"):
        seen.extend(index_of(frame.to_rgb()) for frame in source)
    assert source.frames_read == 20
    assert seen == sorted(seen)
    assert set(seen) <= set(range(20))
    assert (source.connections, source.corrupt_packets) == (1, 0)


def test_what_ended_the_pictures_is_said_not_what_ffmpeg_said_before(camera: str) -> None:
    source = LiveSource(
        f"{camera}/boundary-behind-hangs", backoff=ONCE, limits=Limits(read_timeout_seconds=1)
    )
    with source, pytest.raises(VideoTimeoutError, match="did not answer in time"):
        for _ in source:
            pass
    assert source.frames_read == 20


def test_a_single_picture_is_asked_for_again(camera: str) -> None:
    told: list[str] = []
    with LiveSource(
        f"{camera}/single",
        backoff=ONCE,
        limits=QUICK,
        on_state=lambda *words: told.append(words[1]),
    ) as source:
        shown = [index_of(next(source).to_rgb()) for _ in range(4)]
    assert len(set(shown)) == 4, "the same picture again and again"
    assert "64x48, mjpeg, a single picture that is asked for again" in told


def test_a_single_picture_that_arrives_cut_is_read(camera: str) -> None:
    with LiveSource(f"{camera}/cut", backoff=ONCE, limits=QUICK) as source:
        assert [next(source).to_rgb().shape for _ in range(2)] == [(48, 64, 3)] * 2


def test_a_web_page_is_no_camera(camera: str) -> None:
    source = LiveSource(f"{camera}/page", limits=QUICK)
    with source, pytest.raises(UnsupportedVideoError, match="a web page, not a stream"):
        next(source)


def test_a_picture_over_the_limit_ends_it(camera: str) -> None:
    limits = Limits(max_frame_pixels=64 * 48 - 1)
    source = LiveSource(f"{camera}/no-type", backoff=ONCE, limits=limits)
    with source, pytest.raises(VideoTooLargeError, match="64x48"):
        next(source)


def test_pictures_are_told_by_their_own_bytes() -> None:
    jpeg, thumbnail = JPEGS[3], JPEGS[4]
    inside = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    whole = jpeg[:2] + inside + jpeg[2:]
    stream = bytearray(b"--frame\r\n\r\n" + whole + b"\r\n--frame\r\n\r\n")
    start = stream.index(whole)
    assert picture_in(stream) == (start, start + len(whole))
    for missing in range(1, len(whole)):
        assert picture_in(stream[: start + len(whole) - missing]) is None
    broken = bytearray(jpeg[:-40] + b"\r\n--frame\r\n\r\n" + thumbnail)
    found = picture_in(broken)
    assert found is not None
    assert found[1] == broken.index(thumbnail), "it ends where the next one starts"
    assert picture_in(broken[found[1] :]) == (0, len(thumbnail))

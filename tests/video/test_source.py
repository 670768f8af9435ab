"""Live sources against real streams on loopback: cut, and let come back."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from clips import make_clip

from actionstream.errors import (
    UnreadableVideoError,
    UnsupportedVideoError,
    VideoError,
    VideoNotFoundError,
    VideoTimeoutError,
    VideoTooLargeError,
)
from actionstream.video import Backoff, Limits, LiveSource

FFMPEG = shutil.which("ffmpeg")
SYSTEM_PYTHON = "/usr/bin/python3"
RTSP_SERVER = Path(__file__).with_name("rtsp_server.py")
QUICK = Backoff(first_seconds=0.1, max_seconds=0.3)
ONCE = Backoff(max_attempts=1)
IMPATIENT = Limits(open_timeout_seconds=1.0, read_timeout_seconds=1.0)
PATIENCE_SECONDS = 30.0  # no test waits longer for a stream, however busy the machine

needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="needs the program ffmpeg")


def _has_rtsp_server() -> bool:
    check = "import gi; gi.require_version('GstRtspServer', '1.0')"
    try:
        return subprocess.run([SYSTEM_PYTHON, "-c", check], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Serve = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start programs; those that still run at the end are ended, by their own handle."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def _http(
    serve: Serve, port: int, seconds: float = 60, size: str = "64x48"
) -> subprocess.Popen[bytes]:
    """FFmpeg as a camera: red MPEG-TS by HTTP for one client, then it ends."""
    assert FFMPEG is not None
    source = f"color=red:size={size}:rate=25"
    coding = "-c:v libx264 -preset ultrafast -tune zerolatency -g 10 -pix_fmt yuv420p -f mpegts"
    return serve(
        *(FFMPEG, "-v", "error", "-re", "-f", "lavfi", "-i", source, "-t", str(seconds)),
        *coding.split(),
        *("-listen", "1", f"http://127.0.0.1:{port}/live"),
    )


class _States:
    """Remembers what a source tells, and when."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self._news = threading.Condition()

    def __call__(self, state: str, detail: str) -> None:
        with self._news:
            self.told.append((state, detail))
            self._news.notify_all()

    @property
    def names(self) -> list[str]:
        return [state for state, _ in self.told]

    def wait_for(self, state: str, count: int = 1) -> None:
        with self._news:
            came = self._news.wait_for(
                lambda: self.names.count(state) >= count, timeout=PATIENCE_SECONDS
            )
        assert came, f"no {count} x {state!r}: {self.told}"


def _is_red(rgb: np.ndarray) -> bool:
    red, green, blue = rgb.mean((0, 1))
    return bool(red > 200 and green < 60 and blue < 60)


def _take(source: LiveSource, count: int) -> list[float]:
    times = []
    for frame in source:
        rgb = frame.to_rgb()
        assert rgb.shape == (48, 64, 3)
        assert _is_red(rgb)
        times.append(frame.time_seconds)
        if len(times) == count:
            break
    return times


@needs_ffmpeg
def test_a_stream_that_is_cut_comes_back(serve: Serve) -> None:
    port, states = _free_port(), _States()
    first = _http(serve, port)
    address = f"http://user:secret@127.0.0.1:{port}/live?token=secret"
    with LiveSource(address, backoff=QUICK, on_state=states) as source:
        before = _take(source, 10)
        first.kill()
        states.wait_for("lost", states.names.count("lost") + 1)
        _http(serve, port)
        after: list[float] = []
        while source.connections < 2:
            after = _take(source, 5)
        after = _take(source, 10)
    assert source.connections == 2
    times = before + after
    assert times == sorted(times), "time went back with the new connection"
    assert 0 <= times[0] < 0.5, "zero is the first frame, which a newer one may have replaced"
    assert after[0] - before[-1] > 0.1, "the gap is part of the time"
    order = [name for name in states.names if name in ("connected", "lost", "closed")]
    assert [n for n in order if n != "lost"] == ["connected", "connected", "closed"]
    assert order.index("lost", order.index("connected")) < len(order) - 2
    assert states.names[0] == "connecting"
    assert not any("secret" in detail for _, detail in states.told)
    assert "secret" not in source.name


@pytest.mark.skipif(not _has_rtsp_server(), reason="needs gir1.2-gst-rtsp-server-1.0")
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_rtsp_cut_and_back(serve: Serve, transport: str) -> None:
    port, states = _free_port(), _States()
    server = serve(SYSTEM_PYTHON, str(RTSP_SERVER), str(port))
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    source = LiveSource(
        f"rtsp://127.0.0.1:{port}/camera",
        rtsp_transport=transport,  # type: ignore[arg-type]
        backoff=QUICK,
        limits=Limits(open_timeout_seconds=5, read_timeout_seconds=2),
        on_state=states,
    )
    with source:
        assert len(_take(source, 10)) == 10
        server.kill()
        states.wait_for("lost")
        again = serve(SYSTEM_PYTHON, str(RTSP_SERVER), str(port))
        assert again.stdout is not None
        assert again.stdout.readline() == b"ready\n"
        states.wait_for("connected", 2)
        assert len(_take(source, 10)) == 10
    assert source.connections == 2


@needs_ffmpeg
def test_a_slow_reader_gets_the_newest_frame_and_the_drops_are_counted(serve: Serve) -> None:
    port = _free_port()
    _http(serve, port)
    with LiveSource(f"http://127.0.0.1:{port}/live", backoff=QUICK) as source:
        next(source)
        started, ages = time.monotonic() - next(source).time_seconds, []
        for _ in range(4):
            time.sleep(0.4)  # ten frames of the camera
            frame = next(source)
            ages.append(time.monotonic() - started - frame.time_seconds)
    # A queue would be 0.4 s older each time. The newest is one frame's time (40 ms) old, or two.
    assert max(ages) < 0.35
    assert source.frames_dropped >= 20
    assert source.frames_read >= source.frames_dropped + 6


@needs_ffmpeg
def test_closing_from_another_thread_ends_the_wait_at_once(serve: Serve) -> None:
    port, states = _free_port(), _States()
    process = _http(serve, port)
    source = LiveSource(f"http://127.0.0.1:{port}/live", backoff=QUICK, on_state=states)
    next(source)
    process.send_signal(19)  # SIGSTOP: the stream stands still, the connection stays
    threading.Timer(0.3, source.close).start()
    started = time.monotonic()
    for _ in source:
        started = time.monotonic()  # what was still on its way
    assert time.monotonic() - started < 2.0
    process.send_signal(18)  # SIGCONT
    states.wait_for("closed")
    assert list(source) == []


@needs_ffmpeg
def test_a_stream_that_stands_still_is_lost_after_the_read_timeout(serve: Serve) -> None:
    port, states = _free_port(), _States()
    process = _http(serve, port)
    source = LiveSource(
        f"http://127.0.0.1:{port}/live",
        backoff=QUICK,
        limits=Limits(open_timeout_seconds=10, read_timeout_seconds=0.5),
        on_state=states,
    )
    with source:
        next(source)
        lost = states.names.count("lost")
        process.send_signal(19)
        states.wait_for("lost", lost + 1)
        process.send_signal(18)
    assert any(
        "did not answer in time" in detail for state, detail in states.told if state == "lost"
    )


@needs_ffmpeg
def test_a_picture_over_the_limit_ends_it(serve: Serve) -> None:
    port = _free_port()
    _http(serve, port, size="128x96")
    limits = Limits(max_frame_pixels=64 * 48)
    with (
        LiveSource(f"http://127.0.0.1:{port}/live", backoff=QUICK, limits=limits) as source,
        pytest.raises(VideoTooLargeError, match="128x96"),
    ):
        next(source)


def _answering(reply: bytes, port: int = 0) -> tuple[int, threading.Thread]:
    """A server that gives one client one reply, whatever it asks."""
    listener = socket.create_server(("127.0.0.1", port))
    listener.settimeout(PATIENCE_SECONDS)

    def answer() -> None:
        with listener:
            client, _ = listener.accept()
            with client:
                client.recv(4096)
                client.sendall(reply)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    return int(listener.getsockname()[1]), thread


def _reply(status: str, body: bytes = b"", kind: str = "video/mp2t") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        ("404 Not Found", VideoNotFoundError, "knows no such stream"),
        ("401 Unauthorized", UnreadableVideoError, "refuses this user or password"),
        ("403 Forbidden", UnreadableVideoError, "refuses this user or password"),
        ("200 OK", UnreadableVideoError, "no video stream"),
    ],
)
def test_what_a_server_says_in_plain_words(
    status: str, error: type[VideoError], words: str
) -> None:
    port, thread = _answering(_reply(status, b"hello " * 1000))
    source = LiveSource(f"http://me:secret@127.0.0.1:{port}/x", backoff=ONCE, limits=IMPATIENT)
    with source, pytest.raises(error, match=words) as caught:
        next(source)
    assert "secret" not in str(caught.value)
    assert str(caught.value).startswith(f"http://***@127.0.0.1:{port}/x: ")
    thread.join(5)


def test_a_playlist_from_a_server_is_refused(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.ts", frames=5)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{clip}\n#EXT-X-ENDLIST\n"
    kind = "application/vnd.apple.mpegurl"
    port, _ = _answering(_reply("200 OK", playlist.encode(), kind))
    states = _States()
    address = f"http://me:secret@127.0.0.1:{port}/x.m3u8"
    source = LiveSource(address, limits=IMPATIENT, on_state=states)  # tries for ever, if at all
    with source, pytest.raises(UnsupportedVideoError, match="playlists such as HLS") as caught:
        next(source)
    assert source.frames_read == 0
    assert states.names == ["connecting", "closed"]
    assert "secret" not in str(caught.value)


@needs_ffmpeg
def test_a_playlist_in_place_of_a_stream_that_gave_pictures_is_waited_out(serve: Serve) -> None:
    """A camera that starts again may answer with something else for a while."""
    port, states = _free_port(), _States()
    first = _http(serve, port)
    source = LiveSource(f"http://127.0.0.1:{port}/live", backoff=QUICK, on_state=states)
    with source:
        _take(source, 3)
        first.kill()
        first.wait(10)
        playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\na.ts\n"
        _, thread = _answering(_reply("200 OK", playlist, "application/vnd.apple.mpegurl"), port)
        thread.join(PATIENCE_SECONDS)
        _http(serve, port)
        states.wait_for("connected", 2)
        _take(source, 3)
    assert any("playlists such as HLS" in detail for _, detail in states.told), states.told


def test_a_file_from_a_server_is_played_to_its_end(tmp_path: Path) -> None:
    data = make_clip(tmp_path / "a.ts", frames=12).read_bytes()
    port, _ = _answering(_reply("200 OK", data))
    states = _States()
    source = LiveSource(f"http://127.0.0.1:{port}/a.ts", backoff=ONCE, on_state=states)
    with source, pytest.raises(UnreadableVideoError, match="the stream ended"):
        list(source)
    assert source.frames_read == 12
    assert states.names == ["connecting", "connected", "closed"]


def test_nothing_listens() -> None:
    source = LiveSource(f"http://127.0.0.1:{_free_port()}/x", backoff=ONCE, limits=IMPATIENT)
    with source, pytest.raises(UnreadableVideoError, match="connection refused"):
        next(source)


def test_a_server_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with (
            LiveSource(f"http://127.0.0.1:{port}/x", backoff=ONCE, limits=IMPATIENT) as source,
            pytest.raises(VideoTimeoutError, match="did not answer in time"),
        ):
            next(source)


def test_no_such_camera() -> None:
    with (
        LiveSource("/dev/video97", backoff=ONCE) as source,
        pytest.raises(VideoNotFoundError, match="/dev/video97: there is no such camera"),
    ):
        next(source)


def test_a_path_is_no_address() -> None:
    with pytest.raises(UnsupportedVideoError, match="neither a camera"):
        LiveSource("clip.mp4")


def test_attempts_are_counted_and_delays_grow() -> None:
    states = _States()
    backoff = Backoff(first_seconds=0.01, max_seconds=0.05, jitter=0, max_attempts=5)
    source = LiveSource(f"http://127.0.0.1:{_free_port()}/x", backoff=backoff, on_state=states)
    with source, pytest.raises(UnreadableVideoError):
        next(source)
    assert states.names == ["connecting", "lost"] * 4 + ["connecting", "closed"]


def test_backoff_doubles_up_to_its_cap_with_jitter() -> None:
    backoff = Backoff(first_seconds=0.5, max_seconds=30, jitter=0.2)
    steady = [backoff.delay_seconds(attempt, 0.5) for attempt in (1, 2, 3, 6, 7, 8, 5000)]
    assert steady == pytest.approx([0.5, 1, 2, 16, 25, 25, 25])
    capped = [backoff.delay_seconds(attempt, 1.0) for attempt in (6, 7, 5000)]
    assert capped == pytest.approx([19.2, 30, 30])
    assert max(capped) <= 30
    assert backoff.delay_seconds(5000, 0.0) == pytest.approx(20)
    assert backoff.delay_seconds(1, 0.0) == pytest.approx(0.4)
    assert backoff.delay_seconds(1, 1.0) == pytest.approx(0.6)


def test_a_callback_that_fails_is_not_swallowed() -> None:
    def broken(state: str, detail: str) -> None:
        raise KeyError(state)

    source = LiveSource(f"http://127.0.0.1:{_free_port()}/x", backoff=ONCE, on_state=broken)
    with source, pytest.raises(KeyError, match="connecting"):
        next(source)

"""`actionstream webcam` as people run it, against real streams on loopback that come and go."""

from __future__ import annotations

import http.client
import http.server
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import make_clip
from PIL import Image
from streams import PATIENCE_SECONDS, eventually

from actionstream.cli import main
from actionstream.video import VideoReader

REPOSITORY = Path(__file__).resolve().parents[2]
FFMPEG = shutil.which("ffmpeg")
SYSTEM_PYTHON = "/usr/bin/python3"
RTSP_SERVER = REPOSITORY / "tests" / "video" / "rtsp_server.py"
LOOKS_NEEDED_SECONDS = 45.0  # until the first answer, on a machine that may be busy

needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="needs the program ffmpeg")


def has_rtsp_server() -> bool:
    check = "import gi; gi.require_version('GstRtspServer', '1.0')"
    try:
        return subprocess.run([SYSTEM_PYTHON, "-c", check], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """A process whose lines on stdout and stderr are kept as they come."""

    def __init__(self, *command: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        streams = ((self.process.stdout, self.out), (self.process.stderr, self.err))
        self._readers = [threading.Thread(target=self._keep, args=pair) for pair in streams]
        for reader in self._readers:
            reader.start()

    def _keep(self, stream: io.TextIOBase, lines: list[str]) -> None:
        lines.extend(line.rstrip("\n") for line in stream)

    def says(self, pattern: str, count: int = 1) -> None:
        """Wait until stderr has had so many lines that match."""
        try:
            eventually(lambda: sum(bool(re.search(pattern, line)) for line in self.err) >= count)
        except AssertionError:
            raise AssertionError(f"no {count} x {pattern!r} in {self.err}") from None

    def wait(self) -> int:
        code = self.process.wait(PATIENCE_SECONDS)
        for reader in self._readers:
            reader.join(PATIENCE_SECONDS)
        return code

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


Start = Callable[..., Running]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start programs; what still runs at the end is ended, by its own handle."""
    running: list[Running] = []

    def begin(*command: str) -> Running:
        running.append(Running(*command))
        return running[-1]

    yield begin
    for program in running:
        program.end()


def webcam(start: Start, *words: str) -> Running:
    return start(sys.executable, "-m", "actionstream", "webcam", *words, "--threads", "1")


def http_camera(start: Start, port: int, clip: Path) -> Running:
    """FFmpeg as a camera that shows the clip over and over: MPEG-TS by HTTP for one client."""
    assert FFMPEG is not None
    coding = "-an -c:v libx264 -preset ultrafast -tune zerolatency -g 10 -pix_fmt yuv420p -f mpegts"
    return start(
        *(FFMPEG, "-v", "error", "-re", "-stream_loop", "-1", "-i", str(clip), "-t", "90"),
        *coding.split(),
        *("-listen", "1", f"http://127.0.0.1:{port}/live"),
    )


def events_in(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


RECORD = (
    "import os; open(os.environ['RECORD'], 'a').write("
    "' '.join(os.environ['ACTIONSTREAM_' + name] for name in ('EVENT', 'LABEL')) + chr(10))"
)


@needs_ffmpeg
@pytest.mark.clips
@pytest.mark.e2e
def test_text_events_and_commands_through_a_cut(
    start: Start,
    ucf101_clip: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip, port = ucf101_clip("PlayingPiano"), free_port()
    log, record = tmp_path / "events.jsonl", tmp_path / "record.txt"
    monkeypatch.setenv("RECORD", str(record))
    camera = http_camera(start, port, clip)
    watching = webcam(
        start,
        *(f"http://user:secret@127.0.0.1:{port}/live?key=secret", "--text"),
        *("--events", str(log), "--on-action", f'{sys.executable} -c "{RECORD}"'),
    )
    begun = lambda: [event for event in events_in(log) if event["kind"] == "begin"]  # noqa: E731
    eventually(lambda: len(begun()) >= 1, LOOKS_NEEDED_SECONDS)
    camera.end()
    watching.says("^lost")
    # What went on ends with the camera, not when it comes back.
    eventually(lambda: events_in(log)[-1]["kind"] == "end")
    before = len(begun())
    http_camera(start, port, clip)
    watching.says("^connected", 2)
    eventually(lambda: len(begun()) > before, LOOKS_NEEDED_SECONDS)
    watching.process.send_signal(signal.SIGINT)
    assert watching.wait() == 130

    events = events_in(log)
    assert [event["kind"] for event in events] == ["begin", "end"] * (len(events) // 2)
    for begin, end in zip(events[::2], events[1::2], strict=True):
        assert begin["end_seconds"] is None
        assert begin["label"] == end["label"]
        assert begin["start_seconds"] == end["start_seconds"] <= end["end_seconds"]
    told = [line.split() for line in record.read_text().splitlines()]
    assert sorted(told) == sorted([event["kind"], event["label"]] for event in events)
    assert "PlayingPiano" in {event["label"] for event in events}
    lines = [re.fullmatch(r" *\d+\.\d s  (.+?)(?:  \d+%)?", line) for line in watching.out]
    assert all(lines)
    assert len(lines) >= 1
    closing = re.search(
        r"actions? seen; camera (\d+)/s, answers (\d+\.\d)/s over (\d+) s, \d+ ms old",
        watching.err[-1],
    )
    assert closing is not None, watching.err[-1]
    assert all(float(figure) > 0 for figure in closing.groups())
    assert "secret" not in "\n".join(watching.out + watching.err)


@pytest.mark.skipif(not has_rtsp_server(), reason="needs gir1.2-gst-rtsp-server-1.0")
@pytest.mark.e2e
def test_the_page_shows_an_rtsp_camera_that_comes_back(start: Start) -> None:
    port = free_port()
    camera = start(SYSTEM_PYTHON, str(RTSP_SERVER), str(port))
    eventually(lambda: camera.out == ["ready"])
    watching = webcam(start, f"rtsp://127.0.0.1:{port}/camera", "--port", "0")
    watching.says(r"watching rtsp://.* on http://127.0.0.1:\d+/")
    page = int(re.search(r"on http://127\.0\.0\.1:(\d+)/", "\n".join(watching.err))[1])
    watching.says("^connected: 64x48, h264")

    eventually(lambda: reddest(page) > 200)
    eventually(lambda: status_of(page)["headline"] not in ("", "waiting for a picture"))
    eventually(lambda: len(status_of(page)["top"]) == 3, LOOKS_NEEDED_SECONDS)
    assert status_of(page)["state"] == "connected: 64x48, h264"

    camera.end()
    watching.says("^lost")
    eventually(lambda: not str(status_of(page)["state"]).startswith("connected"))
    eventually(lambda: status_of(page)["minute"][-1]["to"] < 0.97)  # time goes on without pictures
    start(SYSTEM_PYTHON, str(RTSP_SERVER), str(port))
    watching.says("^connected", 2)
    eventually(lambda: reddest(page) > 200)
    watching.process.send_signal(signal.SIGINT)
    assert watching.wait() == 130
    assert any("seen; camera" in line for line in watching.err)


def status_of(port: int) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    connection.request("GET", "/status.json")
    status = json.loads(connection.getresponse().read())
    connection.close()
    return status


def reddest(port: int) -> int:
    """Of the picture that the page shows; the plate with the words covers a part of it."""
    return int(np.asarray(Image.open(io.BytesIO(picture_of(port))).convert("RGB"))[..., 0].max())


def picture_of(port: int) -> bytes:
    """One JPEG of the page's stream."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    connection.request("GET", "/picture.mjpg")
    response = connection.getresponse()
    assert response.readline() == b"--picture\r\n"
    response.readline()
    length = int(response.readline().split(b":")[1])
    response.readline()
    jpeg = response.read(length)
    response.close()
    connection.close()
    return jpeg


@pytest.mark.e2e
@needs_ffmpeg
@pytest.mark.clips
def test_it_ends_by_itself_and_sums_up_all_that_it_saw(
    start: Start, ucf101_clip: Callable[..., Path], tmp_path: Path
) -> None:
    """Also when the camera was gone by then: the figures are of the session, not of its end."""
    port = free_port()
    camera = http_camera(start, port, ucf101_clip("PlayingPiano"))
    kept = tmp_path / "kept.mp4"
    watching = webcam(
        start,
        *(f"http://127.0.0.1:{port}/live", "--seconds", "14", "--port", "0"),
        *("--record", str(kept)),
    )
    watching.says("^connected")
    time.sleep(6)
    camera.end()
    assert watching.wait() == 0
    summed_up = re.compile(r" *\d+\.\d to \d+\.\d s  .+  (>?\d+|<1)%")
    assert any(summed_up.fullmatch(line) for line in watching.out)
    closing = re.search(r"camera (\d+)/s, answers (\d+\.\d)/s over", watching.err[-2])
    assert closing is not None, watching.err[-2]
    assert all(float(figure) > 0 for figure in closing.groups())
    assert watching.err[-1] == f"recorded in {kept}"
    with VideoReader(kept) as recorded:
        frames = list(recorded)
        greens = [is_green(frame.to_rgb()) for frame in frames[-20:]]
    assert 4 < frames[-1].time_seconds < 12, "it ends with the camera's last picture"
    assert any(greens), "the answer is on it"
    again = webcam(start, "0", "--record", str(kept))
    assert again.wait() == 2
    assert "--overwrite" in again.err[-1]


def is_green(rgb: np.ndarray) -> bool:
    """Whether the headline's green is in the picture."""
    pixels = rgb.astype(int)
    green = (pixels[..., 1] > 150) & (pixels[..., 0] < 90) & (pixels[..., 2] < 150)
    return int(green.sum()) > 50


@pytest.mark.torch
@needs_ffmpeg
def test_a_model_that_is_too_slow_is_named(start: Start, tmp_path: Path) -> None:
    from slow_bundle import slow_bundle  # needs onnx, which comes with the extra `train`

    model, port = slow_bundle(tmp_path / "slow"), free_port()
    http_camera(start, port, make_clip(tmp_path / "clip.mp4", rate=25, frames=50))
    watching = webcam(start, f"http://127.0.0.1:{port}/live", "--model", str(model), "--port", "0")
    watching.says(r"^this computer is too slow for the model slow: no look is done within 0\.4 s")
    page = int(re.search(r"on http://127\.0\.0\.1:(\d+)/", "\n".join(watching.err))[1])
    status = status_of(page)
    assert status["headline"] == "too slow for an answer"
    assert str(status["state"]).startswith("this computer is too slow for the model slow")
    assert status["shown"] is None
    watching.process.send_signal(signal.SIGINT)
    assert watching.wait() == 130
    assert sum("too slow for the model" in line for line in watching.err) == 1
    assert re.search(r"reset \d+ times for slowness$", watching.err[-1])


def test_a_source_that_is_not_there_fails_soon(start: Start) -> None:
    began = time.monotonic()
    watching = webcam(start, f"http://127.0.0.1:{free_port()}/live", "--text")
    assert watching.wait() == 1
    assert time.monotonic() - began < PATIENCE_SECONDS
    assert watching.err[-1].startswith("actionstream: http://127.0.0.1:")
    assert watching.err[-1].endswith("connection refused: nothing listens there")
    assert watching.out == []
    assert "Traceback" not in "\n".join(watching.err)


def test_a_playlist_is_refused_in_words_and_not_tried_again(start: Start) -> None:
    class Playlist(http.server.BaseHTTPRequestHandler):
        asked = 0

        def do_GET(self) -> None:
            Playlist.asked += 1
            body = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\na.ts\n"
            self.send_response(200)
            self.send_header("Content-Type", "application/vnd.apple.mpegurl")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Playlist) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/live.m3u8"
        watching = webcam(start, address, "--text")
        assert watching.wait() == 1
        server.shutdown()
    assert watching.err[-1].startswith(f"actionstream: {address}: not a stream that is read")
    assert "HLS" in watching.err[-1]
    assert not any(line.startswith("lost") for line in watching.err)
    assert Playlist.asked == 2, "by FFmpeg and as a browser does, once"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("ftp://127.0.0.1/x",), "not a stream that is read"),
        (("some.mp4",), "neither a camera"),
        (("0", "--size", "640"), "must be WIDTHxHEIGHT"),
        (("0", "--size", "0x480"), "must be WIDTHxHEIGHT"),
        (("0", "--rate", "-5"), "must be a number above 0"),
        (("0", "--seconds", "nan"), "must be a number above 0"),
        (("0", "--port", "70000"), "must be a port"),
        (("0", "--page", "--text"), "not allowed with"),
        (("0", "--text", "--on-action", "no-such-program-here"), "no program"),
        (("0", "--text", "--events", "/no/such/folder/e.jsonl"), "No such file"),
        (("0", "--record", "/no/such/folder/e.mp4"), "there is no folder"),
        (("0", "--record", "e.avi"), "a recording is an MP4"),
        ((__file__,), f"actionstream predict {__file__}"),
    ],
)
def test_wrong_use_is_named(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], why: str
) -> None:
    try:
        code: object = main(["webcam", *words])
    except SystemExit as left:  # argparse's way
        code = left.code
    assert code == 2
    said = capsys.readouterr().err
    assert why in said.splitlines()[-1]
    assert "Traceback" not in said


def test_a_taken_port_is_named(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        watching = webcam(start, "0", "--port", str(port))
        assert watching.wait() == 2
        assert f"port {port}" in watching.err[-1]
        assert "--port" in watching.err[-1]

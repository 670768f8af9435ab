"""The examples, each run as its docstring says, on real clips where there are some."""

from __future__ import annotations

import http.server
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import av
import moving
import pytest
from cli_process import environment
from conftest import HAS_TORCH
from streams import PATIENCE_SECONDS

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
ClipOf = Callable[..., Path]


def run(script: str, *words: str | Path) -> str:
    command = [sys.executable, EXAMPLES / script, *words]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment(), timeout=540, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_in_the_list_and_run_here() -> None:
    listed = re.findall(r"^\| `(\w+\.py)", (EXAMPLES / "README.md").read_text("utf-8"), re.M)
    assert sorted(listed) == sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert len(listed) == 5
    here = Path(__file__).read_text("utf-8")
    assert all(f'"{name}"' in here for name in listed)


@pytest.mark.clips
def test_a_file(ucf101_clip: ClipOf, tmp_path: Path) -> None:
    drawn = tmp_path / "drawn.mp4"
    first, *parts = run("a_file.py", ucf101_clip("PlayingPiano"), drawn).splitlines()
    assert re.fullmatch(r"PlayingPiano, \d+% sure", first)
    assert "PlayingPiano" in "".join(parts)
    with av.open(str(drawn)) as container:
        assert container.streams.video[0].codec.name == "h264"


@pytest.mark.clips
def test_a_webcam_with_opencv(ucf101_clip: ClipOf) -> None:
    """A file stands for the camera; colours in another order would give another answer."""
    lines = run("webcam_opencv.py", ucf101_clip("PlayingPiano")).splitlines()
    assert re.fullmatch(r"PlayingPiano \(\d+%\)", lines[-1])


@pytest.mark.clips
def test_many_files(ucf101_clip: ClipOf, tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.mp4").symlink_to(ucf101_clip("PlayingPiano", number))
    (tmp_path / "notes.mp4").write_text("no video")
    lines = run("many_files.py", tmp_path).splitlines()
    assert [line.split() for line in lines] == [["2", "PlayingPiano"]]


@pytest.mark.torch
@pytest.mark.timeout(600)  # seconds where there is nothing else to do
@pytest.mark.skipif(not HAS_TORCH, reason="training needs the extra 'train'")
def test_own_classes(tmp_path: Path) -> None:
    import bundles

    moving.colour_split(tmp_path / "clips", groups=3)
    bundles.small_bundle(tmp_path / "small")
    small = [
        *("--init", str(tmp_path / "small"), "--store", str(tmp_path / "store")),
        *("--set", "encoder=efficientnet_lite0", "--set", "input_size=64", "--set", "views=1"),
        *("--set", "spacing_seconds=0.1", "--set", "ready_after=4", "--set", "folds=3"),
        *("--set", "epochs=2", "--set", "batch_size=4", "--set", "options.hidden=8"),
    ]
    out = run("own_classes.py", tmp_path / "clips", tmp_path / "run", *small)
    labels = sorted(path.name for path in (tmp_path / "clips").iterdir())
    assert f"knows {', '.join(labels)}" in out
    asked = re.findall(r"^\S+ \((\w+)\): \w", out, re.MULTILINE)
    assert asked == labels


@pytest.mark.clips
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_live_stream(ucf101_clip: ClipOf, tmp_path: Path) -> None:
    """MPEG-TS over HTTP at the clip's own speed, on loopback."""
    content, seconds = transport_stream(ucf101_clip("PlayingPiano"), tmp_path / "clip.ts")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), paced(content, seconds)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/live.ts"
        process = subprocess.Popen(
            [sys.executable, EXAMPLES / "live_stream.py", address],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        try:
            said = lines_until(process, "begin of PlayingPiano")
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=PATIENCE_SECONDS)
            server.shutdown()
    assert any(line.startswith("connected ") for line in said)
    assert re.fullmatch(r"\d+\.\d s: begin of PlayingPiano", said[-1])


def transport_stream(clip: Path, target: Path) -> tuple[bytes, float]:
    """The clip's packets as MPEG-TS, and how long it takes to watch them."""
    with av.open(str(clip)) as source, av.open(str(target), "w", format="mpegts") as out:
        video = source.streams.video[0]
        stream = out.add_stream_from_template(video)
        for packet in source.demux(video):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
        assert source.duration is not None
        return target.read_bytes() if out.close() is None else b"", source.duration / 1e6


def paced(content: bytes, seconds: float) -> type[http.server.BaseHTTPRequestHandler]:
    """Hands out the bytes over those seconds, again to each that asks."""

    class Paced(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            steps = round(seconds * 20)
            size = -(-len(content) // steps)
            for step in range(steps):
                self.wfile.write(content[step * size : (step + 1) * size])
                time.sleep(0.05)

        def log_message(self, *_: object) -> None:
            pass

    return Paced


def lines_until(process: subprocess.Popen[str], end: str) -> list[str]:
    """The lines of a process up to the first that ends so; the test's own limit of time ends it."""
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line.rstrip())
        if said[-1].endswith(end):
            return said
    raise AssertionError(f"it ended before it said {end!r}: {said}")

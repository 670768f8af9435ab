"""A real app server and real browsers, on this machine only, ended by whoever started them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCE = REPOSITORY / "src"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
START_SECONDS = 60


@dataclass(frozen=True)
class App:
    """A running app: where it is, its process, and the folder that it may put files in."""

    url: str
    process: subprocess.Popen[bytes]
    folder: Path

    def visitor_folders(self) -> list[Path]:
        """The private folders that the server holds now."""
        return sorted(self.folder.glob("actionstream-app-*/visitors/*"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(folder: Path, *options: str, browser: bool = False) -> Iterator[App]:
    """`actionstream app` on a free port of the loopback; with `browser` it may open one."""
    port = free_port()
    quiet = [] if browser else ["--no-browser"]
    words = ["actionstream", "app", *quiet, "--port", str(port), *options]
    with _running(words, port, folder, cwd=folder) as app:
        yield app


@contextmanager
def serving_script(folder: Path, *options: str) -> Iterator[App]:
    """`streamlit run app.py` in the repository, as the readme says, on a free port."""
    port = free_port()
    words = ["streamlit", "run", "app.py", "--server.port", str(port), *options]
    with _running(words, port, folder, cwd=REPOSITORY) as app:
        yield app


@contextmanager
def _running(module: list[str], port: int, folder: Path, *, cwd: Path) -> Iterator[App]:
    """`python -m` these words, until the `with` block is left."""
    scratch = folder / "tmp"
    scratch.mkdir()
    log = folder / "server.log"
    command = [sys.executable, "-m", *module]
    environment = os.environ | {
        "PYTHONPATH": str(SOURCE),
        "TMPDIR": str(scratch),
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=cwd
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_well(f"{url}/_stcore/health", process, log)
        yield App(url, process, scratch)
    finally:
        end(process)


def _wait_until_well(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"the app did not start:\n{log.read_text(errors='replace')}")


def end(process: subprocess.Popen[bytes]) -> int:
    """Ask a process to end; its exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait(20)


@contextmanager
def browsing(playwright: Playwright, *flags: str) -> Iterator[Browser]:
    """A headless Chromium; each of its contexts has a fresh, empty profile."""
    browser = playwright.chromium.launch(
        executable_path=CHROMIUM, headless=True, args=[*FLAGS, *flags]
    )
    try:
        yield browser
    finally:
        browser.close()


def go_to(page: Page, link: str, heading: str, *, seconds: float = 60.0) -> None:
    """Click on this link of the app until the page with this heading is there.

    One click may be lost while parts of the old page renew themselves several times a second:
    Streamlit folds reruns that wait into one, and the newer may be of the old page.
    """
    from playwright.sync_api import expect

    deadline = time.monotonic() + seconds
    title = page.get_by_role("heading", level=1, name=heading)
    while True:
        page.get_by_role("link", name=link, exact=True).click()
        try:
            return expect(title).to_be_visible(timeout=8_000)
        except AssertionError:
            if time.monotonic() > deadline:
                raise


def camera_flags(film: Path) -> tuple[str, ...]:
    """Chromium's own fake camera that plays this Y4M file again and again, always allowed."""
    return (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    )


def make_film(clip: Path, film: Path, *, rate: int = 15) -> Path:
    """The clip as Y4M at `rate` frames a second, yuv420p, for a fake camera."""
    with av.open(str(clip)) as source, film.open("wb") as output:
        due = 0.0
        for frame in source.decode(video=0):
            if frame.time is None or frame.time + 1e-3 < due:
                continue
            if due == 0.0:
                head = f"YUV4MPEG2 W{frame.width} H{frame.height} F{rate}:1 Ip A1:1 C420jpeg\n"
                output.write(head.encode())
            due += 1 / rate
            output.write(b"FRAME\n" + frame.reformat(format="yuv420p").to_ndarray().tobytes())
    return film

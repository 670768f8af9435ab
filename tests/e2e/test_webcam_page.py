"""The page of `actionstream webcam` in a real browser: what it shows, how it looks, its end."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browsing import free_port
from playwright.sync_api import BrowserContext, Page, expect
from streams import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.clips,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the program ffmpeg"),
]

CODING = "-an -c:v libx264 -preset ultrafast -tune zerolatency -g 10 -pix_fmt yuv420p -f mpegts"
LABEL_MS = 90_000
Visit = Callable[..., BrowserContext]


@contextmanager
def running(*command: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)


def camera(port: int, clip: Path) -> tuple[str, ...]:
    """FFmpeg as a camera that shows the clip over and over."""
    source = ("-re", "-stream_loop", "-1", "-i", str(clip), "-t", "300")
    where = ("-listen", "1", f"http://127.0.0.1:{port}/live")
    return ("ffmpeg", "-v", "error", *source, *CODING.split(), *where)


def webcam(port: int) -> tuple[str, ...]:
    where = f"http://127.0.0.1:{port}/live"
    options = ("--port", "0", "--threads", "1")
    return (sys.executable, "-m", "actionstream", "webcam", where, *options)


def address_in(log: Path) -> str:
    found = lambda: re.search(r" on (http://127\.0\.0\.1:\d+/)", log.read_text())  # noqa: E731
    eventually(lambda: found() is not None, 60)
    return found()[1]


def expect_to_fit(page: Page, width: int, height: int, scheme: str) -> None:
    """No sideways scrolling, the answer on one line, the colours of the scheme."""
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme)
    page.wait_for_timeout(700)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    answer = page.locator("h1").bounding_box()
    assert answer is not None
    assert answer["height"] < 45
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(re.findall(r"\d+", ground)[0]) < 60) == (scheme == "dark")


def test_it_shows_the_answer_fits_every_screen_and_tells_of_a_cut(
    visit: Visit, ucf101_clip: Callable[..., Path], tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "webcam.log"
    with (
        running(*camera(port, ucf101_clip("PlayingPiano")), log=tmp_path / "camera.log") as film,
        running(*webcam(port), log=log) as watching,
    ):
        page = visit().pages[0]
        page.goto(address_in(log))
        expect(page.locator("#shown")).to_have_text("Playing Piano", timeout=LABEL_MS)
        expect(page).to_have_title("Playing Piano · actionstream")
        expect(page.locator("#share")).to_have_text(re.compile(r"^(>?\d+|<1)%$"))
        expect(page.locator("#top li")).to_have_count(3)
        expect(page.locator("#top li.shown")).to_contain_text("Playing Piano")
        expect(page.locator("#figures div")).to_have_count(4)
        expect(page.locator("#figures div").nth(1)).to_contain_text(re.compile(r"[1-9]\.\d/s"))
        expect(page.locator("#lane span").last).to_have_text("Playing Piano")
        expect(page.locator("#state")).to_have_text("connected: 320x240, h264")
        assert page.evaluate("document.getElementById('picture').naturalWidth") == 320
        for scheme in ("light", "dark"):
            expect_to_fit(page, 1280, 800, scheme)
            expect_to_fit(page, 390, 844, scheme)
            page.screenshot(path=tmp_path / f"phone-{scheme}.png")

        film.kill()  # an answer to a picture of long ago is none
        expect(page.locator("#state")).to_have_text(
            re.compile("^(lost|connecting)"), timeout=30_000
        )
        expect(page.locator("#shown")).to_have_text("waiting for a picture")
        expect(page.locator("#top li")).to_have_count(0)
        expect(page.locator("#picture")).to_have_css("filter", "grayscale(1)")

        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 130
        expect(page.locator("#state")).to_have_text(re.compile("has stopped"), timeout=30_000)
        expect(page.locator("#shown")).to_have_text("no longer live")

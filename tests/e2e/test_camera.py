"""The camera page in a real browser, through real WebRTC."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from browsing import App, go_to, serving
from playwright.sync_api import BrowserContext, Locator, Page, expect
from slow_bundle import slow_bundle

pytestmark = [pytest.mark.e2e, pytest.mark.clips, pytest.mark.timeout(400)]

Film = Callable[..., tuple[str, ...]]
Visit = Callable[..., BrowserContext]
LABEL_MS = 90_000

# What a browser does while another program holds the camera. Chromium's fake camera cannot be held,
# so this one line stands in for it; from the rejection on all is the page's own.
HELD_CAMERA = """
  const open = MediaDevices.prototype.getUserMedia;
  MediaDevices.prototype.getUserMedia = function (wanted) {
    if (localStorage.getItem("released")) return open.call(this, wanted);
    return Promise.reject(new DOMException("Could not start video source", "NotReadableError"));
  };
"""
# Keeps what the camera gives, so that a test can switch it off in the middle.
KEPT_CAMERA = """
  const open = MediaDevices.prototype.getUserMedia;
  MediaDevices.prototype.getUserMedia = async function (wanted) {
    return (window.kept = await open.call(this, wanted));
  };
"""
# Keeps the timers by which parts of the page renew themselves, so that a test can take them away.
KEPT_TIMERS = """
  const every = window.setInterval;
  window.renewals = [];
  window.setInterval = (run, wait, ...rest) => {
    const timer = every(run, wait, ...rest);
    if (wait >= 400) window.renewals.push(timer);
    return timer;
  };
"""
# The browser's word that the camera plays is lost on its way, as it comes late to a busy server.
MUTE_PLAYING = """
  if (window !== window.top) {
    const post = window.parent.postMessage.bind(window.parent);
    window.parent.postMessage = (message, ...rest) => {
      if (!JSON.stringify(message).includes('"playing":true')) post(message, ...rest);
    };
  }
"""
# A browser of a network that lets no UDP through: it has nothing to offer to the server.
WITHOUT_UDP = (
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
)


def open_camera(browser: BrowserContext, app: App) -> Page:
    page = browser.pages[0]
    page.goto(f"{app.url}/camera", timeout=90_000)
    expect(page.get_by_role("heading", name="Point your camera")).to_be_visible(timeout=90_000)
    return page


def start(page: Page) -> None:
    frame = page.frame_locator('iframe[title*="webrtc"]')
    frame.get_by_role("button", name="Start").click(timeout=90_000)


def stop(page: Page) -> None:
    page.frame_locator('iframe[title*="webrtc"]').get_by_role("button", name="Stop").click()


def expect_action(page: Page, label: str) -> None:
    expect(page.get_by_test_id("action")).to_have_text(label, timeout=LABEL_MS)


def test_the_camera_s_action_is_named(app: App, visit: Visit, film: Film) -> None:
    page = open_camera(visit(*film("PlayingPiano")), app)
    start(page)
    expect_action(page, "Playing Piano")
    expect(page.get_by_test_id("candidate")).to_have_count(3)
    expect(page.get_by_test_id("candidate").first).to_contain_text("Playing Piano")
    expect(page.get_by_test_id("camera")).to_have_text(re.compile(r"^\d+/s$"))
    expect(page.get_by_test_id("answers")).to_have_text(re.compile(r"^[1-9]\d*\.\d/s$"))
    expect(page.get_by_test_id("age-of-the-answer")).to_have_text(re.compile(r"^\d+ ms$"))
    expect(page.get_by_test_id("looks-dropped")).to_have_text(re.compile(r"^\d+$"))
    expect(page.get_by_role("img", name=re.compile("Playing Piano from"))).to_be_visible()
    assert arrives_with_the_answer_drawn(page)
    stop(page)
    expect(page.get_by_test_id("action")).to_have_text("Ready", timeout=20_000)
    expect(page.get_by_text("The camera has stopped. Press Start to go on.")).to_be_visible()
    expect(
        page.get_by_text(re.compile("Seen in the last minute.*Playing Piano for"))
    ).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Playing Piano from"))).to_be_visible()
    for kind in ("JSON", "CSV", "Timeline"):
        expect(page.get_by_role("button", name=kind, exact=True)).to_be_visible()


def arrives_with_the_answer_drawn(page: Page) -> bool:
    """Whether the picture that comes back has the green of the headline."""
    frame = next(frame for frame in page.frames if "webrtc" in frame.url)
    return bool(
        frame.evaluate(
            """() => {
              const video = document.querySelector('video');
              const canvas = document.createElement('canvas');
              canvas.width = video.videoWidth; canvas.height = video.videoHeight;
              const context = canvas.getContext('2d');
              context.drawImage(video, 0, 0);
              const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
              let green = 0;
              for (let i = 0; i < data.length; i += 4) {
                if (data[i + 1] > 150 && data[i] < 90 && data[i + 2] < 150) green += 1;
              }
              return green > 100;
            }"""
        )
    )


def test_two_visitors_see_their_own_actions(app: App, visit: Visit, film: Film) -> None:
    first = open_camera(visit(*film("PlayingPiano")), app)
    second = open_camera(visit(*film("PushUps")), app)
    start(first)
    start(second)
    expect_action(first, "Playing Piano")
    expect_action(second, "Push Ups")
    expect_action(first, "Playing Piano")


def test_a_place_is_free_again_when_its_tab_is_closed(
    visit: Visit, film: Film, tmp_path_factory: pytest.TempPathFactory
) -> None:
    flags = film("PlayingPiano", rate=5)  # few frames: little to do for a busy computer
    with serving(tmp_path_factory.mktemp("one"), "--max-sessions", "1") as app:
        second = open_camera(visit(*flags), app)
        browser = visit(*flags)
        first = open_camera(browser, app)
        make_wait(first, second)
        browser.new_page()
        first.close()
        expect_action(second, "Playing Piano")
        expect(second.get_by_text("All places for cameras are taken")).to_be_hidden(
            timeout=LABEL_MS
        )


def make_wait(first: Page, second: Page) -> None:
    """Until the first camera has the only place and the second one waits for it.

    A connection whose browser does not answer for half a minute is given up, and its place with it:
    a computer with too much to do may need another try.
    """
    taken = second.get_by_text("All places for cameras are taken")
    for tries_left in (2, 1, 0):
        start(first)
        expect_action(first, "Playing Piano")
        try:
            expect(taken).to_be_visible()
            expect(second.get_by_role("link", name="Add a video instead")).to_be_visible()
            start(second)
            expect(second.get_by_test_id("action")).to_have_text("Waiting for a place")
            expect(first.get_by_test_id("action")).to_have_text("Playing Piano")
            return
        except AssertionError:
            if tries_left == 0:
                raise
            for page in (first, second):
                page.reload(timeout=90_000)
                expect(page.get_by_test_id("action")).to_have_text("Ready", timeout=90_000)


def test_a_page_that_stopped_renewing_itself_goes_on(app: App, visit: Visit, film: Film) -> None:
    """Streamlit can lose a page's timers, at the end of a run, very seldom."""
    browser = visit(*film("PlayingPiano"))
    browser.pages[0].add_init_script(KEPT_TIMERS)
    page = open_camera(browser, app)
    start(page)
    expect_action(page, "Playing Piano")
    newest = page.locator(".as-lane > div").last
    stood = stand_still(page, newest)
    expect(newest).not_to_have_attribute("style", stood, timeout=60_000)
    expect_action(page, "Playing Piano")
    assert page.evaluate("() => window.renewals.length") >= 4


def stand_still(page: Page, part: Locator) -> str:
    """Take the timers away; the style in which this part of the page then stays.

    A run of the whole page that is on its way just then sets new ones: they are taken, too.
    """
    for _ in range(5):
        page.evaluate("() => window.renewals.splice(0).forEach((timer) => clearInterval(timer))")
        page.wait_for_timeout(1000)  # for what is on its way
        style = part.get_attribute("style")
        page.wait_for_timeout(1500)
        if style == part.get_attribute("style"):
            return style or ""
    raise AssertionError("the timers are not what renews the page")


def test_an_answer_is_shown_though_nobody_said_that_the_camera_plays(
    app: App, visit: Visit, film: Film
) -> None:
    browser = visit(*film("PlayingPiano"))
    browser.pages[0].add_init_script(MUTE_PLAYING)
    page = open_camera(browser, app)
    start(page)
    expect_action(page, "Playing Piano")


def test_a_reloaded_page_starts_again(app: App, visit: Visit, film: Film) -> None:
    page = open_camera(visit(*film("PlayingPiano")), app)
    for _ in range(2):
        start(page)
        expect_action(page, "Playing Piano")
        page.reload()
        expect(page.get_by_test_id("action")).to_have_text("Ready", timeout=90_000)


def test_a_refused_camera_is_explained(app: App, visit: Visit) -> None:
    page = open_camera(visit("--use-fake-device-for-media-stream"), app)
    start(page)
    expect(page.get_by_text("The camera was not allowed").first).to_be_visible(timeout=30_000)
    expect(page.get_by_text("Click the camera or lock symbol")).to_be_visible()
    go_to(page, "Add a video instead", "What is happening")


def test_a_missing_camera_is_explained(app: App, visit: Visit) -> None:
    page = open_camera(visit("--use-fake-ui-for-media-stream"), app)
    expect(page.get_by_text("No camera was found")).to_be_visible(timeout=30_000)
    expect(page.get_by_role("link", name="Add a video instead")).to_be_visible()


def test_a_camera_that_another_program_holds_is_explained(
    app: App, visit: Visit, film: Film
) -> None:
    browser = visit(*film("PlayingPiano"))
    browser.add_init_script(HELD_CAMERA)
    page = open_camera(browser, app)
    expect_no_trouble(page)
    start(page)
    expect(page.get_by_text("The camera cannot be opened")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("Another program or tab is probably using it")).to_be_visible()
    expect(page.get_by_role("link", name="Add a video instead")).to_be_visible()
    page.evaluate("localStorage.setItem('released', 'yes')")
    start(page)
    expect_action(page, "Playing Piano")
    expect_no_trouble(page)


def test_a_camera_that_was_pulled_out_is_explained(
    app: App, visit: Visit, film: Film, tmp_path: Path
) -> None:
    *fake, place = film("PlayingPiano")
    plugged = tmp_path / "camera.y4m"
    plugged.symlink_to(place.partition("=")[2])
    page = open_camera(visit(*fake, f"--use-file-for-fake-video-capture={plugged}"), app)
    page.wait_for_timeout(3000)  # until the page has counted the cameras
    expect_no_trouble(page)
    plugged.unlink()
    start(page)
    expect(page.get_by_text("No camera was found")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("Plug one in")).to_be_visible()


def test_a_network_without_a_way_is_explained_after_ten_seconds(app: App, visit: Visit) -> None:
    page = open_camera(visit(*WITHOUT_UDP), app)
    start(page)
    expect(page.get_by_test_id("action")).to_have_text("Connecting", timeout=30_000)
    began = time.monotonic()
    expect(page.get_by_text("No picture arrives at the server")).to_be_visible(timeout=60_000)
    assert time.monotonic() - began > 6  # "Connecting" shows a little later than it begins
    expect(page.get_by_text("A firewall or router between you and the server")).to_be_visible()
    go_to(page, "Add a video instead", "What is happening")


def test_a_camera_that_stops_in_the_middle_is_explained(app: App, visit: Visit, film: Film) -> None:
    browser = visit(*film("PlayingPiano"))
    browser.add_init_script(KEPT_CAMERA)
    page = open_camera(browser, app)
    start(page)
    expect_action(page, "Playing Piano")
    expect_no_trouble(page)
    frame = next(frame for frame in page.frames if "webrtc" in frame.url)
    frame.evaluate(
        "window.kept.getTracks().forEach(track => { track.enabled = false; track.stop(); })"
    )
    expect(page.get_by_text("The picture has stopped arriving")).to_be_visible(timeout=60_000)
    expect(page.get_by_test_id("action")).to_have_text("No picture")
    stop(page)
    start(page)
    expect_action(page, "Playing Piano")
    expect_no_trouble(page)


def test_an_address_without_https_is_explained(
    visit: Visit, film: Film, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """0.0.0.0 is this computer, but browsers do not trust it as they trust 127.0.0.1."""
    with serving(tmp_path_factory.mktemp("open"), "--host", "0.0.0.0") as app:
        page = visit(*film("PlayingPiano")).pages[0]
        page.goto(f"{app.url.replace('127.0.0.1', '0.0.0.0')}/camera", timeout=90_000)
        assert page.evaluate("window.isSecureContext") is False
        expect(page.get_by_text("Browsers give no camera to this address")).to_be_visible(
            timeout=90_000
        )
        expect(page.get_by_text("actionstream app --https")).to_be_visible()
        expect(page.get_by_role("link", name="Add a video instead")).to_be_visible()


def test_a_model_that_is_too_slow_is_explained(
    visit: Visit, film: Film, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    slow_bundle(tmp_path / "slow")
    with serving(tmp_path_factory.mktemp("slow"), "--models", str(tmp_path)) as app:
        page = visit(*film("PlayingPiano")).pages[0]
        page.goto(f"{app.url}/about", timeout=90_000)
        page.get_by_role("combobox", name="Model").click(timeout=90_000)
        page.get_by_role("option", name="slow").click()
        expect(page.get_by_text("slow, fingerprint")).to_be_attached(timeout=60_000)
        go_to(page, "Camera", "Point your camera")
        start(page)
        expect(page.get_by_text("This server is too slow for this model")).to_be_visible(
            timeout=LABEL_MS
        )
        expect(page.get_by_test_id("action")).to_have_text("Too slow")
        page.screenshot(path=tmp_path / "slow.png")
        go_to(page, "Add a video instead", "What is happening")


def expect_no_trouble(page: Page) -> None:
    expect(page.get_by_role("link", name="Add a video instead")).to_have_count(0, timeout=30_000)

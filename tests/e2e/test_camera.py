"""The camera page in a real browser, through real WebRTC."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from browsing import App, serving
from playwright.sync_api import BrowserContext, Page, expect

pytestmark = [pytest.mark.e2e, pytest.mark.clips, pytest.mark.timeout(400)]

Film = Callable[[str], tuple[str, ...]]
Visit = Callable[..., BrowserContext]
LABEL_MS = 90_000


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


def arrives_with_the_answer_drawn(page: Page) -> bool:
    """Whether the picture that comes back has the green of the headline in its upper half."""
    frame = next(frame for frame in page.frames if "webrtc" in frame.url)
    return bool(
        frame.evaluate(
            """() => {
              const video = document.querySelector('video');
              const canvas = document.createElement('canvas');
              canvas.width = video.videoWidth; canvas.height = video.videoHeight;
              const context = canvas.getContext('2d');
              context.drawImage(video, 0, 0);
              const half = canvas.height >> 1;
              const data = context.getImageData(0, 0, canvas.width, half).data;
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
    with serving(tmp_path_factory.mktemp("one"), "--max-sessions", "1") as app:
        browser = visit(*film("PlayingPiano"))
        first = open_camera(browser, app)
        start(first)
        expect_action(first, "Playing Piano")
        second = open_camera(visit(*film("PlayingPiano")), app)
        expect(second.get_by_text("All places for cameras are taken")).to_be_visible(
            timeout=LABEL_MS
        )
        expect(second.get_by_role("link", name="Add a video instead")).to_be_visible()
        start(second)
        expect(second.get_by_test_id("action")).to_have_text(
            "Waiting for a place", timeout=LABEL_MS
        )
        browser.new_page()
        first.close()
        expect_action(second, "Playing Piano")
        expect(second.get_by_text("All places for cameras are taken")).to_be_hidden(
            timeout=LABEL_MS
        )


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
    page.get_by_role("link", name="Add a video instead").click()
    expect(page.get_by_role("heading", name="What is happening")).to_be_visible(timeout=30_000)


def test_a_missing_camera_is_explained(app: App, visit: Visit) -> None:
    page = open_camera(visit("--use-fake-ui-for-media-stream"), app)
    expect(page.get_by_text("No camera was found")).to_be_visible(timeout=30_000)
    expect(page.get_by_role("link", name="Add a video instead")).to_be_visible()

"""How the app looks: the screenshots of the readme, phones, dark, keyboard, no jumps.

ACTIONSTREAM_SCREENSHOTS=1 writes the pictures into `screenshots/`, else into a scratch folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from browsing import App
from playwright.sync_api import BrowserContext, Page, expect

pytestmark = [pytest.mark.e2e, pytest.mark.clips, pytest.mark.timeout(400)]

REPOSITORY = Path(__file__).resolve().parents[2]
LIVE_PARTS = {
    "answer": '[data-testid="action"]',
    "figures": '[data-testid="looks-dropped"]',
    "timeline": ".as-axis",
    "video": 'iframe[title*="webrtc"]',
}
WHERE = """selector => {
  const found = document.querySelector(selector);
  const box = found && found.getBoundingClientRect();
  return box && box.height ? [Math.round(box.x), Math.round(box.y)] : null;
}"""
Film = Callable[[str], tuple[str, ...]]
Visit = Callable[..., BrowserContext]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where screenshots go."""
    wanted = os.environ.get("ACTIONSTREAM_SCREENSHOTS") == "1"
    return REPOSITORY / "screenshots" if wanted else tmp_path


def open_page(browser: BrowserContext, app: App, path: str = "") -> Page:
    page = browser.pages[0]
    page.goto(f"{app.url}/{path}", timeout=90_000)
    expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=90_000)
    return page


def start(page: Page) -> None:
    frame = page.frame_locator('iframe[title*="webrtc"]')
    frame.get_by_role("button", name="Start").click(timeout=60_000)


def take(page: Page, path: Path) -> None:
    page.wait_for_timeout(1500)  # fonts, bars that slide into place
    page.screenshot(path=path)
    assert path.stat().st_size > 20_000


def test_screenshot_of_the_first_page(app: App, visit: Visit, pictures: Path) -> None:
    page = open_page(visit(), app)
    page.set_viewport_size({"width": 1280, "height": 720})
    expect(page.get_by_text("It knows")).to_be_visible()
    take(page, pictures / "home.png")


def test_screenshot_of_an_answer(
    app: App, visit: Visit, ucf101_clip: Callable[..., Path], pictures: Path
) -> None:
    page = open_page(visit(), app)
    page.set_viewport_size({"width": 1280, "height": 1120})
    page.locator('input[type="file"]').set_input_files(str(ucf101_clip("PlayingPiano")))
    expect(page.get_by_test_id("action")).to_have_text("Playing Piano", timeout=90_000)
    expect(page.locator("video")).to_have_count(2, timeout=90_000)
    for video in page.locator("video").all():
        video.evaluate("video => { video.muted = true; video.currentTime = 2.5; }")
    take(page, pictures / "result.png")


def test_screenshot_of_the_camera(app: App, visit: Visit, film: Film, pictures: Path) -> None:
    page = open_page(visit(*film("PlayingPiano")), app, "camera")
    page.set_viewport_size({"width": 1280, "height": 1010})
    page.emulate_media(color_scheme="dark")
    start(page)
    expect(page.get_by_test_id("action")).to_have_text("Playing Piano", timeout=90_000)
    page.wait_for_timeout(15_000)  # something to see in the last minute
    expect(page.get_by_test_id("action")).to_have_text("Playing Piano", timeout=90_000)
    take(page, pictures / "webcam.png")


def test_nothing_moves_while_the_camera_runs(app: App, visit: Visit, film: Film) -> None:
    page = open_page(visit(*film("PlayingPiano")), app, "camera")
    start(page)
    expect(page.get_by_test_id("action")).to_have_text("Playing Piano", timeout=90_000)
    seen: dict[str, set[tuple[float, float]]] = {name: set() for name in LIVE_PARTS}
    for _ in range(25):
        for name, selector in LIVE_PARTS.items():
            place = page.evaluate(WHERE, selector)
            if place is not None:  # it is being replaced just now
                seen[name].add(tuple(place))
        page.wait_for_timeout(150)
    assert {name: len(places) for name, places in seen.items()} == dict.fromkeys(LIVE_PARTS, 1)


def test_a_phone_has_the_picture_and_the_answer_on_one_screen(
    app: App, visit: Visit, film: Film, tmp_path: Path
) -> None:
    browser = visit(*film("PlayingPiano"))
    browser.pages[0].set_viewport_size({"width": 390, "height": 844})
    page = open_page(browser, app, "camera")
    start(page)
    expect(page.get_by_test_id("action")).to_have_text("Playing Piano", timeout=90_000)
    page.screenshot(path=tmp_path / "phone.png")
    places = [
        page.evaluate(
            "selector => { const box = document.querySelector(selector).getBoundingClientRect();"
            " return [box.top, box.bottom]; }",
            selector,
        )
        for selector in (LIVE_PARTS["video"], ".as-answer")
    ]
    assert all(top >= 0 and bottom <= 844 for top, bottom in places)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["", "camera", "about"])
def test_a_phone_shows_all_without_scrolling_sideways(
    app: App, visit: Visit, path: str, scheme: str, pictures: Path, tmp_path: Path
) -> None:
    browser = visit()
    page = browser.pages[0]
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme=scheme)
    open_page(browser, app, path)
    page.wait_for_timeout(1500)
    widths = page.evaluate(
        "() => [document.documentElement.scrollWidth, "
        "document.querySelector('[data-testid=\"stMain\"]').scrollWidth]"
    )
    assert max(widths) <= 390
    page.screenshot(path=tmp_path / "phone.png")
    ground = page.evaluate(
        "() => getComputedStyle(document.querySelector('.stApp')).backgroundColor"
    )
    red = int(ground.split("(")[1].split(",")[0])
    assert (red < 60) == (scheme == "dark")


def test_everything_can_be_reached_by_keyboard(app: App, visit: Visit) -> None:
    page = open_page(visit(), app)
    expect(page.get_by_role("button", name="Try the example")).to_be_visible()
    reached = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("() => document.activeElement.textContent.trim()"))
    words = " ".join(reached)
    for wanted in ("About the model", "Upload", "Open the camera", "Try the example"):
        assert wanted in words
    page.get_by_role("button", name="Try the example").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("example-jumping-jacks.mp4").first).to_be_visible(timeout=60_000)

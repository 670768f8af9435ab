"""Access for all: axe-core finds nothing in either theme, before and after answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
from browsing import App
from playwright.sync_api import BrowserContext, Page, expect

pytestmark = [pytest.mark.e2e, pytest.mark.clips, pytest.mark.timeout(600)]

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
FIND = """async () => (await axe.run(document, {iframes: false})).violations.map(
  found => `${found.id}: ${found.nodes.map(node => node.html.slice(0, 200)).join(" | ")}`)"""
Visit = Callable[..., BrowserContext]
Film = Callable[..., tuple[str, ...]]


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the page, in both themes."""
    page.wait_for_selector(".as-said", state="attached")  # the page's own script has come
    page.evaluate(AXE)
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(1000)  # colours fade over
        found += [f"{scheme} {words}" for words in page.evaluate(FIND)]
    return found


def test_the_video_page(app: App, visit: Visit, ucf101_clip: Callable[..., Path]) -> None:
    page = visit().pages[0]
    page.goto(app.url, timeout=90_000)
    expect(page.get_by_text("It knows")).to_be_visible(timeout=90_000)
    expect(page).to_have_title("Video · actionstream")
    assert violations(page) == []
    page.locator('input[type="file"]').set_input_files(
        [str(ucf101_clip(label)) for label in ("PlayingPiano", "PushUps")]
    )
    expect(page.get_by_test_id("action")).to_have_text("Playing Piano", timeout=90_000)
    expect(page.locator('[role="status"].as-said')).to_have_text("Playing Piano")
    expect(page.locator("video")).to_have_count(2, timeout=180_000)
    assert violations(page) == []


def test_the_camera_page(app: App, visit: Visit, film: Film) -> None:
    page = visit(*film("PlayingPiano")).pages[0]
    page.goto(f"{app.url}/camera", timeout=90_000)
    expect(page.get_by_test_id("action")).to_have_text("Ready", timeout=90_000)
    expect(page).to_have_title("Camera · actionstream")
    expect(page.get_by_text("No known action")).to_have_count(0)
    assert violations(page) == []
    frame = page.frame_locator('iframe[title*="webrtc"]')
    frame.get_by_role("button", name="Start").click(timeout=60_000)
    expect(page.get_by_test_id("action")).to_have_text("Playing Piano", timeout=90_000)
    expect(page.get_by_role("img", name=re.compile("Playing Piano from"))).to_be_visible()
    assert violations(page) == []


def test_the_model_page(app: App, visit: Visit) -> None:
    page = visit().pages[0]
    page.goto(f"{app.url}/about", timeout=90_000)
    expect(page.get_by_role("heading", name="How often is it right?")).to_be_visible(timeout=90_000)
    expect(page).to_have_title("About the model · actionstream")
    page.get_by_text("For technicians").click()
    assert violations(page) == []


def test_the_menu_of_a_phone_closes_after_a_choice(app: App, visit: Visit) -> None:
    page = visit().pages[0]
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(app.url, timeout=90_000)
    expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=90_000)
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_test_id("stSidebarNavLink").filter(has_text="About the model").click()
    expect(page.get_by_role("heading", level=1, name="About the model")).to_be_visible()
    expect(page.get_by_test_id("stSidebar")).to_have_attribute("data-collapsed", "true")

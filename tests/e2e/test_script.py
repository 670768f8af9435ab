"""`streamlit run app.py`, the way that the readme shows first, from start to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browsing import App, end, go_to, serving_script
from playwright.sync_api import BrowserContext, Page, expect

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

Visit = Callable[..., BrowserContext]
OWN_GROUND = "rgb(251, 252, 251)"  # of .streamlit/config.toml; Streamlit's own is white


@pytest.fixture
def script(tmp_path: Path) -> Iterator[App]:
    with serving_script(tmp_path) as running:
        yield running


def open_script(browser: BrowserContext, script: App) -> Page:
    page = browser.pages[0]
    page.goto(script.url, timeout=90_000)
    expect(page.get_by_role("heading", name="What is happening")).to_be_visible(timeout=90_000)
    return page


def test_the_script_serves_the_app_and_ends_without_a_trace(script: App, visit: Visit) -> None:
    """The first page in the repository's own look, an answer, and nothing left behind."""
    page = open_script(visit(), script)
    expect(page.get_by_text("200MB per file")).to_be_visible()
    expect(page.locator(".stApp")).to_have_css("background-color", OWN_GROUND)
    expect(page.get_by_text("Deploy")).to_have_count(0)  # Streamlit's button, switched off
    page.get_by_role("button", name="Try the example").click()
    expect(page.get_by_test_id("candidate")).to_have_count(3, timeout=90_000)
    expect(page.locator("video")).to_have_count(2, timeout=90_000)
    go_to(page, "About the model", "About the model")
    assert len(script.visitor_folders()) == 1
    assert end(script.process) == 0
    assert list(script.folder.iterdir()) == []


@pytest.mark.clips
def test_the_script_names_a_real_clip(
    script: App, visit: Visit, ucf101_clip: Callable[..., Path]
) -> None:
    page = open_script(visit(), script)
    page.locator('input[type="file"]').set_input_files(str(ucf101_clip("PlayingPiano")))
    expect(page.get_by_test_id("action")).to_have_text("Playing Piano", timeout=90_000)
    expect(page.get_by_text("Traceback")).to_have_count(0)

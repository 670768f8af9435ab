from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="the end-to-end tests need Playwright")

from browsing import CHROMIUM, App, browsing, camera_flags, make_film, serving
from playwright.sync_api import Browser, BrowserContext, Playwright, expect, sync_playwright

Visit = Callable[..., BrowserContext]

# Two browsers and the server share two cores: Playwright's own 5 s are not always enough.
expect.set_options(timeout=30_000)


@pytest.fixture(autouse=True, scope="session")
def _what_is_needed() -> None:
    if CHROMIUM is None and os.environ.get("CI") == "true":
        pytest.fail("CI runs these: no Chromium was found")
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """A server for two cameras."""
    with serving(tmp_path_factory.mktemp("app"), "--max-sessions", "2") as running:
        yield running


@pytest.fixture(scope="module")
def launch(playwright: Playwright) -> Iterator[Callable[..., Browser]]:
    """`launch(*flags)`: Chromium with these flags, started once for the tests of one file."""
    with ExitStack() as stack:

        @cache
        def find(*flags: str) -> Browser:
            return stack.enter_context(browsing(playwright, *flags))

        yield find


@pytest.fixture
def visit(launch: Callable[..., Browser]) -> Iterator[Visit]:
    """`visit(*flags)`: a new visitor with an empty profile and one blank page."""
    with ExitStack() as stack:

        def arrive(*flags: str) -> BrowserContext:
            context = launch(*flags).new_context(viewport={"width": 1280, "height": 900})
            stack.callback(context.close)
            context.new_page()
            return context

        yield arrive


@pytest.fixture(scope="session")
def film(
    ucf101_clip: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[str, ...]]:
    """`film("PlayingPiano", rate=15)`: flags for a fake camera with a real clip of that action."""
    folder, made = tmp_path_factory.mktemp("films"), {}

    def find(label: str, *, rate: int = 15) -> tuple[str, ...]:
        name = f"{label}-{rate}.y4m"
        if name not in made:
            made[name] = make_film(ucf101_clip(label), folder / name, rate=rate)
        return camera_flags(made[name])

    return find

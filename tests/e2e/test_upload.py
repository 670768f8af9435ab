"""The video page in a real browser: upload, watch, read, download, cancel, leave."""

from __future__ import annotations

import csv
import io
import json
import re
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from browsing import App, end, serving
from clips import make_clip
from playwright.sync_api import BrowserContext, Page, expect

pytestmark = [pytest.mark.e2e, pytest.mark.clips, pytest.mark.timeout(400)]

Visit = Callable[..., BrowserContext]
Clip = Callable[..., Path]


def open_app(browser: BrowserContext, app: App) -> Page:
    page = browser.pages[0]
    page.goto(app.url, timeout=90_000)
    expect(page.get_by_role("heading", name="What is happening")).to_be_visible(timeout=90_000)
    return page


def upload(page: Page, *files: Path) -> None:
    page.locator('input[type="file"]').set_input_files([str(file) for file in files])


def expect_action(page: Page, label: str) -> None:
    expect(page.get_by_test_id("action")).to_have_text(label, timeout=90_000)


def download(page: Page, button: str) -> tuple[str, bytes]:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=button, exact=True).click()
    path = waiting.value.path()
    return waiting.value.suggested_filename, Path(path).read_bytes()


def test_a_clip_is_named_played_and_kept(
    app: App, visit: Visit, ucf101_clip: Clip, tmp_path: Path
) -> None:
    page = open_app(visit(), app)
    upload(page, ucf101_clip("PlayingPiano"))
    expect_action(page, "Playing Piano")
    expect(page.get_by_test_id("candidate")).to_have_count(3)
    expect(page.get_by_role("group", name="Timeline: Playing Piano from 0.0 s")).to_be_visible()
    expect(page.locator("video")).to_have_count(2, timeout=90_000)
    for video in page.locator("video").all():
        page.wait_for_function("video => video.readyState >= 2", arg=video.element_handle())

    page.get_by_role("button", name="Show Playing Piano, ").last.click()
    moment = float(page.locator("[data-seek]").last.get_attribute("data-seek") or 0)
    for video in page.locator("video").all():
        page.wait_for_function(
            "([video, moment]) => Math.abs(video.currentTime - moment) < 0.1",
            arg=[video.element_handle(), moment],
        )

    name, data = download(page, "JSON")
    assert name == f"{ucf101_clip('PlayingPiano').stem}.json"
    assert json.loads(data)["label"] == "PlayingPiano"
    name, data = download(page, "CSV")
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    assert name.endswith(".csv")
    assert [row["label"] for row in rows].count("PlayingPiano") >= 1
    name, data = download(page, "Annotated video")
    assert name.endswith("-annotated.mp4")
    kept = tmp_path / name
    kept.write_bytes(data)
    with av.open(str(kept)) as film:
        assert film.streams.video[0].codec_context.name == "h264"


def test_several_videos_one_of_them_broken(
    app: App, visit: Visit, ucf101_clip: Clip, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    page = open_app(visit(), app)
    upload(page, ucf101_clip("PushUps"), broken)
    table = page.get_by_role("table", name="Your videos")
    expect(table.get_by_text("cannot be read as a video")).to_be_visible(timeout=90_000)
    expect(page.get_by_text("Traceback")).to_have_count(0)
    expect_action(page, "Push Ups")  # the one that is answered is shown
    expect(table.get_by_role("row", name=re.compile("Push Ups .*Done"))).to_be_visible(
        timeout=90_000
    )
    _, data = download(page, "Download all")
    stem = ucf101_clip("PushUps").stem
    with zipfile.ZipFile(io.BytesIO(data)) as kept:
        wanted = [f"{stem}.json", f"{stem}.csv", f"{stem}-annotated.mp4"]
        assert kept.namelist() == wanted
    page.reload(timeout=90_000)
    expect_action(page, "Push Ups")
    stranger = open_app(visit(), app)
    expect(stranger.get_by_role("table")).to_have_count(0)
    expect(stranger.get_by_role("button", name="Try the example")).to_be_visible()


def test_every_click_on_a_video_shows_it(app: App, visit: Visit, ucf101_clip: Clip) -> None:
    """Several switches in a row: a row of videos that a pick changes would lose every second."""
    clips = [ucf101_clip(label) for label in ("PushUps", "PlayingPiano", "Drumming")]
    page = open_app(visit(), app)
    upload(page, *clips)
    expect(page.get_by_role("cell", name="Done")).to_have_count(3, timeout=180_000)
    row = page.get_by_test_id("stButtonGroup").get_by_role("radio")
    title = page.locator(".st-key-video-result h2").first
    for number in (0, 1, 2, 0, 2, 1, 0):
        row.nth(number).click()
        expect(title).to_have_text(clips[number].name)
        expect(row.nth(number)).to_be_checked()


def test_a_strangers_file_name_is_only_text(app: App, visit: Visit) -> None:
    names = [
        "![x](http://127.0.0.1:9/t.png).mp4",
        "www.example.com click http://example.org a@example.org.mp4",
        "<img src=http://127.0.0.1:9/i.png> :red[**b**] $x^2$ :smile:.mp4",
        "a\u202egpj.4pm.mp4",
    ]
    page = open_app(visit(), app)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator('input[type="file"]').set_input_files(
        [{"name": name, "mimeType": "video/mp4", "buffer": b"no video"} for name in names]
    )
    row = page.get_by_test_id("stButtonGroup").get_by_role("radio")
    expect(row).to_have_count(len(names), timeout=60_000)
    main = page.get_by_test_id("stMain")
    title = page.locator(".st-key-video-result h2").first
    for number, name in enumerate(names):
        row.nth(number).click()
        seen = name.replace("\u202e", "\ufffd")
        expect(title).to_have_text(re.compile("\u2060?".join(re.escape(part) for part in seen)))
        expect(main.locator("a[href*='example']")).to_have_count(0)
        expect(main.locator("img[src*=':9/'], strong, .katex")).to_have_count(0)
    expect(main).not_to_contain_text("\u202e")
    assert not [url for url in asked if ":9/" in url]


def test_an_old_codec_is_converted_for_the_browser(app: App, visit: Visit, tmp_path: Path) -> None:
    page = open_app(visit(), app)
    upload(page, make_clip(tmp_path / "old.avi", codec="mpeg4", size=(320, 240), frames=50))
    expect(page.locator("video")).to_have_count(2, timeout=90_000)
    for video in page.locator("video").all():
        page.wait_for_function("video => video.readyState >= 2", arg=video.element_handle())


def test_too_large_a_video_is_refused_in_words(
    visit: Visit, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(3_000_000))
    with serving(tmp_path_factory.mktemp("small"), "--max-upload", "1") as app:
        page = open_app(visit(), app)
        expect(page.get_by_text("1MB per file")).to_be_visible()
        upload(page, large)
        expect(page.get_by_text("File must be 1.0MB or smaller")).to_be_visible(timeout=20_000)


def test_a_full_server_is_explained_and_removing_makes_room(
    visit: Visit, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first, second = tmp_path / "first.mp4", tmp_path / "second.mp4"
    for path in (first, second):
        path.write_bytes(bytes(800_000))
    options = ("--max-upload", "1", "--max-storage", "3")
    with serving(tmp_path_factory.mktemp("full"), *options) as app:
        page = open_app(visit(), app)
        upload(page, first)
        expect(page.get_by_text("cannot be read as a video")).to_be_visible(timeout=60_000)
        upload(page, second)
        refusal = page.get_by_text("There is no room for “second.mp4” just now")
        expect(refusal).to_be_visible(timeout=20_000)
        page.screenshot(path=tmp_path / "full.png")
        page.get_by_role("button", name="Remove").click()
        expect(page.get_by_role("button", name="Try the example")).to_be_visible(timeout=20_000)
        upload(page, second)
        expect(page.get_by_text("cannot be read as a video")).to_be_visible(timeout=60_000)
        expect(refusal).to_have_count(0)


def test_a_long_video_shows_progress_and_can_be_cancelled(
    app: App, visit: Visit, tmp_path: Path
) -> None:
    long = make_clip(tmp_path / "long.mp4", size=(320, 240), rate=25, frames=6000)
    page = open_app(visit(), app)
    upload(page, long)
    expect(page.get_by_role("progressbar")).to_be_visible(timeout=90_000)
    expect(page.get_by_text(re.compile(r"Looking at the video: \d+%"))).to_be_visible(
        timeout=90_000
    )
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled.")).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("button", name="Try the example")).to_be_visible(timeout=30_000)


def test_the_example_needs_no_clip(app: App, visit: Visit) -> None:
    page = open_app(visit(), app)
    page.get_by_role("button", name="Try the example").click()
    expect(page.get_by_test_id("candidate")).to_have_count(3, timeout=90_000)
    expect(page.locator("video")).to_have_count(2, timeout=90_000)


def test_nothing_of_a_visitor_stays(
    visit: Visit, ucf101_clip: Clip, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Private while there, gone half a minute after the tab, all gone with the server."""
    with serving(tmp_path_factory.mktemp("alone")) as app:
        browser = visit()
        page = open_app(browser, app)
        upload(page, ucf101_clip("PushUps"))
        expect_action(page, "Push Ups")
        (folder,) = app.visitor_folders()
        assert folder.stat().st_mode & 0o077 == 0
        assert not any("PushUps" in path.name for path in folder.iterdir())
        browser.new_page()
        page.close()
        deadline = time.monotonic() + 60
        while app.visitor_folders() and time.monotonic() < deadline:
            time.sleep(0.5)
        assert app.visitor_folders() == []

        open_app(visit(), app)
        assert len(app.visitor_folders()) == 1
        end(app.process)
        assert list(app.folder.iterdir()) == []

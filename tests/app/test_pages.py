"""The pages' logic, in Streamlit's own test runner, on the real model."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from actionstream.app import markup, models, state
from actionstream.app.markup import plain
from actionstream.app.settings import ICE_SERVERS, MAX_SESSIONS, MAX_STORAGE, MAX_UPLOAD, MODELS
from actionstream.bundle.folder import shipped
from actionstream.errors import BundleError
from actionstream.recognizer import Recognizer

TURN = {"urls": "turn:turn.example.org", "username": "me", "credential": "secret"}
APP = Path(__file__).resolve().parents[2] / "app.py"


@pytest.fixture(autouse=True)
def _a_server_of_its_own(monkeypatch: pytest.MonkeyPatch, model: Recognizer) -> Iterator[None]:
    for name in (MODELS, MAX_SESSIONS, MAX_STORAGE, MAX_UPLOAD, ICE_SERVERS):
        monkeypatch.delenv(name, raising=False)
    # Every test has its own server; the shipped model is loaded once for all of them.
    shared, load = model.bundle.path.name, models.load
    monkeypatch.setattr(models, "load", lambda place: model if place == shared else load(place))
    # Streamlit's test runner has no session manager; streamlit-webrtc then goes without.
    monkeypatch.setattr("streamlit_webrtc.component.get_this_session_info", lambda: None)
    st.cache_resource.clear()
    yield
    state.server().close()
    st.cache_resource.clear()


@pytest.fixture
def app() -> AppTest:
    return AppTest.from_file(APP, default_timeout=60)


def visit(app: AppTest, page: str) -> AppTest:
    """The page with this address. `switch_page` knows pages in files only."""
    app.run()
    app._page_hash = next(
        number for number, facts in app._registered_pages.items() if facts["url_pathname"] == page
    )
    return app.run()


def texts(app: AppTest) -> str:
    """All that can be read on the page."""
    found = [*app.title, *app.header, *app.markdown, *app.caption, *app.get("html")]
    parts = [str(getattr(part, "value", "") or part.proto.body) for part in found]
    return "\n".join([*parts, *(box.value for box in (*app.error, *app.warning, *app.info))])


def button(app: AppTest, label: str) -> st.testing.v1.element_tree.Button:
    return next(found for found in app.button if found.label == label)


def wait_for_answer(app: AppTest, seconds: float = 60) -> AppTest:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        jobs = app.session_state["visitor"].jobs
        if jobs and all(job.finished for job in jobs):
            return app.run()
        time.sleep(0.05)
    raise AssertionError([job.stage for job in app.session_state["visitor"].jobs])


def test_the_first_page_says_what_can_be_done_and_what_is_known(
    app: AppTest, model: Recognizer
) -> None:
    app.run()
    assert not app.exception
    assert app.title[0].value == "What is happening in your video?"
    assert f"It knows {len(model.labels)} actions" in texts(app)
    assert "Playing Piano" in texts(app)
    (uploader,) = app.file_uploader
    assert {".mp4", ".avi", ".mov", ".mkv", ".webm"} <= set(uploader.allowed_type)
    assert uploader.accept_multiple_files


@pytest.mark.clips
def test_an_uploaded_clip_is_answered(app: AppTest, ucf101_clip: Callable[..., Path]) -> None:
    data = ucf101_clip("PlayingPiano").read_bytes()
    app.run()
    app.file_uploader[0].set_value([("my *piano*.mp4", data, "video/mp4")])
    app.run()
    wait_for_answer(app)
    assert not app.exception
    assert 'data-testid="action">Playing Piano<' in texts(app)
    assert "my \\*piano\\*.mp4" in [part.value for part in app.header]
    assert len(app.get("video")) == 2
    assert [part.proto.label for part in app.get("download_button")] == [
        "Annotated video",
        "JSON",
        "CSV",
        "Timeline",
    ]
    assert not app.file_uploader[0].value, "Streamlit still holds the upload"


def test_a_broken_file_is_explained_and_can_be_removed(app: AppTest) -> None:
    app.run()
    app.file_uploader[0].set_value([("a.mp4", b"no video", "video/mp4")])
    app.run()
    wait_for_answer(app)
    assert not app.exception
    assert "cannot be read as a video" in app.error[0].value
    button(app, "Remove").click().run()
    assert not app.error
    assert button(app, "Try the example")


def test_a_full_server_says_so_and_removing_makes_room(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MAX_UPLOAD, "1")
    monkeypatch.setenv(MAX_STORAGE, "3")
    film = ("b_*.mp4", bytes(600_000), "video/mp4")
    app.run()
    app.file_uploader[0].set_value([("a.mp4", bytes(700_000), "video/mp4")])
    app.run()
    wait_for_answer(app)
    app.file_uploader[0].set_value([film]).run()
    assert not app.exception
    assert "There is no room" not in texts(app)
    app.file_uploader[0].set_value([film]).run()
    assert "There is no room for “b\\_\\*.mp4” just now: this server keeps 3 MB" in texts(app)
    assert [job.name for job in app.session_state["visitor"].jobs] == ["a.mp4", "b_*.mp4"]
    wait_for_answer(app)
    button(app, "Remove").click().run()
    app.file_uploader[0].set_value([film]).run()
    assert "There is no room" not in texts(app)
    assert len(app.session_state["visitor"].jobs) == 2


def test_two_videos_can_be_looked_at_in_turn(app: AppTest) -> None:
    app.run()
    app.file_uploader[0].set_value(
        [("a.mp4", b"no video", "video/mp4"), ("b.mp4", b"", "video/mp4")]
    )
    app.run()
    wait_for_answer(app)
    (choice,) = app.get("button_group")
    choice.set_value(1).run()
    assert "is empty" in app.error[0].value
    (choice,) = app.get("button_group")
    choice.set_value(0).run()
    assert "cannot be read" in app.error[0].value
    overview = texts(app)
    for words in ("<caption>Your videos</caption>", "<td>a.mp4</td>", "This file is empty."):
        assert words in overview


def test_videos_of_one_name_can_be_told_apart(app: AppTest) -> None:
    app.run()
    app.file_uploader[0].set_value(
        [("a.mp4", b"no video", "video/mp4"), ("a.mp4", b"", "video/mp4")]
    )
    app.run()
    wait_for_answer(app)
    for number, said in ((0, "cannot be read"), (1, "is empty"), (0, "cannot be read")):
        (choice,) = app.get("button_group")
        assert [option.content for option in choice.proto.options] == ["a.mp4", "a.mp4 \\(2\\)"]
        choice.set_value(number).run()
        assert said in app.error[0].value


def test_the_row_of_videos_stays_the_same_when_one_is_picked_or_done(app: AppTest) -> None:
    """A click that was on its way while it changed would be lost."""
    app.run()
    app.file_uploader[0].set_value(
        [("a.mp4", b"no video", "video/mp4"), ("b.mp4", b"", "video/mp4")]
    )
    app.run()
    (before,) = app.get("button_group")
    wait_for_answer(app)
    for number in (0, 1, 0):
        (choice,) = app.get("button_group")
        assert choice.proto.id == before.proto.id
        assert choice.proto.options == before.proto.options
        choice.set_value(number).run()


def test_a_strangers_name_is_no_markup_wherever_it_is_shown(app: AppTest) -> None:
    name = "![x](http://127.0.0.1:9/t.png) www.example.com a\u202egpj.mp4"
    app.run()
    app.file_uploader[0].set_value([(name, b"", "video/mp4"), (name, b"", "video/mp4")])
    app.run()
    wait_for_answer(app)
    (choice,) = app.get("button_group")
    shown = [app.header[0].value, *(option.content for option in choice.proto.options)]
    for text in shown:
        assert "![x]" not in text
        assert "http://" not in text.replace("\\", "")
        assert "\u202e" not in text
    assert "www\u2060.example.com a\ufffdgpj.mp4" in shown[0]


def test_the_example_is_answered_without_a_clip(app: AppTest) -> None:
    button(app.run(), "Try the example").click().run()
    wait_for_answer(app)
    assert not app.exception
    assert texts(app).count('data-testid="candidate"') == 3
    assert app.session_state["visitor"].jobs[0].answer is not None


def test_the_camera_page_is_ready_and_has_no_outside_servers(app: AppTest) -> None:
    visit(app, "camera")
    assert not app.exception
    assert app.title[0].value == "Point your camera at the action"
    assert markup.placeholder("Ready", "Press Start and allow the camera.") in texts(app)
    arguments = app.get("component_instance")[0].proto.json_args
    assert '"rtc_configuration": {"iceServers": []}' in arguments
    assert '"audio": false' in arguments


def test_ice_servers_come_from_the_environment(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ICE_SERVERS, '[{"urls": "stun:stun.example.org"}]')
    visit(app, "camera")
    assert "stun:stun.example.org" in app.get("component_instance")[0].proto.json_args


def test_ice_servers_come_from_the_secrets(app: AppTest) -> None:
    app.secrets[ICE_SERVERS] = [TURN]
    visit(app, "camera")
    assert "turn:turn.example.org" in app.get("component_instance")[0].proto.json_args


@pytest.mark.parametrize("secret", [TURN, json.dumps(TURN), json.dumps([TURN])])
def test_one_ice_server_may_stand_alone(app: AppTest, secret: object) -> None:
    app.secrets[ICE_SERVERS] = secret
    visit(app, "camera")
    assert not app.exception
    assert "turn:turn.example.org" in app.get("component_instance")[0].proto.json_args


@pytest.mark.parametrize("where", ["environment", "secrets"])
@pytest.mark.parametrize("secret", ["turn:turn.example.org", {"urls": "turn:turn.example.org"}, 7])
def test_wrong_ice_servers_keep_only_the_camera_away(
    app: AppTest,
    where: str,
    secret: object,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if where == "environment":
        monkeypatch.setenv(ICE_SERVERS, secret if isinstance(secret, str) else json.dumps(secret))
    else:
        app.secrets[ICE_SERVERS] = secret
    visit(app, "camera")
    assert not app.exception
    assert "This server's setting for connections is wrong" in texts(app)
    assert not app.get("component_instance")
    assert f"{ICE_SERVERS} is a JSON list such as" in caplog.text
    visit(app, "")
    assert not app.error
    assert app.file_uploader


def test_when_all_places_are_taken_the_page_says_so(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MAX_SESSIONS, "1")
    app.run()
    models = state.server().models
    with models.open_session(models.names()[0]):
        visit(app, "camera")
        assert "All places for cameras are taken just now" in texts(app)
    app.run()
    assert "All places for cameras are taken just now" not in texts(app)


def test_the_model_page_tells_what_stands_in_the_card(app: AppTest, model: Recognizer) -> None:
    visit(app, "about")
    assert not app.exception
    said = texts(app)
    assert model.fingerprint in said
    assert f"It knows {len(model.labels)} actions" in said
    assert "How often is it right?" in said
    assert all(plain(limit) in said for limit in model.card.limits)
    for figure in model.card.measured.figures:
        interval = f"{figure.low:.3f} to {figure.high:.3f}"
        assert f"| {plain(figure.name)} | {figure.value:.3f} | {interval} | " in said
    clips = model.card.training.clips_per_label
    assert all(f"| {plain(label)} | {clips[label]} | " in said for label in model.labels)
    assert plain(model.card.training.data) in said
    assert plain(model.card.licence.weights) in said


def test_another_bundle_of_the_owner_can_be_chosen(
    app: AppTest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "our-own"
    own.symlink_to(next(iter(shipped().values())))
    (tmp_path / "not-a-bundle").mkdir()
    monkeypatch.setenv(MODELS, str(tmp_path))
    visit(app, "about")
    (menu,) = app.selectbox
    assert menu.options[-1] == "our-own"
    assert "not-a-bundle" not in menu.options
    menu.set_value("our-own").run()
    assert not app.exception
    assert app.session_state["visitor"].model_name == "our-own"


def test_a_broken_bundle_gives_way_to_the_default(
    app: AppTest,
    model: Recognizer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "own*").mkdir()
    (tmp_path / "own*" / "card.json").write_text("{}")
    monkeypatch.setenv(MODELS, str(tmp_path))
    visit(app, "about")
    for _ in range(2):  # it can be tried again
        (menu,) = app.selectbox
        menu.set_value("own*").run()
        assert not app.exception
        (warning,) = app.warning
        assert "The model “own\\*” cannot be used" in warning.value
        assert app.selectbox[0].value == menu.options[0] == app.session_state["visitor"].model_name
        assert model.fingerprint in texts(app)
    assert "the model own* cannot be used" in caplog.text
    assert "key is missing" in caplog.text
    visit(app, "")
    assert app.file_uploader
    visit(app, "about")
    app.selectbox[0].set_value(app.selectbox[0].options[1]).run()
    assert not app.warning


def test_a_server_without_one_usable_model_says_so(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Recognizer:
        raise BundleError("some", ["all is wrong"])

    monkeypatch.setattr("actionstream.app.models.load", fail)
    app.run()
    assert not app.exception
    assert "no model that it can use" in app.error[0].value


def test_wrong_settings_are_no_stack_trace(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MAX_SESSIONS, "none")
    app.run()
    assert not app.exception
    assert "A setting of this server is wrong" in app.error[0].value
    monkeypatch.delenv(MAX_SESSIONS)

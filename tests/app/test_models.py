"""The server's models: loaded once each, and none holds up another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streams import PATIENCE_SECONDS, eventually

from actionstream.app import models as module
from actionstream.app.models import Models
from actionstream.bundle.folder import shipped
from actionstream.errors import BundleError
from actionstream.recognizer import Recognizer, load


@pytest.fixture
def models(tmp_path: Path) -> Iterator[Models]:
    """The shipped models, one of them also under the owner's name "large"; two cameras."""
    (tmp_path / "large").symlink_to(next(iter(shipped().values())))
    found = Models(tmp_path, 2)
    yield found
    found.close()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, list[Any]]]:
    """Loading "large" waits for this event, as if it were large; the places that were loaded."""
    release, loaded = threading.Event(), []

    def slow_load(place: Any) -> Recognizer:
        loaded.append(place)
        if isinstance(place, Path):
            assert release.wait(PATIENCE_SECONDS)
        return load(place, threads=1)

    monkeypatch.setattr(module, "load", slow_load)
    yield release, loaded
    release.set()


def in_thread(call: Callable[[], Any], kept: list[Any]) -> threading.Thread:
    thread = threading.Thread(target=lambda: kept.append(call()))
    thread.start()
    return thread


def test_a_model_that_is_being_loaded_holds_up_no_other(
    models: Models, held: tuple[threading.Event, list[Any]]
) -> None:
    release, loaded = held
    kept: list[Any] = []
    threads = [in_thread(lambda: models.recognizer("large"), kept) for _ in range(2)]
    eventually(lambda: len(loaded) == 1)

    small = models.names()[0]
    assert models.recognizer(small).card.name
    with models.open_session(small):
        assert models.live_sessions() == 1
        assert not models.is_full()
    assert not models.is_loaded("large")
    assert kept == []

    release.set()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert len(kept) == 2
    assert kept[0] is kept[1] is models.recognizer("large")
    assert len(loaded) == 2, "one load a model, however many wait for it"


def test_a_camera_that_waits_for_its_model_holds_up_no_other(
    models: Models, held: tuple[threading.Event, list[Any]]
) -> None:
    release, loaded = held
    kept: list[Any] = []
    waiting = in_thread(lambda: models.open_session("large"), kept)
    eventually(lambda: len(loaded) == 1)
    with models.open_session(models.names()[0]):
        release.set()
        waiting.join(PATIENCE_SECONDS)
        assert models.is_full()
    kept[0].close()
    assert models.live_sessions() == 0


def test_a_bundle_that_fails_is_tried_again(models: Models, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "card.json").write_text("{}")
    for _ in range(2):
        with pytest.raises(BundleError):
            models.recognizer("broken")
    with pytest.raises(KeyError):
        models.recognizer("../large")
    assert not models.is_loaded("broken")


def test_a_bundle_that_is_being_written_is_not_offered(models: Models, tmp_path: Path) -> None:
    (tmp_path / ".later.tmp").symlink_to(next(iter(shipped().values())))
    assert models.names()[-1] == "large"
    with pytest.raises(KeyError):
        models.recognizer(".later.tmp")

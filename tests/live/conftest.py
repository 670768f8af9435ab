"""A small real model for the live tests, whose laws do not depend on what it has learned."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streams import WatchedEngine

import actionstream
from actionstream.recognizer import Recognizer


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    """A bundle of mean colours in ONNX Runtime on one thread: a look takes under a millisecond."""
    bundles = pytest.importorskip("plain_bundle", reason="needs the extra 'test'")
    place = tmp_path_factory.mktemp("live") / "plain"
    folder = bundles.plain_bundle(place, reset_after_seconds=2.4)
    return actionstream.load(folder, threads=1)


@pytest.fixture(scope="session")
def shipped() -> Recognizer:
    """The shipped bundle, on one thread."""
    return actionstream.load(threads=1)


@pytest.fixture
def spacing(model: Recognizer) -> float:
    return model.card.spacing_seconds


@pytest.fixture
def watched(model: Recognizer) -> tuple[Recognizer, WatchedEngine]:
    """The model with a watched engine, its gate open."""
    engine = WatchedEngine(model.engine)
    engine.gate.set()
    return replace(model, engine=engine), engine

"""A real model for the live tests."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streams import WatchedEngine

import actionstream
from actionstream.recognizer import Recognizer


@pytest.fixture(scope="session")
def model() -> Recognizer:
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

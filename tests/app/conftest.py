from __future__ import annotations

import pytest

from actionstream.recognizer import Recognizer, load


@pytest.fixture(scope="session")
def model() -> Recognizer:
    """The shipped model, on one thread."""
    return load(threads=1)

from __future__ import annotations

import pytest

from actionstream.bundle import shipped
from actionstream.recognizer import Recognizer, load


@pytest.fixture(scope="session")
def model() -> Recognizer:
    """The shipped model, on one thread."""
    if not shipped():
        pytest.skip("no bundle is shipped in this tree yet")
    return load(threads=1)

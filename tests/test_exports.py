"""The public surface is a list: sorted, complete, and every name on it can be had."""

from __future__ import annotations

import ast
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import actionstream
from actionstream import errors

EXPECTED = [
    "ActionstreamError",
    "Answer",
    "BundleError",
    "BusyError",
    "Candidate",
    "DatasetError",
    "EmptyVideoError",
    "EngineError",
    "Failure",
    "Frame",
    "FrameError",
    "LeakError",
    "MissingExtraError",
    "NoFramesError",
    "NoVideoStreamError",
    "Notice",
    "RGBFrame",
    "Reading",
    "Recognizer",
    "Segment",
    "Stream",
    "Taught",
    "Timing",
    "TrainingError",
    "UnreadableVideoError",
    "UnsupportedVideoError",
    "VideoCrashedError",
    "VideoError",
    "VideoFacts",
    "VideoNotFoundError",
    "VideoReader",
    "VideoTimeoutError",
    "VideoTooLargeError",
    "VideoWriteError",
    "Worker",
    "__version__",
    "annotate",
    "list_models",
    "load",
    "teach",
]


def test_the_public_names() -> None:
    assert actionstream.__all__ == EXPECTED
    assert sorted(EXPECTED) == EXPECTED
    assert dir(actionstream) == EXPECTED


@pytest.mark.parametrize("name", EXPECTED)
def test_each_name_is_what_it_says(name: str) -> None:
    value = getattr(actionstream, name)
    if name != "__version__":
        assert value.__name__ == name
        assert value.__module__.startswith("actionstream.")
        assert value.__doc__
    assert name in dir(actionstream)


def test_every_error_is_public() -> None:
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.ActionstreamError)
    }
    assert defined == {name for name in EXPECTED if name.endswith("Error")}


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(actionstream.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted([*seen, "__version__"]) == EXPECTED
    for name, module in seen.items():
        assert getattr(actionstream, name).__module__ == module


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'actionstream' has no attribute 'Recogniser'"):
        _ = actionstream.Recogniser  # type: ignore[attr-defined]


def test_the_version_has_one_source() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", actionstream.__version__)
    try:
        installed = version("actionstream")
    except PackageNotFoundError:
        pytest.skip("the package is not installed, only on the path")
    assert installed == actionstream.__version__

"""The tree that the docstring draws is the tree that exists."""

from __future__ import annotations

import pickle
import re
from typing import get_args

import pytest

from actionstream import errors
from actionstream.errors import (
    ActionstreamError,
    BundleError,
    MissingExtraError,
    VideoError,
    VideoErrorKind,
    VideoNotFoundError,
)

DEFINED = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, ActionstreamError)
}
VIDEO_ERRORS = [error for error in DEFINED.values() if issubclass(error, VideoError)]


def drawn() -> dict[str, tuple[str, str | None, str | None]]:
    """Name: (parent, builtin in brackets, kind), read from the module's docstring."""
    assert errors.__doc__ is not None
    path: list[str] = []
    found = {}
    for line in errors.__doc__.splitlines():
        match = re.match(r"    ([│├└─ ]*)(\w+Error)\b(.*)", line)
        if match:
            branch, name, rest = match.groups()
            depth = len(branch) // 4
            path[depth:] = [name]
            builtin = re.search(r"\[(\w+)\]|\((Exception)\)", rest)
            kind = re.search(r'kind "(\w+)"', rest)
            found[name] = (
                path[depth - 1] if depth else "",
                builtin and (builtin[1] or builtin[2]),
                kind and kind[1],
            )
    return found


def test_the_drawn_tree_is_the_real_one() -> None:
    tree = drawn()
    assert set(tree) == set(DEFINED)
    assert len(tree) == 20
    for name, (parent, builtin, kind) in tree.items():
        bases = [base.__name__ for base in DEFINED[name].__bases__]
        assert bases == [base for base in (parent, builtin) if base], name
        if kind:
            assert DEFINED[name].__dict__["kind"] == kind


def test_every_kind_has_exactly_one_error() -> None:
    kinds = [error.kind for error in VIDEO_ERRORS if error is not VideoError]
    assert sorted(kinds) == sorted(get_args(VideoErrorKind))


@pytest.mark.parametrize("kind", VIDEO_ERRORS, ids=lambda kind: kind.__name__)
def test_a_video_error_is_one_line_and_survives_pickling(kind: type[VideoError]) -> None:
    error = kind("clips/a b.mp4", "no video stream (audio only)")
    copy = pickle.loads(pickle.dumps(error))
    for one in (error, copy):
        assert type(one) is kind
        assert str(one) == "clips/a b.mp4: no video stream (audio only)"
        assert (one.source, one.cause, one.kind) == (
            "clips/a b.mp4",
            "no video stream (audio only)",
            kind.kind,
        )


def test_the_builtin_catches_too() -> None:
    with pytest.raises(FileNotFoundError):
        raise VideoNotFoundError("a.mp4", "no such file")
    with pytest.raises(ImportError):
        raise MissingExtraError("training", "train")


def test_a_bundle_error_lists_every_problem() -> None:
    error = BundleError("some/folder", ["card.json: missing", "head.onnx: wrong hash"])
    assert str(error) == "some/folder: card.json: missing; head.onnx: wrong hash"
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.problems) == (BundleError, str(error), error.problems)


def test_a_missing_extra_names_the_install() -> None:
    error = MissingExtraError("actionstream train", "train")
    assert "pip install 'actionstream[train]'" in str(error)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.what, copy.extra) == (str(error), "actionstream train", "train")


PLAIN = [error for error in DEFINED.values() if "__init__" not in error.__dict__]


@pytest.mark.parametrize(
    "kind",
    [error for error in PLAIN if not issubclass(error, VideoError)],
    ids=lambda kind: kind.__name__,
)
def test_the_others_carry_their_message(kind: type[ActionstreamError]) -> None:
    copy = pickle.loads(pickle.dumps(kind("what went wrong")))
    assert (type(copy), str(copy)) == (kind, "what went wrong")

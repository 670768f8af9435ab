"""What the card says of the head's tensors is what PyTorch makes, name by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from actionstream.bundle.card_parts import HeadCard
from actionstream.bundle.folder import shipped
from actionstream.bundle.weights_file import (
    NotSafetensorsError,
    Tensor,
    read_tensors,
    served_shapes,
    tensor_problems,
)

FEATURES, LABELS = 6, 3

HEADS: list[tuple[str, dict[str, Any]]] = [
    ("mean", {}),
    ("mean", {"differences": True, "known": "energy"}),
    ("mean", {"differences": True, "deviation": True, "known": "logistic"}),
    ("lstm", {}),
    ("lstm", {"direct": False, "normalise": "none", "hidden": 4}),
    ("lstm", {"normalise": "l2", "project": 5, "hidden": 4, "layers": 2}),
    ("lstm", {"evidence": True, "hidden": 4, "deviation": True, "readout": "mean"}),
    ("lstm", {"evidence": True, "project": 2, "hidden": 4, "layers": 3}),
    ("lstm", {"known": "logistic", "known_projection": 2, "hidden": 4, "dropout": 0.1}),
]


def write(path: Path, header: object, data: bytes = b"") -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(*shape: int, start: int = 0, end: int = 4, kind: str = "F32") -> dict[str, object]:
    return {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}


@pytest.mark.torch
@pytest.mark.parametrize(("name", "options"), HEADS)
def test_the_shapes_are_those_of_the_network(name: str, options: dict[str, Any]) -> None:
    pytest.importorskip("torch", reason="needs the extra 'train'")
    from actionstream.networks.known import build_served_head

    served = build_served_head(name, FEATURES, LABELS, options)
    made = {key: tuple(value.shape) for key, value in served.state_dict().items()}
    assert served_shapes(HeadCard(name=name, options=options), FEATURES, LABELS) == made
    spelled_out = HeadCard(name=name, options=dict(served.options))
    assert served_shapes(spelled_out, FEATURES, LABELS) == made


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("weighted", {}),
        ("lstm", {"hidden": "wide"}),
        ("lstm", {"hidden": True}),
        ("lstm", {"layers": 10**9}),
        ("lstm", {"evidence": 1}),
        ("mean", {"known": "logistic", "known_projection": -1}),
    ],
)
def test_of_a_head_that_is_not_known_nothing_is_expected(
    name: str, options: dict[str, Any]
) -> None:
    head = HeadCard(name=name, options=options)
    assert served_shapes(head, FEATURES, LABELS) is None
    tensors = {"encoder.x": Tensor("F32", (), 0, 4), "head.y": Tensor("F32", (), 4, 8)}
    assert list(tensor_problems(tensors, head, FEATURES, LABELS)) == []


def test_all_that_does_not_fit_is_one_line() -> None:
    tensors = {
        "encoder.x": Tensor("I64", (), 0, 0),
        "head.direct.weight": Tensor("F32", (4, 6), 0, 0),
        "head.direct.bias": Tensor("I32", (3,), 0, 0),
        "head.lstm.weight": Tensor("F32", (1,), 0, 0),
    }
    head = HeadCard(name="mean", options={})
    assert list(tensor_problems(tensors, head, FEATURES, LABELS)) == [
        "does not hold the head of the card: head.direct.bias holds I32, not floating-point "
        "numbers, head.direct.weight must be [3, 6], got [4, 6], head.lstm.weight is not part of "
        "it, known.temperature is missing"
    ]


def test_sizes_that_the_card_does_not_tell_may_be_any() -> None:
    tensors = {
        "encoder.x": Tensor("F32", (), 0, 0),
        "head.direct.weight": Tensor("F32", (4, 9), 0, 0),
        "head.direct.bias": Tensor("F32", (), 0, 0),
        "known.temperature": Tensor("F32", (), 0, 0),
    }
    head = HeadCard(name="mean", options={})
    assert list(tensor_problems(tensors, head, None, None)) == [
        "does not hold the head of the card: head.direct.bias must be [?], got []"
    ]


def test_a_header_is_read(tmp_path: Path) -> None:
    header = {
        "__metadata__": {"format": "pt"},
        "b": entry(2, 1, start=4, end=12),
        "a": entry(),
        "none": entry(0, 7, start=4, end=4),
    }
    tensors = read_tensors(write(tmp_path / "a", header, bytes(12)))
    assert tensors["b"] == Tensor("F32", (2, 1), 4, 12)
    assert list(tensors) == ["b", "a", "none"]


@pytest.mark.parametrize(
    "header",
    [
        [],
        {"a": 7},
        {"a": {"dtype": "F32"}},
        {"a": entry(kind="F3")},
        {"a": entry(2)},
        {"a": entry(-1, -1)},
        {"a": entry(1 << 60, 0, end=0)},
        {"a": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}},
        {"a": entry(start=4, end=8)},
        {"a": entry(), "b": entry()},
        {},
    ],
)
def test_a_header_that_is_wrong_is_refused(tmp_path: Path, header: object) -> None:
    with pytest.raises(NotSafetensorsError):
        read_tensors(write(tmp_path / "a", header, bytes(4)))


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff" * 20, (2).to_bytes(8, "little") + b"{"])
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(NotSafetensorsError, match="not a safetensors file"):
        read_tensors(tmp_path / "a")


def test_the_shipped_bundles_hold_their_heads() -> None:
    from actionstream.bundle.folder import open_bundle

    assert len(shipped()) == 2
    for folder in shipped().values():
        card = open_bundle(folder).card
        tensors = read_tensors(folder / "weights.safetensors")
        expected = served_shapes(card.head, card.encoder.feature_size, len(card.labels))
        assert expected is not None
        assert {name: tensors[name].shape for name in expected} == expected

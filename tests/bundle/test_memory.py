"""memory.safetensors: read as it was written, and refused with all that is wrong."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from memories import small_memory
from safetensors.numpy import load_file, save_file

from actionstream.bundle.memory import (
    Memory,
    header_problems,
    quantise,
    read_memory,
    write_memory,
)
from actionstream.errors import BundleError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_memory(tmp_path / "memory.safetensors", small_memory(3))
    return tmp_path / "memory.safetensors"


def test_what_is_written_is_read(path: Path) -> None:
    memory, again = small_memory(3), read_memory(path)
    for field in fields(Memory):
        np.testing.assert_array_equal(getattr(memory, field.name), getattr(again, field.name))
    assert again.num_labels == 3
    assert header_problems(path, 3) == []


def test_int8_keeps_numbers_to_half_a_step() -> None:
    rows = np.random.default_rng(0).normal(size=(5, 40)).astype(np.float32)
    whole, step = quantise(rows)
    assert whole.dtype == np.int8
    assert (np.abs(whole * step[:, None] - rows) <= step[:, None] * 0.501).all()
    assert np.abs(whole).max() == 127


def test_a_memory_of_other_labels_is_refused(path: Path) -> None:
    assert header_problems(path, 5) == ["it has 4 scores for 5 labels and no known action"]


def test_too_large_a_memory_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="at most 8000000"):
        write_memory(tmp_path / "m", small_memory(3, pictures=9000, each=300))


def _spoiled(path: Path, **changed: np.ndarray) -> list[str]:
    save_file({**load_file(path), **changed}, path)
    with pytest.raises(BundleError) as caught:
        read_memory(path)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"colour": np.zeros(2, np.float32)}, "tensors missing or unknown: colour"),
        ({"target": np.full(24, 9, np.int16)}, "target must lie between 0 and 3"),
        ({"target": np.zeros(3, np.int16)}, "target must be I16"),
        ({"weight": np.zeros(24, np.float32)}, "weight must be above 0"),
        ({"moves": np.full(24, np.nan, np.float32)}, "moves holds numbers that are none"),
        ({"picture": np.zeros(3, np.int8)}, "must have two dimensions"),
    ],
)
def test_what_is_wrong_is_named(path: Path, changed: dict[str, np.ndarray], words: str) -> None:
    assert any(words in problem for problem in _spoiled(path, **changed))


def test_a_file_that_is_none(path: Path) -> None:
    path.write_bytes(b"no tensors")
    with pytest.raises(BundleError, match="not a safetensors file"):
        read_memory(path)

"""Checkpoints: whole or absent, tensors and plain values only."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actionstream.errors import TrainingError
from actionstream.training.common.checkpoint import load_checkpoint, save_checkpoint
from actionstream.training.common.export import export_checkpoint

pytestmark = pytest.mark.torch

IDENTITY = {"recipe": {"epochs": 3}, "seed": 1}
STATE = {"weights": torch.arange(5000, dtype=torch.float32), "epoch": 2, "text": "x"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "new" / "run.ckpt", STATE, IDENTITY)
    return tmp_path / "new" / "run.ckpt"


def test_what_is_saved_is_loaded_and_nothing_else_is_left(path: Path) -> None:
    state = load_checkpoint(path, IDENTITY)
    assert torch.equal(state.pop("weights"), STATE["weights"])  # type: ignore[arg-type]
    assert state == {"epoch": 2, "text": "x"}
    assert [one.name for one in path.parent.iterdir()] == ["run.ckpt"]


class _Refuses:
    def __reduce__(self) -> Any:
        raise ValueError("this cannot be pickled")


def test_a_failed_save_leaves_the_old_one(path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be pickled"):
        save_checkpoint(path, {"bad": _Refuses()}, IDENTITY)
    assert load_checkpoint(path, IDENTITY)["epoch"] == 2
    assert [one.name for one in path.parent.iterdir()] == ["run.ckpt"]


@pytest.mark.parametrize(
    ("identity", "named"),
    [
        ({"recipe": {"epochs": 4}, "seed": 1}, "its recipe differ"),
        ({"recipe": {"epochs": 4}, "seed": 2}, "its recipe, seed differ"),
        ({**IDENTITY, "clips": ["a"]}, "its clips differ"),
    ],
)
def test_another_runs_is_refused(path: Path, identity: dict[str, Any], named: str) -> None:
    with pytest.raises(TrainingError, match=f"belongs to another run \\({named}"):
        load_checkpoint(path, identity)


def test_every_cut_is_refused(path: Path) -> None:
    data = path.read_bytes()
    for end in (0, 1, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:end])
        with pytest.raises(TrainingError, match=r"run\.ckpt: not a checkpoint, or damaged"):
            load_checkpoint(path, IDENTITY)


def test_a_flipped_bit_never_changes_what_is_loaded(path: Path) -> None:
    """Refused, or where nothing reads the byte (a date, padding), without effect."""
    data = path.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for place in random.integers(0, len(data), 200):
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        try:
            state = load_checkpoint(path, IDENTITY)
        except TrainingError:
            refused += 1
        else:
            assert torch.equal(state["weights"], STATE["weights"])  # type: ignore[arg-type]
            assert (state["epoch"], state["text"]) == (2, "x")
    assert refused > 150


class _Runs:
    """Unpickled the ordinary way it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.write_text, (self.path, "it ran")


def test_a_checkpoint_with_code_is_refused_unrun(path: Path, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    content = {"format": 2, "identity": IDENTITY, "state": _Runs(proof)}
    torch.save(content, path)
    with pytest.raises(TrainingError, match="refused, since pickled objects can run code") as told:
        load_checkpoint(path, IDENTITY)
    assert "weights_only" not in str(told.value)  # torch's advice is to run it
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(TrainingError, match="not a checkpoint"):
        load_checkpoint(path, IDENTITY)
    assert not proof.exists()


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"identity": IDENTITY},
        {"state": STATE},
        {"identity": None, "state": STATE},
        {"identity": [IDENTITY], "state": STATE},
        {"identity": IDENTITY, "state": "x"},
    ],
)
def test_a_checkpoint_without_its_parts_is_refused(path: Path, parts: dict[str, Any]) -> None:
    torch.save({"format": 2, **parts}, path)
    with pytest.raises(TrainingError, match=r"run\.ckpt: not a checkpoint of this version"):
        load_checkpoint(path, IDENTITY)


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        ({}, "KeyError"),
        ({"card_fields": 3}, "TypeError"),
        ({"card_fields": "x"}, "JSONDecodeError"),
    ],
)
def test_a_final_checkpoint_without_its_parts_is_refused(
    tmp_path: Path, state: dict[str, Any], cause: str
) -> None:
    path = tmp_path / "final.ckpt"
    save_checkpoint(path, state, {"kind": "final"})
    with pytest.raises(TrainingError, match=f"not the final checkpoint of a run .{cause}"):
        export_checkpoint(path, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_other_files_are_refused(path: Path) -> None:
    torch.save({"weights": torch.zeros(2)}, path)
    with pytest.raises(TrainingError, match="not a checkpoint of this version"):
        load_checkpoint(path, IDENTITY)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "a")
    path.write_bytes(buffer.getvalue())
    with pytest.raises(TrainingError, match="not a checkpoint"):
        load_checkpoint(path, IDENTITY)
    with pytest.raises(TrainingError, match=r"absent\.ckpt: not a checkpoint"):
        load_checkpoint(path.with_name("absent.ckpt"), IDENTITY)

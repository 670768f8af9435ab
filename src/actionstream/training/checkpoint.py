"""Checkpoints that are whole or absent, and that hold tensors and plain values only."""

from __future__ import annotations

import pickle
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from actionstream.errors import TrainingError
from actionstream.training.whole import whole_file

FORMAT_VERSION = 1

DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a damaged archive of arrays may raise."""


def save_checkpoint(path: Path, state: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Write beside the place, flush to disk, move into it: a kill leaves the old one.

    `identity` says what run it belongs to; `load_checkpoint` insists on the same.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"format": FORMAT_VERSION, "identity": dict(identity), "state": dict(state)}
    with whole_file(path) as file:
        torch.save(content, file)


def load_checkpoint(path: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
    """The state that `save_checkpoint` wrote.

    Only tensors and plain values are read (torch's `weights_only`), so that a checkpoint from
    elsewhere can run no code.

    Raises:
        TrainingError: not a checkpoint, damaged, or of another run; says what differs.
    """
    try:
        _check_sums(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # torch's own words advise to run such a file's code
        raise TrainingError(
            f"{path}: not a checkpoint, or damaged: it holds more than tensors and plain values; "
            "it is refused, since pickled objects can run code"
        ) from None
    except DAMAGE as error:
        raise TrainingError(f"{path}: not a checkpoint, or damaged ({error})") from None
    if not _is_whole(content):
        raise TrainingError(f"{path}: not a checkpoint of this version of actionstream")
    its = content["identity"]
    differing = [key for key in identity if its.get(key) != identity[key]]
    if differing:
        raise TrainingError(
            f"{path}: belongs to another run (its {', '.join(differing)} differ); "
            "choose another folder or start without --resume"
        )
    state: dict[str, Any] = content["state"]
    return state


def _is_whole(content: object) -> bool:
    """Whether it has the parts that `save_checkpoint` writes."""
    if not isinstance(content, dict) or content.get("format") != FORMAT_VERSION:
        return False
    return all(isinstance(content.get(part), dict) for part in ("identity", "state"))


def _check_sums(path: Path) -> None:
    """torch does not compare the checksums that it writes: a flipped bit would go unnoticed."""
    with zipfile.ZipFile(path) as file:
        damaged = file.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"bad checksum of {damaged}")

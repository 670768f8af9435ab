"""Checkpoints that are whole or absent, and that hold tensors and plain values only."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from actionstream.errors import TrainingError

FORMAT_VERSION = 1


def save_checkpoint(path: Path, state: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Write beside the place, flush to disk, move into it: a kill leaves the old one.

    `identity` says what run it belongs to; `load_checkpoint` insists on the same.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        torch.save(
            {"format": FORMAT_VERSION, "identity": dict(identity), "state": dict(state)}, file
        )
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load_checkpoint(path: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
    """The state that `save_checkpoint` wrote.

    Only tensors and plain values are read (torch's `weights_only`), so that a checkpoint from
    elsewhere can run no code.

    Raises:
        TrainingError: not a checkpoint, damaged, or of another run; says what differs.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise TrainingError(f"{path}: not a checkpoint ({error})") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT_VERSION:
        raise TrainingError(f"{path}: not a checkpoint of this version of actionstream")
    differing = [key for key in identity if content["identity"].get(key) != identity[key]]
    if differing:
        raise TrainingError(
            f"{path}: belongs to another run (its {', '.join(differing)} differ); "
            "choose another folder or start without --resume"
        )
    state: dict[str, Any] = content["state"]
    return state

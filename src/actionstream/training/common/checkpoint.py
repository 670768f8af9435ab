"""Files of a run: checkpoints that are whole or absent, without code in them; and records."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch

from actionstream.errors import TrainingError

FORMAT_VERSION = 2
"""Of checkpoints; one of another version is refused."""

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


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A file to write to: made beside its place, flushed to disk, then moved into it.

    An error leaves what was there before, a kill at most a hidden `.tmp` file beside it. The
    temporary name is this thread's alone, so several may write the same file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_checkpoint(path: Path, state: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Write tensors and plain values, whole or not at all.

    `identity` says what run they belong to; `load_checkpoint` insists on the same.
    """
    content = {"format": FORMAT_VERSION, "identity": dict(identity), "state": dict(state)}
    with atomic_write(path) as file:
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
    if not _has_all_parts(content):
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


def _has_all_parts(content: object) -> bool:
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


def append_record(path: Path, record: dict[str, Any]) -> None:
    """Append one line of JSON with the time (UTC, ISO 8601) in front: what research decides on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stamped = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **record}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(stamped, ensure_ascii=False) + "\n")

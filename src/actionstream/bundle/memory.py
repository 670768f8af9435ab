"""memory.safetensors: what `teach` needs of the clips that a bundle was trained on.

A few hundred windows, each as the numbers that the head's closed-form layers read of it, in int8:
no pixels, and nothing from which a picture could be made. Beside them stands what a head that had
not seen the window's source said of it, so that estimates made with them stay honest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from actionstream.errors import BundleError

MEMORY_NAME = "memory.safetensors"
LARGEST_BYTES = 8_000_000
_HEADER_BYTES = 10_000

Floats = NDArray[np.float32]
_STEPS = 127
_DTYPES = {
    "picture": "I8",
    "pose": "I8",
    "picture_step": "F32",
    "pose_step": "F32",
    "target": "I16",
    "source": "I32",
    "clip": "I32",
    "weight": "F32",
    "closed": "F16",
    "order": "F16",
    "moves": "F32",
    "picture_mean": "F32",
    "picture_std": "F32",
    "pose_mean": "F32",
    "factors": "F32",
    "penalty": "F32",
    "heat": "F32",
}
"""As safetensors names them."""
_NUMPY = {"I8": "int8", "I16": "int16", "I32": "int32", "F16": "float16", "F32": "float32"}


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """M windows of the training clips. P numbers say what a picture shows, R how somebody stands.

    picture, pose:           int8 [M, P] and [M, R]; times `picture_step`, `pose_step` float32 [M]
                             they are the layers' inputs, the picture's standardised and both
                             divided by the root of their number.
    target:                  int16 [M]: number of the label, K for no known action.
    source, clip:            int32 [M]: windows of one number come from one source, from one clip.
    weight:                  float32 [M]: how much the window counts.
    closed, order:           float16 [M, K + 1]: scores of the closed-form paths and of the LSTM,
                             by heads that were fitted without the window's source.
    moves:                   float32 [M]: how much moves, as the known score reads it.
    picture_mean, _std:      float32 [P]: by these the picture's numbers were standardised.
    pose_mean:               float32 [R]: what was taken off the pose's.
    factors:                 float32 [2]: of the picture's and the pose's kernel.
    penalty, heat:           float32 []: ridge penalty; what the layers were divided by.
    """

    picture: NDArray[np.int8]
    pose: NDArray[np.int8]
    picture_step: Floats
    pose_step: Floats
    target: NDArray[np.int16]
    source: NDArray[np.int32]
    clip: NDArray[np.int32]
    weight: Floats
    closed: NDArray[np.float16]
    order: NDArray[np.float16]
    moves: Floats
    picture_mean: Floats
    picture_std: Floats
    pose_mean: Floats
    factors: Floats
    penalty: Floats
    heat: Floats

    @property
    def num_labels(self) -> int:
        """K, without "no known action"."""
        return int(self.closed.shape[1]) - 1


def quantise(rows: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Rows [M, N] as int8 and the step [M] of each."""
    step = np.maximum(np.abs(rows).max(axis=1), 1e-12) / _STEPS
    return np.rint(rows / step[:, None]).astype(np.int8), step.astype(np.float32)


def write_memory(path: Path, memory: Memory) -> None:
    """Write it whole.

    Raises:
        BundleError: it would be larger than 8 MB.
    """
    tensors = {
        name: np.asarray(getattr(memory, name), dtype=_NUMPY[kind], order="C")
        for name, kind in _DTYPES.items()
    }
    size = sum(tensor.nbytes for tensor in tensors.values())
    if size > LARGEST_BYTES:
        raise BundleError(path, [f"{size} bytes; a memory has at most {LARGEST_BYTES}"])
    save_file(tensors, path)
    path.chmod(0o644)  # safetensors leaves it readable by its owner alone


def read_memory(path: Path) -> Memory:
    """The memory of a bundle.

    Raises:
        BundleError: not the tensors that a memory holds, or numbers that cannot be.
    """
    problems = header_problems(path)
    tensors = {} if problems else load_file(path)
    problems = problems or _value_problems(tensors)
    if problems:
        raise BundleError(path, problems)
    return Memory(**{field.name: tensors[field.name] for field in fields(Memory)})


def header_problems(path: Path, num_labels: int | None = None) -> list[str]:
    """What is wrong with the names, dtypes and shapes of the file's tensors; none is loaded."""
    if path.stat().st_size > LARGEST_BYTES + _HEADER_BYTES:
        return [f"larger than {LARGEST_BYTES} bytes"]
    try:
        with safe_open(path, framework="np") as tensors:
            slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
            found = {n: (one.get_dtype(), tuple(one.get_shape())) for n, one in slices.items()}
    except (SafetensorError, OSError) as error:
        return [f"not a safetensors file ({error})"]
    return list(_shape_problems(found, num_labels))


def _shape_problems(
    found: dict[str, tuple[str, tuple[int, ...]]], num_labels: int | None
) -> Iterator[str]:
    if set(found) != set(_DTYPES):
        yield f"tensors missing or unknown: {', '.join(sorted(set(found) ^ set(_DTYPES)))}"
        return
    shapes = {name: shape for name, (_, shape) in found.items()}
    if any(len(shapes[name]) != 2 for name in ("picture", "pose", "closed")):
        yield "picture, pose and closed must have two dimensions"
        return
    (rows, pictures), poses, scores = shapes["picture"], shapes["pose"][1], shapes["closed"][1]
    if num_labels is not None and scores != num_labels + 1:
        yield f"it has {scores} scores for {num_labels} labels and no known action"
    wanted: dict[str, tuple[int, ...]] = dict.fromkeys(_DTYPES, (rows,))
    wanted |= {"picture": (rows, pictures), "pose": (rows, poses)}
    wanted |= dict.fromkeys(("closed", "order"), (rows, scores))
    wanted |= dict.fromkeys(("picture_mean", "picture_std"), (pictures,))
    wanted |= {"pose_mean": (poses,), "factors": (2,), "penalty": (), "heat": ()}
    for name, kind in _DTYPES.items():
        if found[name] != (kind, wanted[name]):
            yield f"{name} must be {kind} {list(wanted[name])}, got {found[name]}"


def _value_problems(tensors: dict[str, NDArray[Any]]) -> list[str]:
    target, labels = tensors["target"], tensors["closed"].shape[1] - 1
    above = ("weight", "picture_std", "heat", "penalty", "factors")
    return [
        *(
            f"{name} holds numbers that are none"
            for name, tensor in tensors.items()
            if tensor.dtype.kind == "f" and not np.isfinite(tensor).all()
        ),
        *(f"{name} must be above 0" for name in above if not (tensors[name] > 0).all()),
        *(
            [f"target must lie between 0 and {labels}"]
            if len(target) and not 0 <= target.min() <= target.max() <= labels
            else []
        ),
    ]

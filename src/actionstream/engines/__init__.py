"""Engines run a bundle's two networks: encode(images) and read(features).

`onnx` is the default and needs ONNX Runtime only; `torch` needs the extra `train` and uses CUDA
where it is. Both give the same numbers to 1e-4.
"""

from __future__ import annotations

from importlib import import_module
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from actionstream.bundle.folder import Bundle
from actionstream.concurrency import default_threads
from actionstream.errors import BundleError, EngineError, FrameError
from actionstream.inference.rules import Graphs
from actionstream.inference.sampling import WINDOW

EngineName = Literal["onnx", "torch"]
Device = Literal["cpu", "cuda"]

Images = NDArray[np.uint8]
"""RGB uint8 [N, S, S, 3]."""
Features = NDArray[np.float32]
"""float32 [N, D], or [B, 16, D] for the head."""
Logits = NDArray[np.float32]
"""float32 [B, K]."""
Scores = NDArray[np.float32]
"""known_score, float32 [B], 0..1."""

_ENGINES = {
    "onnx": ("actionstream.engines.onnx", "OnnxEngine"),
    "torch": ("actionstream.engines.torch", "TorchEngine"),
}
"""Where an engine is: a class with `open(bundle, *, threads, device)`, imported when asked for."""


class Engine(Graphs, Protocol):
    """A bundle ready to compute. Immutable, and safe for several threads at once."""

    @property
    def name(self) -> EngineName:
        """Which engine this is."""
        ...

    @property
    def device(self) -> str:
        """Where it computes: "cpu" or "cuda"."""
        ...

    def encode(self, images: Images) -> Features:
        """Pictures RGB uint8 [N, S, S, 3], N at least 1, to features float32 [N, D].

        Raises:
            FrameError: pictures of another dtype or shape.
        """
        ...

    def read(self, features: Features) -> tuple[Logits, Scores]:
        """Windows float32 [B, 16, D], B at least 1, to logits [B, K] and known_score [B].

        Raises:
            FrameError: features of another dtype or shape.
        """
        ...

    def describe(self) -> str:
        """Engine, version, device and threads in one line, for people."""
        ...


def open_engine(
    bundle: Bundle,
    engine: EngineName = "onnx",
    *,
    threads: int | None = None,
    device: str | None = None,
) -> Engine:
    """Open a checked bundle's networks.

    Args:
        bundle: from `actionstream.bundle.folder.open_bundle`.
        engine: "onnx" or "torch".
        threads: threads of the encoder (the head uses one); None for the cores at hand, at most 4.
        device: "cpu" or "cuda"; None for "cpu".

    Raises:
        EngineError: no such engine or device, or the device is not at hand.
        BundleError: the networks are none, or not those of the card.
        MissingExtraError: the engine's packages are not installed.
    """
    where = device or "cpu"
    if engine not in _ENGINES:
        raise EngineError(f"engine must be one of {', '.join(_ENGINES)}, got {engine!r}")
    if where not in get_args(Device):
        raise EngineError(f"device must be 'cpu' or 'cuda', got {device!r}")
    if threads is not None and threads < 1:
        raise EngineError(f"threads must be at least 1, got {threads}")
    module, name = _ENGINES[engine]
    opened: Engine = getattr(import_module(module), name).open(
        bundle, threads=threads or default_threads(), device=where
    )
    return opened


def check_images(images: object, input_size: int, who: str = "the encoder") -> None:
    """Raise FrameError unless `images` is uint8 [N, S, S, 3] with N at least 1."""
    wanted = f"uint8 [N, {input_size}, {input_size}, 3] with N at least 1"
    _check(images, who, wanted, np.dtype(np.uint8), (input_size, input_size, 3))


def check_features(features: object, feature_size: int) -> None:
    """Raise FrameError unless `features` is float32 [B, 16, D] with B at least 1."""
    wanted = f"float32 [B, {WINDOW}, {feature_size}] with B at least 1"
    _check(features, "the head", wanted, np.dtype(np.float32), (WINDOW, feature_size))


def check_outputs(logits: Logits, known_score: Scores, batch: int, num_labels: int) -> None:
    """Raise BundleError unless the head gave finite logits [B, K] and known_score [B].

    A graph may give another shape than it declares, and numbers that are none.
    """
    if logits.shape != (batch, num_labels) or known_score.shape != (batch,):
        found = f"{list(logits.shape)} and {list(known_score.shape)}"
        raise BundleError("head.onnx", [f"gives {found}, not [{batch}, {num_labels}], [{batch}]"])
    if not (np.isfinite(logits).all() and np.isfinite(known_score).all()):
        raise BundleError("head.onnx", ["gives numbers that are not finite"])


def _check(
    array: object, who: str, wanted: str, dtype: np.dtype[np.generic], tail: tuple[int, ...]
) -> None:
    if not isinstance(array, np.ndarray):
        raise FrameError(f"{who} takes {wanted}, got {type(array).__name__}")
    if array.dtype != dtype or array.shape[1:] != tail or len(array) < 1:
        raise FrameError(f"{who} takes {wanted}, got {array.dtype} {list(array.shape)}")

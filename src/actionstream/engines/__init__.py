"""Engines run a bundle's two networks: encode(images) and read(features).

`onnx` is the default and needs ONNX Runtime only; `torch` needs the extra `train` and uses CUDA
where it is. Both give the same numbers to 1e-4.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol, get_args

from actionstream.bundle.card import Card
from actionstream.concurrency import default_threads
from actionstream.engines.checks import Features, Images, Logits, Scores
from actionstream.errors import EngineError
from actionstream.inference.rules import Graphs

EngineName = Literal["onnx", "torch"]
Device = Literal["cpu", "cuda"]


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


class Parts(Protocol):
    """What an engine needs of a bundle."""

    @property
    def path(self) -> Path: ...
    @property
    def card(self) -> Card: ...
    @property
    def encoder_path(self) -> Path: ...
    @property
    def head_path(self) -> Path: ...
    @property
    def weights_path(self) -> Path: ...


def open_engine(
    bundle: Parts,
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

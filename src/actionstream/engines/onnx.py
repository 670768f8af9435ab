"""ONNX Runtime: the default engine, and the only file that imports onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from actionstream.concurrency import default_threads
from actionstream.engines import Device, Parts
from actionstream.engines.checks import (
    Features,
    Images,
    Logits,
    Scores,
    check_features,
    check_images,
)
from actionstream.errors import BundleError, EngineError
from actionstream.inference.sampling import WINDOW

if TYPE_CHECKING:
    import onnxruntime

    from actionstream.bundle.card import Card


def open_session(
    path: Path, *, threads: int, device: Device = "cpu"
) -> onnxruntime.InferenceSession:
    """A session whose threads sleep while they wait.

    ONNX Runtime's threads spin by default: at ten looks a second that costs 58 CPU-ms a look
    against 12 without.

    Raises:
        EngineError: the device is not at hand.
        BundleError: the file is no network, or keeps data outside its folder.
    """
    # From 1.32 on, importing it on Linux reports to its maker unless this is said before.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    providers = _providers(device)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(  # `sess_opt=` would be ignored without a word
            str(path), sess_options=options, providers=providers
        )
    except Exception as error:  # noqa: BLE001  onnxruntime's errors have no common base
        raise BundleError(path, [f"ONNX Runtime cannot open it ({error})"]) from None


def _providers(device: Device) -> list[str]:
    import onnxruntime

    if device == "cpu":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise EngineError(
            "device 'cuda' needs ONNX Runtime's GPU build, which is not installed: "
            "pip uninstall onnxruntime; pip install onnxruntime-gpu; "
            "or use engine='torch', device='cuda'"
        )
    return ["CUDAExecutionProvider", "CPUExecutionProvider"]


@dataclass(frozen=True, slots=True, eq=False)
class OnnxEncoder:
    """encoder.onnx, opened. Immutable, and safe for several threads at once.

    input_size: side S of the pictures.   feature_size: D of the features.
    """

    session: onnxruntime.InferenceSession
    input_size: int
    feature_size: int

    def encode(self, images: Images) -> Features:
        """Pictures RGB uint8 [N, S, S, 3], N at least 1, to features float32 [N, D].

        Raises:
            FrameError: pictures of another dtype or shape.
        """
        check_images(images, self.input_size)
        (features,) = _run(self.session, ("features",), {"images": images})
        return features


@dataclass(frozen=True, slots=True, eq=False)
class OnnxHead:
    """head.onnx, opened. Immutable, and safe for several threads at once."""

    session: onnxruntime.InferenceSession
    feature_size: int
    num_labels: int

    def read(self, features: Features) -> tuple[Logits, Scores]:
        """Windows float32 [B, 16, D], B at least 1, to logits [B, K] and known_score [B].

        Raises:
            FrameError: features of another dtype or shape.
        """
        check_features(features, self.feature_size)
        logits, known_score = _run(self.session, ("logits", "known_score"), {"features": features})
        return logits, known_score


def _run(session: Any, outputs: tuple[str, ...], inputs: dict[str, Any]) -> tuple[Features, ...]:
    results = session.run(list(outputs), inputs)
    return tuple(results)


def open_encoder(path: Path, *, threads: int | None = None, device: Device = "cpu") -> OnnxEncoder:
    """Open an encoder.onnx by itself (a feature store needs no head).

    Raises:
        BundleError: not a network from uint8 [N, S, S, 3] to float32 [N, D], any N.
    """
    session = open_session(path, threads=threads or default_threads(), device=device)
    wanted = "takes images uint8 [N, S, S, 3] and gives features float32 [N, D]"
    facts = _facts(session)
    match facts:
        case (
            [("images", "tensor(uint8)", [str(), int(size), int(width), 3])],
            [("features", "tensor(float)", [_, int(feature_size)])],
        ) if size == width:
            return OnnxEncoder(session, size, feature_size)
    raise BundleError(path, [f"an encoder {wanted}, this one has {facts}"])


def open_head(path: Path, *, device: Device = "cpu") -> OnnxHead:
    """Open a head.onnx. One thread: a read is far too small to be shared out.

    Raises:
        BundleError: not a network from float32 [B, 16, D] to [B, K] and [B], any B.
    """
    session = open_session(path, threads=1, device=device)
    wanted = f"takes features float32 [B, {WINDOW}, D] and gives logits [B, K], known_score [B]"
    facts = _facts(session)
    match facts:
        case (
            [("features", "tensor(float)", [str(), int(window), int(feature_size)])],
            [
                ("logits", "tensor(float)", [_, int(num_labels)]),
                ("known_score", "tensor(float)", [_]),
            ],
        ) if window == WINDOW:
            return OnnxHead(session, feature_size, num_labels)
    raise BundleError(path, [f"a head {wanted}, this one has {facts}"])


def _facts(session: Any) -> tuple[list[Any], list[Any]]:
    """Name, type and shape of inputs and of outputs."""

    def listed(values: list[Any]) -> list[Any]:
        return [(value.name, value.type, list(value.shape)) for value in values]

    return listed(session.get_inputs()), listed(session.get_outputs())


def _disagreements(card: Card, encoder: OnnxEncoder, head: OnnxHead) -> Iterator[str]:
    """Sizes of the networks that are not those of the card."""
    for name, what, found, told in (
        ("encoder.onnx", "side of its pictures", encoder.input_size, card.geometry.input_size),
        ("encoder.onnx", "size of its features", encoder.feature_size, card.encoder.feature_size),
        ("head.onnx", "size of its looks", head.feature_size, card.look_size),
        ("head.onnx", "number of its labels", head.num_labels, len(card.labels)),
    ):
        if found != told:
            yield f"{name}: the {what} is {found}, and {told} in the card"


@dataclass(frozen=True, slots=True, eq=False)
class OnnxEngine:
    """A bundle in ONNX Runtime; see `actionstream.engines.Engine`."""

    encoder: OnnxEncoder
    head: OnnxHead
    threads: int
    device: Device = "cpu"
    name: Literal["onnx"] = "onnx"

    @classmethod
    def open(cls, bundle: Parts, *, threads: int, device: Device) -> OnnxEngine:
        """Open both networks, and compare them with the card; see `engines.open_engine`."""
        encoder = open_encoder(bundle.encoder_path, threads=threads, device=device)
        head = open_head(bundle.head_path, device=device)
        problems = list(_disagreements(bundle.card, encoder, head))
        if problems:
            raise BundleError(bundle.path, problems)
        return cls(encoder, head, threads, device)

    def encode(self, images: Images) -> Features:
        """See `Engine.encode`."""
        return self.encoder.encode(images)

    def read(self, features: Features) -> tuple[Logits, Scores]:
        """See `Engine.read`."""
        return self.head.read(features)

    def describe(self) -> str:
        """See `Engine.describe`."""
        import onnxruntime

        provider = self.encoder.session.get_providers()[0]
        return f"ONNX Runtime {onnxruntime.__version__}, {provider}, {self.threads} threads"

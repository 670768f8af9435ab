"""ONNX Runtime: the default engine, and the only file that imports onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from actionstream.bundle.folder import Bundle
from actionstream.concurrency import default_threads
from actionstream.engines import (
    Device,
    Features,
    Images,
    Logits,
    Scores,
    check_features,
    check_images,
    check_outputs,
)
from actionstream.errors import BundleError, EngineError
from actionstream.inference.pose import CROP_SIDE, IMAGE_SIDE, LANDMARKS
from actionstream.inference.sampling import WINDOW

if TYPE_CHECKING:
    import onnxruntime

    from actionstream.bundle.card import Card


_POINTS = LANDMARKS + 6
"""Those of the body, and six that say where it is."""
_ANCHORS = 2254
_POSE = {
    "pose.onnx": [
        ("crops", "tensor(uint8)", [CROP_SIDE, CROP_SIDE, 3]),
        ("landmarks", "tensor(float)", [_POINTS, 4]),
        ("world", "tensor(float)", [_POINTS, 3]),
        ("score", "tensor(float)", []),
    ],
    "person.onnx": [
        ("images", "tensor(uint8)", [IMAGE_SIDE, IMAGE_SIDE, 3]),
        ("people", "tensor(float)", [_ANCHORS, 4]),
        ("scores", "tensor(float)", [_ANCHORS]),
    ],
}
"""Inputs and outputs: name, type, shape behind the number of pictures."""

_OPERATORS = """
Abs Add And ArgMax AveragePool BatchNormalization Cast Ceil Clip Concat Constant Conv
DepthToSpace DequantizeLinear Div Equal Erf Exp Expand Flatten Floor Gather GatherND Gelu Gemm
GlobalAveragePool GlobalMaxPool Greater HardSigmoid HardSwish Identity LSTM LayerNormalization
LeakyRelu Less Log LogSoftmax MatMul Max MaxPool Min Mul Neg Not OneHot Or Pad Pow
QuantizeLinear Range ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceSum
ReduceSumSquare Relu Reshape Resize Shape Sigmoid Sign Slice Softmax Softplus Split Sqrt Squeeze
Sub Tanh TopK Transpose Unsqueeze Where
"""
"""What graphs of bundles may be made of: all that `export` writes and what such networks commonly
have. Nothing in it loops, branches, draws numbers, or comes from another domain than ONNX's own."""


def open_session(
    path: Path, *, threads: int, device: Device = "cpu"
) -> onnxruntime.InferenceSession:
    """A session whose threads sleep while they wait.

    ONNX Runtime's threads spin by default: at ten looks a second that costs 58 CPU-ms a look
    against 12 without.

    Raises:
        EngineError: the device is not at hand.
        BundleError: the file is no network, keeps data outside its folder, or has operators that
            could run for ever.
    """
    _check_operators(path)
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


def _check_operators(path: Path) -> None:
    """Refuse a graph with others than `_OPERATORS`; what is no graph ONNX Runtime refuses."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, OSError):
        return
    allowed = frozenset(_OPERATORS.split())
    foreign = {
        f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        for node in model.graph.node
        if node.domain not in ("", "ai.onnx") or node.op_type not in allowed
    }
    foreign |= {f"function {function.name}" for function in model.functions}
    if any(onnx.external_data_helper.uses_external_data(one) for one in _constants(model)):
        raise BundleError(path, ["keeps data in another file"])
    if foreign:
        raise BundleError(
            path, [f"operators that no bundle may have: {', '.join(sorted(foreign))}"]
        )


def _constants(model: Any) -> Iterator[Any]:
    """The tensors in the graph's nodes."""
    for node in model.graph.node:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors


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
        (features,) = run(self.session, ("features",), {"images": images})
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
            BundleError: the network gives something else than it declares, or no finite numbers.
        """
        check_features(features, self.feature_size)
        logits, known_score = run(self.session, ("logits", "known_score"), {"features": features})
        check_outputs(logits, known_score, len(features), self.num_labels)
        return logits, known_score


@dataclass(frozen=True, slots=True, eq=False)
class OnnxPose:
    """pose.onnx and person.onnx, opened; see `actionstream.inference.pose.PoseNetworks`.

    Immutable, and safe for several threads at once.
    """

    landmarks: onnxruntime.InferenceSession
    people: onnxruntime.InferenceSession

    def find_people(self, images: Images) -> tuple[Features, Features]:
        """See `PoseNetworks.find_people`.

        Raises:
            FrameError: pictures of another dtype or shape.
        """
        check_images(images, IMAGE_SIDE, "the person network")
        people, scores = run(self.people, ("people", "scores"), {"images": images})
        return people, scores

    def find_landmarks(self, crops: Images) -> tuple[Features, Features, Features]:
        """See `PoseNetworks.find_landmarks`.

        Raises:
            FrameError: crops of another dtype or shape.
        """
        check_images(crops, CROP_SIDE, "the pose network")
        landmarks, world, score = run(
            self.landmarks, ("landmarks", "world", "score"), {"crops": crops}
        )
        return landmarks, world, score


def run(session: Any, outputs: tuple[str, ...], inputs: dict[str, Any]) -> tuple[Features, ...]:
    """These outputs, in this order."""
    results = session.run(list(outputs), inputs)
    return tuple(results)


def open_encoder(path: Path, *, threads: int | None = None, device: Device = "cpu") -> OnnxEncoder:
    """Open an encoder.onnx by itself (a feature store needs no head).

    Raises:
        BundleError: not a network from uint8 [N, S, S, 3] to float32 [N, D], any N.
    """
    session = open_session(path, threads=threads or default_threads(), device=device)
    wanted = "takes images uint8 [N, S, S, 3] and gives features float32 [N, D]"
    found = facts(session)
    match found:
        case (
            [("images", "tensor(uint8)", [str(), int(size), int(width), 3])],
            [("features", "tensor(float)", [_, int(feature_size)])],
        ) if size == width:
            return OnnxEncoder(session, size, feature_size)
    raise BundleError(path, [f"an encoder {wanted}, this one has {found}"])


def open_head(path: Path, *, device: Device = "cpu") -> OnnxHead:
    """Open a head.onnx. One thread: a read is far too small to be shared out.

    Raises:
        BundleError: not a network from float32 [B, 16, D] to [B, K] and [B], any B.
    """
    session = open_session(path, threads=1, device=device)
    wanted = f"takes features float32 [B, {WINDOW}, D] and gives logits [B, K], known_score [B]"
    found = facts(session)
    match found:
        case (
            [("features", "tensor(float)", [str(), int(window), int(feature_size)])],
            [
                ("logits", "tensor(float)", [_, int(num_labels)]),
                ("known_score", "tensor(float)", [_]),
            ],
        ) if window == WINDOW:
            return OnnxHead(session, feature_size, num_labels)
    raise BundleError(path, [f"a head {wanted}, this one has {found}"])


def facts(session: Any) -> tuple[list[Any], list[Any]]:
    """Name, type and shape of inputs and of outputs."""

    def listed(values: list[Any]) -> list[Any]:
        return [(value.name, value.type, list(value.shape)) for value in values]

    return listed(session.get_inputs()), listed(session.get_outputs())


def open_pose(bundle: Bundle, *, threads: int, device: Device) -> OnnxPose | None:
    """Open the two networks of a bundle's pose; None for a bundle without.

    Every engine runs them here: they are converted and not trained, so there is no PyTorch twin.

    Raises:
        BundleError: they are no networks, or their inputs and outputs are not what they must be.
    """
    if bundle.card.pose is None:
        return None
    opened, problems = [], []
    for name, wanted in _POSE.items():
        session = open_session(bundle.path / name, threads=threads, device=device)
        found = [
            (value, kind, shape[1:])
            for values in facts(session)
            for value, kind, shape in values
            if isinstance(shape[0], str)  # any number of pictures at once
        ]
        if found != wanted:
            problems.append(f"{name}: its inputs and outputs must be {wanted}, got {found}")
        opened.append(session)
    if problems:
        raise BundleError(bundle.path, problems)
    return OnnxPose(*opened)


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
    pose: OnnxPose | None = None
    name: Literal["onnx"] = "onnx"

    @classmethod
    def open(cls, bundle: Bundle, *, threads: int, device: Device) -> OnnxEngine:
        """Open the networks, and compare them with the card; see `engines.open_engine`."""
        encoder = open_encoder(bundle.encoder_path, threads=threads, device=device)
        head = open_head(bundle.head_path, device=device)
        problems = list(_disagreements(bundle.card, encoder, head))
        if problems:
            raise BundleError(bundle.path, problems)
        pose = open_pose(bundle, threads=threads, device=device)
        return cls(encoder, head, threads, device, pose)

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

"""Both engines: the same numbers, the same refusals, and several callers at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the extra 'test'")

import plain_bundle  # noqa: E402
import posing  # noqa: E402

from actionstream.bundle.folder import Bundle, open_bundle, resolve, shipped  # noqa: E402
from actionstream.engines import Engine, open_engine  # noqa: E402
from actionstream.engines.onnx import open_encoder, open_head  # noqa: E402
from actionstream.errors import (  # noqa: E402
    BundleError,
    EngineError,
    FrameError,
    MissingExtraError,
)
from actionstream.inference.pose import POSE_SIZE  # noqa: E402
from actionstream.training.assemble import with_float16_storage  # noqa: E402

SIZE = plain_bundle.SIZE


@dataclass(frozen=True)
class Case:
    """An engine, and what it must compute."""

    engine: Engine
    features: int
    encode: Callable[[Any], Any]
    read: Callable[[Any], tuple[Any, Any]]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Made without PyTorch: ONNX Runtime alone can run it."""
    return open_bundle(plain_bundle.plain_bundle(tmp_path_factory.mktemp("engines") / "bundle"))


@pytest.fixture(scope="module")
def torch_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    pytest.importorskip("torch", reason="needs the extra 'train'")
    import bundles

    return open_bundle(bundles.small_bundle(tmp_path_factory.mktemp("torch") / "bundle"))


@pytest.fixture(
    scope="module",
    params=["onnx, plain", *(pytest.param(n, marks=pytest.mark.torch) for n in ("onnx", "torch"))],
)
def case(request: pytest.FixtureRequest) -> Case:
    if request.param == "onnx, plain":
        engine = open_engine(request.getfixturevalue("bundle"), threads=2)
        return Case(engine, plain_bundle.FEATURES, plain_bundle.encode, plain_bundle.read)
    engine = open_engine(request.getfixturevalue("torch_bundle"), request.param, threads=2)
    import bundles
    import torch

    encoder, inference_head = bundles.networks()

    def encode(images: Any) -> Any:
        with torch.no_grad():
            return encoder(torch.from_numpy(images)).numpy()

    def read(features: Any) -> tuple[Any, Any]:
        with torch.no_grad():
            logits, known = inference_head(torch.from_numpy(features))
        return logits.numpy(), known.numpy()

    return Case(engine, 1280, encode, read)


@pytest.fixture
def engine(case: Case) -> Engine:
    return case.engine


def pictures(count: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    shape = (count, SIZE, SIZE, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def windows(case: Case, count: int, seed: int = 1) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).random((count, 16, case.features), dtype=np.float32)


def test_it_computes_what_the_networks_do(case: Case) -> None:
    images, features = pictures(3), windows(case, 2)
    expected, (logits, known) = case.encode(images), case.read(features)
    assert np.abs(expected).max() > 0.5
    assert 0.01 < known.min() < known.max() < 0.99
    np.testing.assert_allclose(case.engine.encode(images), expected, atol=1e-4)
    got_logits, got_known = case.engine.read(features)
    np.testing.assert_allclose(got_logits, logits, atol=1e-4)
    np.testing.assert_allclose(got_known, known, atol=1e-4)


@pytest.mark.torch
@pytest.mark.parametrize("name", sorted(shipped()))
def test_both_engines_read_what_ships_alike(name: str) -> None:
    """A shipped card must say how its head was built, or PyTorch builds another one."""
    pytest.importorskip("torch", reason="needs the extra 'train'")
    bundle = open_bundle(resolve(name))
    onnx_engine, torch_engine = (open_engine(bundle, one, threads=2) for one in ("onnx", "torch"))
    random, side = np.random.default_rng(0), bundle.card.geometry.input_size
    images = random.integers(0, 256, (16, side, side, 3), dtype=np.uint8)
    looks = onnx_engine.encode(images)
    poses = random.random((2, 16, POSE_SIZE), dtype=np.float32)
    poses[0] = 0  # nobody there
    features = np.concatenate([np.stack([looks, looks]), poses], axis=2)
    for got, expected in zip(torch_engine.read(features), onnx_engine.read(features), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_shapes_and_types(case: Case) -> None:
    engine = case.engine
    encoded = engine.encode(pictures(5))
    logits, known = engine.read(windows(case, 2))
    assert [(a.shape, a.dtype) for a in (encoded, logits, known)] == [
        ((5, case.features), np.float32),
        ((2, 3), np.float32),
        ((2,), np.float32),
    ]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_batch_is_as_many_single_calls(case: Case, count: int) -> None:
    engine, images, features = case.engine, pictures(count), windows(case, count)
    apart = [engine.encode(images[i : i + 1]) for i in range(count)]
    np.testing.assert_allclose(engine.encode(images), np.concatenate(apart), atol=1e-4)
    reads = [engine.read(features[i : i + 1]) for i in range(count)]
    logits, known = engine.read(features)
    np.testing.assert_allclose(logits, np.concatenate([read[0] for read in reads]), atol=1e-5)
    np.testing.assert_allclose(known, np.concatenate([read[1] for read in reads]), atol=1e-5)


def test_several_callers_at_once(engine: Engine) -> None:
    images = [pictures(1, seed=i) for i in range(8)]
    alone = [engine.encode(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(engine.encode, images * 3))
    for got, expected in zip(together, alone * 3, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_pictures_of_any_memory_layout(engine: Engine) -> None:
    images = pictures(4)
    np.testing.assert_allclose(
        engine.encode(images[::2, :, ::-1]),
        engine.encode(np.ascontiguousarray(images[::2, :, ::-1])),
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("images", "got"),
    [
        (np.zeros((1, 64, 64, 3), np.float32), r"float32 \[1, 64, 64, 3\]"),
        (np.zeros((64, 64, 3), np.uint8), r"uint8 \[64, 64, 3\]"),
        (np.zeros((1, 3, 64, 64), np.uint8), r"uint8 \[1, 3, 64, 64\]"),
        (np.zeros((0, 64, 64, 3), np.uint8), r"uint8 \[0, 64, 64, 3\]"),
        (np.zeros((), np.uint8), r"uint8 \[\]"),
        ([[1, 2]], "list"),
    ],
)
def test_wrong_pictures_are_refused(engine: Engine, images: Any, got: str) -> None:
    with pytest.raises(FrameError, match=rf"takes uint8 \[N, 64, 64, 3\].*got {got}"):
        engine.encode(images)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda d: np.zeros((1, 16, d)),
        lambda d: np.zeros((1, 15, d), np.float32),
        lambda d: np.zeros((0, 16, d), np.float32),
        lambda d: None,
    ],
)
def test_wrong_features_are_refused(case: Case, wrong: Callable[[int], Any]) -> None:
    with pytest.raises(FrameError, match=rf"takes float32 \[B, 16, {case.features}\]"):
        case.engine.read(wrong(case.features))


def test_it_says_what_it_is(bundle: Bundle) -> None:
    engine = open_engine(bundle, threads=2)
    assert (engine.name, engine.device) == ("onnx", "cpu")
    assert engine.describe().startswith("ONNX Runtime 1.")
    assert engine.describe().endswith("CPUExecutionProvider, 2 threads")


@pytest.mark.torch
@pytest.mark.torch
def test_torch_reads_weights_stored_as_float16_and_runs_pose_and_head_as_graphs(
    torch_bundle: Bundle, tmp_path: Path
) -> None:
    small = with_float16_storage(onnx.load(torch_bundle.encoder_path))
    onnx.save(small, tmp_path / "encoder.onnx")
    onnx.save(posing.head(torch_bundle.card.look_size + POSE_SIZE), tmp_path / "head.onnx")
    networks = {"encoder.onnx": tmp_path / "encoder.onnx", "head.onnx": tmp_path / "head.onnx"}
    named = {"encoder": {"name": torch_bundle.card.encoder.name}}
    made = open_bundle(posing.pose_bundle(tmp_path / "bundle", networks, **named))
    assert made.card.encoder.precision == "float16"
    one, other = (open_engine(made, name, threads=1) for name in ("onnx", "torch"))
    images, crops = pictures(2), posing.body(size=(256, 256))[None]
    np.testing.assert_allclose(one.encode(images), other.encode(images), atol=1e-4)
    looks = np.random.default_rng(0).random((2, 16, made.card.look_size), dtype=np.float32)
    assert one.pose is not None
    assert other.pose is not None
    found = one.pose.find_landmarks(crops)
    assert found[2] > 0.5
    for left, right in (
        (one.read(looks), other.read(looks)),
        (found, other.pose.find_landmarks(crops)),
        (one.pose.find_people(crops[:, :224, :224]), other.pose.find_people(crops[:, :224, :224])),
    ):
        for a, b in zip(left, right, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)


def test_wrong_pictures_for_the_pose_are_refused(tmp_path: Path) -> None:
    engine = posing.pose_model(tmp_path / "bundle").engine
    assert engine.pose is not None
    with pytest.raises(FrameError, match=r"the pose network takes uint8 \[N, 256, 256, 3\]"):
        engine.pose.find_landmarks(np.zeros((1, 224, 224, 3), np.uint8))
    with pytest.raises(FrameError, match=r"the person network takes uint8 \[N, 224, 224, 3\]"):
        engine.pose.find_people(np.zeros((1, 224, 224, 3), np.float32))


def test_torch_says_what_it_is(torch_bundle: Bundle) -> None:
    import torch

    engine = open_engine(torch_bundle, "torch")
    assert (engine.name, engine.device) == ("torch", "cpu")
    assert engine.describe().startswith(f"PyTorch {torch.__version__}, cpu")


def test_the_sessions_have_the_settings(bundle: Bundle) -> None:
    """`InferenceSession(sess_opt=...)` would ignore them without a word: ask the session."""
    encoder = open_encoder(bundle.encoder_path, threads=3)
    head = open_head(bundle.head_path)
    options = encoder.session.get_session_options()
    assert options.intra_op_num_threads == 3
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert head.session.get_session_options().intra_op_num_threads == 1
    assert (encoder.input_size, encoder.feature_size, head.feature_size) == (64, 48, 48)


def test_networks_in_each_others_place_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="an encoder takes images"):
        open_encoder(bundle.head_path)
    with pytest.raises(BundleError, match="a head takes features"):
        open_head(bundle.encoder_path)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nothing")
    with pytest.raises(BundleError, match=r"broken\.onnx: ONNX Runtime cannot open it"):
        open_encoder(broken)


def _turning_for_ever(features: Any) -> Any:
    """Nodes that give the features back after 2^62 turns of a loop."""
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info
    turn = helper.make_graph(
        [
            helper.make_node("Identity", ["on"], ["on_"]),
            helper.make_node("Identity", ["x"], ["x_"]),
        ],
        "turn",
        [
            value("i", TensorProto.INT64, []),
            value("on", TensorProto.BOOL, []),
            value("x", TensorProto.FLOAT, None),
        ],
        [value("on_", TensorProto.BOOL, []), value("x_", TensorProto.FLOAT, None)],
    )
    turns = helper.make_tensor("turns", TensorProto.INT64, [], [2**62])
    return [
        helper.make_node("Constant", [], ["turns"], value=turns),
        helper.make_node("Loop", ["turns", "", features], ["looped"], body=turn),
    ]


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        (_turning_for_ever("features"), "Loop"),
        ([onnx.helper.make_node("Gelu", ["features"], ["x"], domain="com.microsoft")], "Gelu"),
        ([onnx.helper.make_node("RandomNormalLike", ["features"], ["x"])], "RandomNormalLike"),
    ],
    ids=["a loop", "another domain", "random numbers"],
)
def test_operators_that_no_bundle_needs_are_refused(
    bundle: Bundle, tmp_path: Path, nodes: Any, says: str
) -> None:
    model = onnx.load(bundle.head_path)
    model.graph.node.extend(nodes)
    path = tmp_path / "head.onnx"
    onnx.save(model, path)
    with pytest.raises(
        BundleError, match=rf"head\.onnx: operators that no bundle may have: .*{says}"
    ):
        open_head(path)


def test_wrong_wishes(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="engine must be one of onnx, torch, got 'tpu'"):
        open_engine(bundle, "tpu")  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="device must be 'cpu' or 'cuda', got 'mps'"):
        open_engine(bundle, device="mps")
    with pytest.raises(EngineError, match="threads must be at least 1, got 0"):
        open_engine(bundle, threads=0)


def test_cuda_that_is_not_there(bundle: Bundle) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("there is one")
    with pytest.raises(EngineError, match="pip install onnxruntime-gpu"):
        open_engine(bundle, device="cuda")


@pytest.mark.torch
def test_cuda_that_pytorch_does_not_find(torch_bundle: Bundle) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(EngineError, match="PyTorch finds no CUDA device"):
        open_engine(torch_bundle, "torch", device="cuda")


@pytest.mark.torch
def test_cuda_gives_the_same_numbers(torch_bundle: Bundle) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    cpu, cuda = open_engine(torch_bundle), open_engine(torch_bundle, "torch", device="cuda")
    images = pictures(20)
    features = cpu.encode(images)
    np.testing.assert_allclose(cuda.encode(images), features, atol=1e-3)
    window = features[None, :16]
    for got, expected in zip(cuda.read(window), cpu.read(window), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_without_torch_the_error_names_the_extra(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in sys.modules if n.startswith("actionstream.networks")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'actionstream\[train\]'"):
        open_engine(bundle, "torch")


@pytest.mark.torch
def test_weights_of_another_head_are_one_error(torch_bundle: Bundle) -> None:
    options = {**torch_bundle.card.head.options, "hidden": 8}
    head = torch_bundle.card.head.model_copy(update={"options": options})
    card = torch_bundle.card.model_copy(update={"head": head})
    other = Bundle(torch_bundle.path, card, torch_bundle.fingerprint)
    with pytest.raises(BundleError, match=r"size mismatch for head\.lstm\.weight_hh_l0"):
        open_engine(other, "torch")


@pytest.mark.torch
def test_no_tensor_is_stored_twice(torch_bundle: Bundle) -> None:
    from safetensors import safe_open

    with safe_open(torch_bundle.weights_path, framework="np") as tensors:
        assert {name.partition(".")[0] for name in tensors.keys()} == {"head", "known"}  # noqa: SIM118


@pytest.mark.torch
def test_an_encoder_that_is_another_ones_is_one_error(torch_bundle: Bundle, bundle: Bundle) -> None:
    """The plain bundle's encoder.onnx holds nothing of an EfficientNet."""
    from actionstream.networks.encoders import build_encoder, fill_encoder

    encoder = build_encoder("efficientnet_lite0", pretrained=False, input_size=SIZE)
    problems = fill_encoder(encoder, bundle.encoder_path)
    assert "trunk.conv_stem.weight is missing" in problems
    assert fill_encoder(encoder, torch_bundle.encoder_path) == []

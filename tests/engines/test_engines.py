"""Both engines: the same numbers, the same refusals, and several callers at once."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the bundles of these tests need the extra 'train'")

import bundles  # noqa: E402

from actionstream.bundle.folder import Bundle, open_bundle  # noqa: E402
from actionstream.engines import Engine, open_engine  # noqa: E402
from actionstream.engines.onnx import open_encoder, open_head  # noqa: E402
from actionstream.errors import (  # noqa: E402
    BundleError,
    EngineError,
    FrameError,
    MissingExtraError,
)

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundle(bundles.small_bundle(tmp_path_factory.mktemp("engines") / "bundle"))


@pytest.fixture(scope="module", params=["onnx", "torch"])
def engine(bundle: Bundle, request: pytest.FixtureRequest) -> Engine:
    return open_engine(bundle, request.param, threads=2)


def windows(count: int, seed: int = 1) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).random((count, 16, 1280), dtype=np.float32)


def test_it_computes_what_the_networks_do(engine: Engine) -> None:
    encoder, served = bundles.networks()
    images, features = bundles.pictures(3), windows(2)
    with torch.no_grad():
        expected = encoder(torch.from_numpy(images)).numpy()
        logits, known = (out.numpy() for out in served(torch.from_numpy(features)))
    assert np.abs(expected).max() > 0.5
    assert 0.01 < known.min() < known.max() < 0.99
    np.testing.assert_allclose(engine.encode(images), expected, atol=1e-4)
    got_logits, got_known = engine.read(features)
    np.testing.assert_allclose(got_logits, logits, atol=1e-4)
    np.testing.assert_allclose(got_known, known, atol=1e-4)


def test_shapes_and_types(engine: Engine) -> None:
    encoded = engine.encode(bundles.pictures(5))
    logits, known = engine.read(windows(2))
    assert [(a.shape, a.dtype) for a in (encoded, logits, known)] == [
        ((5, 1280), np.float32),
        ((2, 3), np.float32),
        ((2,), np.float32),
    ]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_batch_is_as_many_single_calls(engine: Engine, count: int) -> None:
    images, features = bundles.pictures(count), windows(count)
    apart = [engine.encode(images[i : i + 1]) for i in range(count)]
    np.testing.assert_allclose(engine.encode(images), np.concatenate(apart), atol=1e-4)
    reads = [engine.read(features[i : i + 1]) for i in range(count)]
    logits, known = engine.read(features)
    np.testing.assert_allclose(logits, np.concatenate([read[0] for read in reads]), atol=1e-5)
    np.testing.assert_allclose(known, np.concatenate([read[1] for read in reads]), atol=1e-5)


def test_several_callers_at_once(engine: Engine) -> None:
    images = [bundles.pictures(1, seed=i) for i in range(8)]
    alone = [engine.encode(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(engine.encode, images * 3))
    for got, expected in zip(together, alone * 3, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_pictures_of_any_memory_layout(engine: Engine) -> None:
    images = bundles.pictures(4)
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
    "features",
    [
        np.zeros((1, 16, 1280)),
        np.zeros((1, 15, 1280), np.float32),
        np.zeros((0, 16, 1280), np.float32),
        None,
    ],
)
def test_wrong_features_are_refused(engine: Engine, features: Any) -> None:
    with pytest.raises(FrameError, match=r"takes float32 \[B, 16, 1280\]"):
        engine.read(features)


def test_they_say_what_they_are(bundle: Bundle) -> None:
    onnx_engine, torch_engine = open_engine(bundle, threads=2), open_engine(bundle, "torch")
    assert (onnx_engine.name, onnx_engine.device) == ("onnx", "cpu")
    assert onnx_engine.describe().startswith("ONNX Runtime 1.")
    assert onnx_engine.describe().endswith("CPUExecutionProvider, 2 threads")
    assert (torch_engine.name, torch_engine.device) == ("torch", "cpu")
    assert torch_engine.describe().startswith(f"PyTorch {torch.__version__}, cpu")


def test_the_sessions_have_the_settings(bundle: Bundle) -> None:
    """`InferenceSession(sess_opt=...)` would ignore them without a word: ask the session."""
    encoder = open_encoder(bundle.encoder_path, threads=3)
    head = open_head(bundle.head_path)
    options = encoder.session.get_session_options()
    assert options.intra_op_num_threads == 3
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert head.session.get_session_options().intra_op_num_threads == 1
    assert (encoder.input_size, encoder.feature_size, head.feature_size) == (64, 1280, 1280)


def test_networks_in_each_others_place_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="an encoder takes images"):
        open_encoder(bundle.head_path)
    with pytest.raises(EngineError, match="a head takes features"):
        open_head(bundle.encoder_path)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nothing")
    with pytest.raises(EngineError, match=r"broken\.onnx: ONNX Runtime cannot open it"):
        open_encoder(broken)


def test_wrong_wishes(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="engine must be one of onnx, torch, got 'tpu'"):
        open_engine(bundle, "tpu")  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="device must be 'cpu' or 'cuda', got 'mps'"):
        open_engine(bundle, device="mps")
    with pytest.raises(EngineError, match="threads must be at least 1, got 0"):
        open_engine(bundle, threads=0)


def test_cuda_that_is_not_there(bundle: Bundle) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(EngineError, match="pip install onnxruntime-gpu"):
            open_engine(bundle, device="cuda")
    if not torch.cuda.is_available():
        with pytest.raises(EngineError, match="PyTorch finds no CUDA device"):
            open_engine(bundle, "torch", device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_gives_the_same_numbers(bundle: Bundle) -> None:
    cpu, cuda = open_engine(bundle), open_engine(bundle, "torch", device="cuda")
    images = bundles.pictures(20)
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


def test_weights_of_another_head_are_one_error(bundle: Bundle) -> None:
    options = {**bundle.card.head.options, "hidden": 8}
    head = bundle.card.head.model_copy(update={"options": options})
    card = bundle.card.model_copy(update={"head": head})
    other = Bundle(bundle.path, card, bundle.fingerprint)
    with pytest.raises(BundleError, match=r"size mismatch for head\.lstm\.weight_hh_l0"):
        open_engine(other, "torch")

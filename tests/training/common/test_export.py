"""Export: PyTorch = ONNX for any batch, nothing of this machine in the files, and the refusal."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import bundles
import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from actionstream.engines import open_engine
from actionstream.engines.onnx import open_encoder, open_head
from actionstream.errors import BundleError, FrameError, TrainingError
from actionstream.networks.encoders import build_encoder
from actionstream.networks.heads import LSTMHead
from actionstream.networks.ood import build_inference_head
from actionstream.training.common import export as export_module
from actionstream.training.common.export import export_bundle
from actionstream.training.common.onnx_export import OnnxLSTM, export_encoder, export_head

pytestmark = pytest.mark.torch

HEADS: list[tuple[str, dict[str, Any], int]] = [
    ("lstm", {"hidden": 16, "differences": True, "known": "logistic"}, 1),
    ("lstm", {"hidden": 16, "layers": 2, "readout": "mean", "known": "energy"}, 2),
    ("lstm", {"hidden": 16, "project": 8, "normalise": "l2", "direct": False}, 1),
    ("lstm", {"hidden": 16, "evidence": True, "differences": True, "deviation": True}, 1),
    ("mean", {"differences": True, "deviation": True}, 0),
]


@pytest.mark.parametrize(("name", "options", "lstms"), HEADS)
def test_heads_agree_for_any_batch(
    name: str, options: dict[str, Any], lstms: int, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    inference_head = build_inference_head(name, 24, 5, options)
    if isinstance(inference_head.head, LSTMHead):
        inference_head.head.fit(inference_head.head.read_evidence(torch.rand(30, 16, 24)))
    if options.get("known") == "logistic":
        bundles.fill_ood(inference_head.known)
    inference_head.train()  # exported in evaluation mode whatever the mode was
    export_head(inference_head, tmp_path / "head.onnx")
    assert inference_head.training
    inference_head.eval()
    operators = Counter(node.op_type for node in onnx.load(tmp_path / "head.onnx").graph.node)
    assert operators["LSTM"] == lstms  # the operator, not its unrolled steps
    head = open_head(tmp_path / "head.onnx")
    for count in (1, 2, 5):
        windows = torch.randn(count, 16, 24)
        with torch.no_grad():
            logits, known = inference_head(windows)
        got_logits, got_known = head.read(windows.numpy())
        np.testing.assert_allclose(got_logits, logits.numpy(), atol=1e-5)
        np.testing.assert_allclose(got_known, known.numpy(), atol=1e-5)


def test_an_lstm_that_cannot_be_exported_is_refused() -> None:
    with pytest.raises(TrainingError, match="in one direction"):
        OnnxLSTM(nn.LSTM(4, 4, bidirectional=True, batch_first=True))


def test_encoders_agree_for_any_batch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = build_encoder("resnet18", pretrained=False, input_size=48)
    export_encoder(encoder, tmp_path / "encoder.onnx")
    opened = open_encoder(tmp_path / "encoder.onnx")
    for count in (1, 2, 5):
        images = bundles.pictures(count, 48, seed=count)
        with torch.no_grad():
            expected = encoder(torch.from_numpy(images)).numpy()
        np.testing.assert_allclose(opened.encode(images), expected, atol=1e-4)
    assert (opened.input_size, opened.feature_size) == (48, 512)


def test_files_are_the_same_each_time_and_tell_nothing_of_this_machine(tmp_path: Path) -> None:
    inference_head = build_inference_head("lstm", 24, 5, {"hidden": 4})
    export_head(inference_head, tmp_path / "a.onnx")
    export_head(inference_head, tmp_path / "b.onnx")
    content = (tmp_path / "a.onnx").read_bytes()
    assert content == (tmp_path / "b.onnx").read_bytes()
    for trace in (b".py", b"site-packages", str(Path.home()).encode() + b"/"):
        assert trace not in content


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.small_bundle(tmp_path_factory.mktemp("export") / "bundle")


def test_the_encoder_is_small_and_plain(folder: Path) -> None:
    """Batch norms are folded, padding is the convolution's, no data lie elsewhere."""
    assert (folder / "encoder.onnx").stat().st_size < 13_600_000
    model = onnx.load(folder / "encoder.onnx")
    operators = Counter(node.op_type for node in model.graph.node)
    assert operators["Conv"] == 49
    assert operators["BatchNormalization"] == operators["Pad"] == 0
    assert not model.graph.node[0].metadata_props


def test_weights_hold_the_head_and_no_tensor_of_the_encoder(folder: Path) -> None:
    _, inference_head = bundles.networks()
    weights = load_file(folder / "weights.safetensors")
    assert weights.keys() == inference_head.state_dict().keys()
    for key, value in inference_head.state_dict().items():
        assert torch.equal(weights[key], value), key


def test_a_bundle_gives_the_networks_that_made_it(folder: Path) -> None:
    from actionstream.bundle.folder import open_bundle

    bundle = open_bundle(folder)
    images = bundles.pictures(16, seed=4)
    readings = []
    for name in ("onnx", "torch"):
        engine = open_engine(bundle, name)  # type: ignore[arg-type]
        readings.append(engine.read(engine.encode(images)[None]))
    np.testing.assert_allclose(readings[0][0], readings[1][0], atol=1e-4)
    np.testing.assert_allclose(readings[0][1], readings[1][1], atol=1e-4)


def _export(to: Path, **changed: Any) -> None:
    encoder, inference_head = bundles.networks()
    arguments: dict[str, Any] = {
        "encoder": encoder,
        "inference_head": inference_head,
        "card_fields": bundles.card_fields(),
        "check_frames": bundles.pictures(3),
    }
    export_bundle(to, **{**arguments, **changed})


def test_a_difference_is_refused_and_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head.onnx of slightly other weights, as a bad translation would give."""
    _, inference_head = bundles.networks()

    def other_head(_: nn.Module, path: Path) -> None:
        wrong = build_inference_head("lstm", 1280, 3, inference_head.options)
        wrong.load_state_dict(inference_head.state_dict())
        with torch.no_grad():
            wrong.head.linear.bias[0] += 0.002
        export_head(wrong, path)

    monkeypatch.setattr(export_module, "export_encoder", lambda _, path: _copy_encoder(path))
    monkeypatch.setattr(export_module, "export_head", other_head)
    with pytest.raises(TrainingError, match=r"differ by 0\.000\d+ on 3 frames, 0\.0001 is allowed"):
        _export(tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_a_difference_of_the_ood_score_alone_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, inference_head = bundles.networks()

    def other_score(_: nn.Module, path: Path) -> None:
        wrong = build_inference_head("lstm", 1280, 3, inference_head.options)
        wrong.load_state_dict(inference_head.state_dict())
        wrong.known.bias += 0.01
        export_head(wrong, path)

    monkeypatch.setattr(export_module, "export_encoder", lambda _, path: _copy_encoder(path))
    monkeypatch.setattr(export_module, "export_head", other_score)
    with pytest.raises(TrainingError, match=r"differ by 0\.00\d+ on 3 frames, 0\.0001 is allowed"):
        _export(tmp_path / "new")


def _copy_encoder(path: Path) -> None:
    path.write_bytes((bundles._made() / "encoder.onnx").read_bytes())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": ["a", "b"]}, "2 labels for 3 logits"),
        ({"head": {"name": "mean", "options": {}}}, "contradict the networks: head"),
        ({"schema_version": 1}, "contradict the networks: schema_version"),
    ],
)
def test_fields_that_contradict_the_networks(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        _export(tmp_path / "new", card_fields=bundles.card_fields(**changed))


def test_bad_fields_are_found_before_the_long_work(tmp_path: Path) -> None:
    fields = bundles.card_fields(threshold=2.0, colour="red")
    with pytest.raises(BundleError) as caught:
        _export(tmp_path / "new", card_fields=fields)
    assert "colour: unknown key" in str(caught.value)
    assert "threshold: " in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_wrong_check_frames_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match=r"takes uint8 \[N, 64, 64, 3\]"):
        _export(tmp_path / "new", check_frames=bundles.pictures(2, 32))

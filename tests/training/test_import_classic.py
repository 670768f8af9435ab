"""The classic project's weights: whatever their names, the bundle gives the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bundles
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from actionstream.engines import open_engine
from actionstream.errors import TrainingError
from actionstream.training.import_classic import build_classic, import_classic, read_labels

pytestmark = pytest.mark.torch

LABELS = ("Archery", "Biking", "Diving")


class Classic(nn.Module):
    """The network as student projects write it: normalised [B, 16, 3, 112, 112] to [B, K]."""

    def __init__(self, *, project: int = 0) -> None:
        super().__init__()
        self.cnn = resnet18(weights=None)
        self.cnn.fc = nn.Linear(512, project) if project else nn.Identity()
        self.lstm = nn.LSTM(project or 512, 256, batch_first=True)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(256, len(LABELS))

    def forward(self, clips: Tensor) -> Tensor:
        count, looks = clips.shape[:2]
        features = self.cnn(clips.flatten(0, 1)).view(count, looks, -1)
        states, _ = self.lstm(features)
        logits: Tensor = self.fc(self.dropout(states[:, -1]))
        return logits


def _classic(project: int = 0) -> Classic:
    torch.manual_seed(5)
    return Classic(project=project).eval()


def _as_floats(images: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
    """ToTensor and Normalize of the classic project."""
    scaled = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    return (scaled - mean) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def _read(weights: Path, images: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
    encoder, inference_head = build_classic(weights)
    with torch.no_grad():
        logits, _ = inference_head(encoder(torch.from_numpy(images)).view(-1, 16, 512))
    return logits


def _sequential(state: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
    renamed = {}
    for key, value in state.items():
        part, _, tail = key.removeprefix("cnn.").partition(".")
        renamed[f"cnn.{names[part]}.{tail}" if key.startswith("cnn.") else key] = value
    return renamed


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    swaps = {"cnn.": "feature_extractor.", "lstm.": "rnn.", "fc.": "classifier.1."}

    def rename(key: str) -> str:
        for old, new in swaps.items():
            if key.startswith(old):
                return new + key.removeprefix(old)
        return key

    return {rename(key): value for key, value in state.items()}


VARIANTS: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "plain": lambda state: state,
    "sequential": _sequential,
    "other names": _renamed,
    "data parallel": lambda state: {f"module.{key}": value for key, value in state.items()},
    "checkpoint": lambda state: {"epoch": 3, "model_state_dict": state, "loss": 0.5},
    "bare cnn": lambda state: {key.removeprefix("cnn."): value for key, value in state.items()},
    "no counters": lambda state: {k: v for k, v in state.items() if "num_batches" not in k},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_spelling_gives_the_same_weights(variant: str, tmp_path: Path) -> None:
    state = dict(_classic().state_dict())
    path = tmp_path / "action_recognition_model.pth"
    torch.save(VARIANTS[variant](state), path)
    encoder, inference_head = build_classic(path)
    loaded = {f"cnn.{key}": value for key, value in encoder.trunk.state_dict().items()}
    loaded |= {f"lstm.{key}": value for key, value in inference_head.head.lstm.state_dict().items()}
    loaded |= {f"fc.{key}": value for key, value in inference_head.head.linear.state_dict().items()}
    assert len(loaded) == 126
    assert loaded.keys() == state.keys()
    for key, value in loaded.items():
        assert torch.equal(value, state[key]), key


def test_a_linear_layer_after_the_cnn_comes_along(tmp_path: Path) -> None:
    network = _classic(project=64)
    torch.save(network.state_dict(), tmp_path / "model.pth")
    images = bundles.pictures(16, 112)
    with torch.no_grad():
        expected = network(_as_floats(images)[None])
    torch.testing.assert_close(_read(tmp_path / "model.pth", images), expected, atol=1e-5, rtol=0)


def test_the_bundle_gives_the_classic_numbers(tmp_path: Path) -> None:
    network = _classic()
    path = tmp_path / "action_recognition_model.pth"
    torch.save(network.state_dict(), path)
    bundle = import_classic(path, LABELS, tmp_path / "bundle")
    images = bundles.pictures(32, 112, seed=7)
    engine = open_engine(bundle)
    logits, known = engine.read(engine.encode(images).reshape(2, 16, 512))
    with torch.no_grad():
        expected = network(_as_floats(images).view(2, 16, 3, 112, 112))
    np.testing.assert_allclose(logits, expected.numpy(), atol=1e-4)
    np.testing.assert_allclose(known, expected.softmax(dim=1).amax(dim=1).numpy(), atol=1e-4)
    card = bundle.card
    assert (card.labels, card.geometry.input_size, card.spacing_seconds) == (LABELS, 112, 0.4)
    assert any("0.4 s apart, chosen at the import" in limit for limit in card.limits)
    assert not card.training.comparable


def _drop(prefix: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda state: {k: v for k, v in state.items() if not k.startswith(prefix)}


WRONG: dict[str, tuple[Callable[[dict[str, Tensor]], Any], str]] = {
    "no lstm": (_drop("lstm."), "0 LSTMs in it"),
    "no cnn": (_drop("cnn."), "no ResNet18 in it"),
    "no linear": (_drop("fc."), "there must be one linear layer, got nothing"),
    "half a cnn": (_drop("cnn.layer3."), "not the classic network: Missing key"),
    "more layers": (
        lambda state: {**state, "attention.weight": torch.zeros(3)},
        r"one linear layer, got attention\.weight, fc\.bias",
    ),
    "both directions": (
        lambda state: {**state, "lstm.weight_ih_l0_reverse": torch.zeros(3)},
        "reads both directions",
    ),
    "reads other numbers": (
        lambda state: {**state, "lstm.weight_ih_l0": torch.zeros(1024, 300)},
        "LSTM reads 300 numbers a frame, its ResNet18 gives 512",
    ),
    "no tensors": (lambda state: {"a": 1, "b": "c"}, "no state_dict: a, b in it"),
    "nothing": (lambda state: {}, "no state_dict: nothing in it"),
    "whole module": (lambda state: Classic(), "more than plain tensors"),
    "a list": (lambda state: [1, 2], "this holds a list"),
}


@pytest.mark.parametrize("way", WRONG)
def test_other_files_are_one_clear_error(way: str, tmp_path: Path) -> None:
    change, message = WRONG[way]
    path = tmp_path / "model.pth"
    torch.save(change(dict(_classic().state_dict())), path)
    with pytest.raises(TrainingError, match=message) as caught:
        build_classic(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_labels_must_be_as_many_as_outputs(tmp_path: Path) -> None:
    torch.save(_classic().state_dict(), tmp_path / "model.pth")
    with pytest.raises(TrainingError, match="3 outputs, but 2 labels given"):
        import_classic(tmp_path / "model.pth", LABELS[:2], tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_label_files(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("Archery\n\n  Biking \n")
    assert read_labels(path) == ("Archery", "Biking")
    path.write_text("2 Biking\n10 Diving\n1 Archery\n")
    assert read_labels(path) == ("Archery", "Biking", "Diving")
    path.write_text("\n")
    with pytest.raises(TrainingError, match="no labels in it"):
        read_labels(path)
    with pytest.raises(TrainingError, match="no such file of labels"):
        read_labels(tmp_path / "absent.txt")

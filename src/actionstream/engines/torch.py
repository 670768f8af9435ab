"""PyTorch: the engine for CUDA, and the yardstick of the ONNX graphs. Needs the extra `train`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from actionstream.engines import Device, Parts
from actionstream.engines.checks import (
    Features,
    Images,
    Logits,
    Scores,
    check_features,
    check_images,
)
from actionstream.errors import BundleError, EngineError, MissingExtraError

if TYPE_CHECKING:
    from actionstream.networks.encoders import Encoder
    from actionstream.networks.known import ServedHead


def build_networks(bundle: Parts) -> tuple[Encoder, ServedHead]:
    """A bundle's two networks in PyTorch, on the CPU, in evaluation mode: also for more training.

    Raises:
        BundleError: card, encoder.onnx and weights.safetensors do not belong together.
        MissingExtraError: PyTorch is not installed.
    """
    try:
        from safetensors.torch import load_file

        from actionstream.networks.encoders import build_encoder
        from actionstream.networks.from_onnx import fill_encoder
        from actionstream.networks.known import build_served_head
    except ImportError:
        raise MissingExtraError("the torch engine", "train") from None
    card = bundle.card
    size = card.geometry.input_size
    encoder = build_encoder(card.encoder.name, pretrained=False, input_size=size)
    served = build_served_head(
        card.head.name, card.encoder.feature_size, len(card.labels), card.head.options
    )
    weights = load_file(bundle.weights_path)
    problems = fill_encoder(encoder, bundle.encoder_path)
    try:  # bundles of schema version 1 repeat the encoder's tensors
        served.load_state_dict({k: v for k, v in weights.items() if not k.startswith("encoder.")})
    except RuntimeError as error:  # torch lists every missing, unexpected and misshapen key
        problems += [line.strip() for line in str(error).splitlines()[1:]]
    if problems:
        raise BundleError(bundle.path, problems)
    return encoder, served


@dataclass(frozen=True, slots=True, eq=False)
class TorchEngine:
    """A bundle in PyTorch; see `actionstream.engines.Engine`."""

    encoder: Encoder
    served: ServedHead
    feature_size: int
    threads: int
    device: Device = "cpu"
    name: Literal["torch"] = "torch"

    @classmethod
    def open(cls, bundle: Parts, *, threads: int, device: Device) -> TorchEngine:
        """Build both networks; see `actionstream.engines.open_engine`.

        The number of threads, and on CUDA full float32 in convolutions, are set for the whole
        process: PyTorch has one setting for all its networks.
        """
        encoder, served = build_networks(bundle)
        import torch

        if device == "cuda" and not torch.cuda.is_available():
            raise EngineError(
                "device 'cuda' asked for, but PyTorch finds no CUDA device here "
                f"(torch {torch.__version__}); use device='cpu' or install a CUDA build of torch"
            )
        torch.set_num_threads(threads)
        for module in (encoder, served):
            module.to(device).requires_grad_(False)
        if device == "cuda":
            torch.backends.cudnn.allow_tf32 = False  # on by default; 10 bits are too few for 1e-4
            encoder.to(memory_format=torch.channels_last)
        return cls(encoder, served, bundle.card.encoder.feature_size, threads, device)

    def encode(self, images: Images) -> Features:
        """See `Engine.encode`."""
        import torch

        check_images(images, self.encoder.input_size)
        with torch.inference_mode():
            on_device = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
            features: Features = self.encoder(on_device).cpu().numpy()
        return features

    def read(self, features: Features) -> tuple[Logits, Scores]:
        """See `Engine.read`."""
        import torch

        check_features(features, self.feature_size)
        with torch.inference_mode():
            on_device = torch.from_numpy(np.ascontiguousarray(features)).to(self.device)
            logits, known_score = self.served(on_device)
            return logits.cpu().numpy(), known_score.cpu().numpy()

    def describe(self) -> str:
        """See `Engine.describe`."""
        import torch

        where = torch.cuda.get_device_name() if self.device == "cuda" else f"{self.threads} threads"
        return f"PyTorch {torch.__version__}, {self.device}, {where}"

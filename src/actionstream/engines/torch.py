"""PyTorch: the engine for CUDA, and the yardstick of the ONNX graphs. Needs the extra `train`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from actionstream.bundle.folder import Bundle
from actionstream.engines import (
    Device,
    Features,
    Images,
    Logits,
    Scores,
    check_features,
    check_images,
)
from actionstream.errors import BundleError, EngineError, MissingExtraError

if TYPE_CHECKING:
    from torch import Tensor

    from actionstream.engines.onnx import OnnxHead, OnnxPose
    from actionstream.networks.encoders import Encoder
    from actionstream.networks.ood import InferenceHead


def build_networks(bundle: Bundle) -> tuple[Encoder, InferenceHead | None]:
    """A bundle's encoder and head in PyTorch, on the CPU, in evaluation mode: also for more
    training. No head for a bundle without weights.safetensors, which has it as a graph only.

    Raises:
        BundleError: card, encoder.onnx and weights.safetensors do not belong together.
        MissingExtraError: PyTorch is not installed.
    """
    try:
        from safetensors.torch import load_file

        from actionstream.networks.encoders import build_encoder, fill_encoder
        from actionstream.networks.ood import build_inference_head
    except ImportError:
        raise MissingExtraError("the torch engine", "train") from None
    card = bundle.card
    size = card.geometry.input_size
    encoder = build_encoder(card.encoder.name, pretrained=False, input_size=size)
    problems, inference_head = fill_encoder(encoder, bundle.encoder_path), None
    if bundle.weights_path.name in card.files:
        inference_head = build_inference_head(
            card.head.name, card.look_size, len(card.labels), card.head.options
        )
        problems += _fill_head(inference_head, load_file(bundle.weights_path))
    if problems:
        raise BundleError(bundle.path, problems)
    return encoder, inference_head


def _fill_head(inference_head: InferenceHead, weights: dict[str, Tensor]) -> list[str]:
    """Put the numbers of weights.safetensors into the head; what does not fit."""
    try:  # bundles of schema version 1 repeat the encoder's tensors
        inference_head.load_state_dict(
            {k: v for k, v in weights.items() if not k.startswith("encoder.")}
        )
    except RuntimeError as error:  # torch lists every missing, unexpected and misshapen key
        return [line.strip() for line in str(error).splitlines()[1:]]
    return []


@dataclass(frozen=True, slots=True, eq=False)
class TorchEngine:
    """A bundle in PyTorch; see `actionstream.engines.Engine`."""

    encoder: Encoder
    head: InferenceHead | OnnxHead
    look_size: int
    threads: int
    device: Device = "cpu"
    pose: OnnxPose | None = None
    name: Literal["torch"] = "torch"

    @classmethod
    def open(cls, bundle: Bundle, *, threads: int, device: Device) -> TorchEngine:
        """Build the networks; see `actionstream.engines.open_engine`.

        Those of the pose, and a head without weights.safetensors, run in ONNX Runtime on the CPU.

        The number of threads, and on CUDA full float32 in convolutions, are set for the whole
        process: PyTorch has one setting for all its networks.
        """
        encoder, inference_head = build_networks(bundle)
        import torch

        from actionstream.engines.onnx import open_head, open_pose

        if device == "cuda" and not torch.cuda.is_available():
            raise EngineError(
                "device 'cuda' asked for, but PyTorch finds no CUDA device here "
                f"(torch {torch.__version__}); use device='cpu' or install a CUDA build of torch"
            )
        torch.set_num_threads(threads)
        for module in filter(None, (encoder, inference_head)):
            module.to(device).requires_grad_(False)
        if device == "cuda":
            torch.backends.cudnn.allow_tf32 = False  # on by default; 10 bits are too few for 1e-4
            encoder.to(memory_format=torch.channels_last)
        head = inference_head or open_head(bundle.head_path)
        pose = open_pose(bundle, threads=threads, device="cpu")
        return cls(encoder, head, bundle.card.look_size, threads, device, pose)

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

        check_features(features, self.look_size)
        if not isinstance(self.head, torch.nn.Module):
            return self.head.read(features)
        with torch.inference_mode():
            on_device = torch.from_numpy(np.ascontiguousarray(features)).to(self.device)
            logits, known_score = self.head(on_device)
            return logits.cpu().numpy(), known_score.cpu().numpy()

    def describe(self) -> str:
        """See `Engine.describe`."""
        import torch

        where = torch.cuda.get_device_name() if self.device == "cuda" else f"{self.threads} threads"
        return f"PyTorch {torch.__version__}, {self.device}, {where}"

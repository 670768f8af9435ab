"""The encoder.onnx that fills a feature store: exported once for all runs with these weights."""

from __future__ import annotations

import hashlib
import os
from importlib import metadata
from pathlib import Path

import actionstream
from actionstream.networks.encoders import Encoder
from actionstream.training.onnx_export import OPSET, export_encoder


def encoder_file(encoder: Encoder, root: Path) -> Path:
    """The encoder as `root/encoders/NAME-SIZE-HASH.onnx`; made unless it is there.

    The hash is of the weights and of all that decides how they are exported, for the file's own
    hash is part of a store's key.
    """
    name = f"{encoder.spec.name}-{encoder.input_size}-{_digest(encoder)}.onnx"
    path = root / "encoders" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{os.getpid()}.{name}")
        try:
            export_encoder(encoder, temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    return path


def _digest(encoder: Encoder) -> str:
    exporters = [metadata.version(one) for one in ("torch", "onnx", "onnxscript")]
    digest = hashlib.sha256(" ".join([actionstream.__version__, str(OPSET), *exporters]).encode())
    for key, value in encoder.state_dict().items():
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]

"""ONNX Runtime: the default engine, and the only file that imports onnxruntime."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from actionstream.engines.checks import Features, Images, check_images
from actionstream.errors import EngineError

if TYPE_CHECKING:
    import onnxruntime

Device = Literal["cpu", "cuda"]

MOST_THREADS = 4
"""Beyond this a small CNN gains little, and other streams want the cores."""


def default_threads() -> int:
    """Cores that this process may use, at most `MOST_THREADS`."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(usable or 1, MOST_THREADS)


def open_session(
    path: Path, *, threads: int, device: Device = "cpu"
) -> onnxruntime.InferenceSession:
    """A session whose threads sleep while they wait.

    ONNX Runtime's threads spin by default: at ten looks a second that costs 58 CPU-ms a look
    against 12 without.

    Raises:
        EngineError: the device is not at hand, or the file is no network.
    """
    import onnxruntime

    providers = _providers(device)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(  # `sess_opt=` would be ignored without a word
            str(path), sess_options=options, providers=providers
        )
    except Exception as error:  # noqa: BLE001  onnxruntime's errors have no common base
        raise EngineError(f"{path}: ONNX Runtime cannot open it ({error})") from None


def _providers(device: Device) -> list[str]:
    import onnxruntime

    if device == "cpu":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise EngineError(
            "device 'cuda' needs ONNX Runtime's GPU build, which is not installed: "
            "pip uninstall onnxruntime; pip install onnxruntime-gpu; "
            "or use engine='torch', device='cuda'"
        )
    return ["CUDAExecutionProvider", "CPUExecutionProvider"]


@dataclass(frozen=True, slots=True, eq=False)
class OnnxEncoder:
    """encoder.onnx, opened. Immutable, and safe for several threads at once.

    input_size: side S of the pictures.   feature_size: D of the features.
    """

    session: onnxruntime.InferenceSession
    input_size: int
    feature_size: int

    def encode(self, images: Images) -> Features:
        """Pictures RGB uint8 [N, S, S, 3], N at least 1, to features float32 [N, D].

        Raises:
            FrameError: pictures of another dtype or shape.
        """
        check_images(images, self.input_size)
        output: Any = self.session.run(["features"], {"images": images})[0]
        features: NDArray[np.float32] = output
        return features


def open_encoder(path: Path, *, threads: int | None = None, device: Device = "cpu") -> OnnxEncoder:
    """Open an encoder.onnx by itself (a feature store needs no head).

    Raises:
        EngineError: not a network from uint8 [N, S, S, 3] to float32 [N, D].
    """
    session = open_session(path, threads=threads or default_threads(), device=device)
    images, features = session.get_inputs()[0], session.get_outputs()[0]
    fits = (
        (images.name, images.type, features.name, features.type)
        == ("images", "tensor(uint8)", "features", "tensor(float)")
        and len(images.shape) == 4
        and images.shape[1] == images.shape[2]
        and images.shape[3] == 3
        and len(features.shape) == 2
    )
    if not fits:
        raise EngineError(
            f"{path}: an encoder takes 'images' uint8 [N, S, S, 3] and gives 'features' float32 "
            f"[N, D], this one takes {images.name!r} {images.type} {images.shape} and gives "
            f"{features.name!r} {features.type} {features.shape}"
        )
    return OnnxEncoder(session, int(images.shape[1]), int(features.shape[1]))

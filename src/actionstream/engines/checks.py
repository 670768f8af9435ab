"""What engines share: refusing arrays of the wrong dtype or shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from actionstream.errors import BundleError, FrameError
from actionstream.inference.sampling import WINDOW

Images = NDArray[np.uint8]
"""RGB uint8 [N, S, S, 3]."""
Features = NDArray[np.float32]
"""float32 [N, D], or [B, 16, D] for the head."""
Logits = NDArray[np.float32]
"""float32 [B, K]."""
Scores = NDArray[np.float32]
"""known_score, float32 [B], 0..1."""


def check_images(images: object, input_size: int, who: str = "the encoder") -> None:
    """Raise FrameError unless `images` is uint8 [N, S, S, 3] with N at least 1."""
    wanted = f"uint8 [N, {input_size}, {input_size}, 3] with N at least 1"
    _check(images, who, wanted, np.dtype(np.uint8), (input_size, input_size, 3))


def check_features(features: object, feature_size: int) -> None:
    """Raise FrameError unless `features` is float32 [B, 16, D] with B at least 1."""
    wanted = f"float32 [B, {WINDOW}, {feature_size}] with B at least 1"
    _check(features, "the head", wanted, np.dtype(np.float32), (WINDOW, feature_size))


def check_outputs(logits: Logits, known_score: Scores, batch: int, num_labels: int) -> None:
    """Raise BundleError unless the head gave finite logits [B, K] and known_score [B].

    A graph may give another shape than it declares, and numbers that are none.
    """
    if logits.shape != (batch, num_labels) or known_score.shape != (batch,):
        found = f"{list(logits.shape)} and {list(known_score.shape)}"
        raise BundleError("head.onnx", [f"gives {found}, not [{batch}, {num_labels}], [{batch}]"])
    if not (np.isfinite(logits).all() and np.isfinite(known_score).all()):
        raise BundleError("head.onnx", ["gives numbers that are not finite"])


def _check(
    array: object, who: str, wanted: str, dtype: np.dtype[np.generic], tail: tuple[int, ...]
) -> None:
    if not isinstance(array, np.ndarray):
        raise FrameError(f"{who} takes {wanted}, got {type(array).__name__}")
    if array.dtype != dtype or array.shape[1:] != tail or len(array) < 1:
        raise FrameError(f"{who} takes {wanted}, got {array.dtype} {list(array.shape)}")

"""A picture as a file that loses nothing."""

from __future__ import annotations

import cv2
import numpy as np

from actionstream.frames import Pixels


def encode_png(rgb: Pixels) -> bytes:
    """RGB uint8 [H, W, 3] as the bytes of a PNG."""
    written, data = cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]))  # it takes BGR
    if not written:
        raise ValueError(f"a picture of shape {rgb.shape} cannot be written as PNG")
    return data.tobytes()

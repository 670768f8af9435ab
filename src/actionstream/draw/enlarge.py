"""Room for words on pictures that are too small for them."""

from __future__ import annotations

from actionstream.results import Pixels

ROOMY = (120, 90)
"""Frames at least so wide and so high carry a whole reading; smaller ones are enlarged."""

SHORT_SIDE = 240
"""Pixels that the short side of an enlarged frame has at least."""

LONG_SIDE = 3840
"""Pixels that its long side has at most, whatever that leaves for the short one."""


def enlargement(width: int, height: int) -> int:
    """The whole number by which frames of this size are enlarged to be written on; mostly 1.

    Frames narrower than 120 or lower than 90 pixels come to 240 on the short side or a little
    more. An extreme strip stays smaller, so that its long side is not over 3840.
    """
    if width >= ROOMY[0] and height >= ROOMY[1]:
        return 1
    wanted = -(-SHORT_SIDE // min(width, height))
    return max(1, min(wanted, LONG_SIDE // max(width, height)))


def enlarge(pixels: Pixels) -> Pixels:
    """RGB uint8 [H, W, 3] enlarged by its `enlargement`: each pixel becomes a square of its colour.

    No kernel: the original can be had back. Mostly it is the same array.
    """
    factor = enlargement(pixels.shape[1], pixels.shape[0])
    return pixels if factor == 1 else pixels.repeat(factor, axis=0).repeat(factor, axis=1)

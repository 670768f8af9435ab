"""Views: the augmented ways in which a training clip is encoded and stored.

View 0 is what serving sees. Every other view moves the window, mirrors it, changes colours,
plays the clip faster or slower and starts the ticks at another phase. A view is drawn from the
seed, the clip's stem and its number alone, so a store can be filled in any order, and again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from actionstream.inference.preprocess import CENTRE, Window
from actionstream.results import Pixels

RECIPE_VERSION = 1
"""Raised whenever `draw_view` or `paint` change: stored features of other views are stale."""

LEAST_SCALE = 0.65
SPEEDS = (0.8, 1.25)
GAIN, CONTRAST, SATURATION = 0.25, 0.25, 0.35

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class View:
    """One way to see a clip.

    window:               where the square window stands.
    speed:                times are divided by it: above 1 the clip runs faster.
    phase:                start of the ticks, as a fraction of the spacing.
    gain, contrast, saturation: factors; 1 leaves a picture as it is.
    """

    window: Window = CENTRE
    speed: float = 1.0
    phase: float = 0.0
    gain: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0

    @property
    def keeps_colours(self) -> bool:
        return (self.gain, self.contrast, self.saturation) == (1.0, 1.0, 1.0)


SERVED = View()


def draw_view(stem: str, number: int, *, seed: int = 0) -> View:
    """View `number` of the clip with this stem; 0 is the served view.

    Odd numbers are mirrored, so that every second view is.
    """
    if number == 0:
        return SERVED
    digest = hashlib.sha256(f"{seed}/{stem}/{number}".encode()).digest()
    random = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    shift_x, shift_y = random.uniform(-1.0, 1.0, size=2)
    window = Window(
        scale=float(random.uniform(LEAST_SCALE, 1.0)),
        shift=(float(shift_x), float(shift_y)),
        flip=number % 2 == 1,
    )
    low, high = np.log(SPEEDS)
    return View(
        window,
        speed=float(np.exp(random.uniform(low, high))),
        phase=float(random.uniform(0.0, 1.0)),
        gain=float(random.uniform(1 - GAIN, 1 + GAIN)),
        contrast=float(random.uniform(1 - CONTRAST, 1 + CONTRAST)),
        saturation=float(random.uniform(1 - SATURATION, 1 + SATURATION)),
    )


def paint(image: Pixels, view: View) -> Pixels:
    """The picture [H, W, 3] with the view's colours; the same array where they are unchanged."""
    if view.keeps_colours:
        return image
    pixels = image.astype(np.float32)
    grey = (pixels @ _GREY)[..., None]
    middle = np.float32(grey.mean())
    saturated = grey + (pixels - grey) * np.float32(view.saturation)
    painted = (middle + (saturated - middle) * np.float32(view.contrast)) * np.float32(view.gain)
    return np.asarray(np.clip(painted + 0.5, 0, 255).astype(np.uint8))

"""Views of clips, and the looks of a clip in some views, decoded once for all of them.

The plain view is what inference sees. Every other view moves the window, mirrors it, jitters
colors, plays the clip faster or slower and starts the ticks at another phase. A view is drawn from
the seed, the clip's stem and its number alone, so views can be drawn in any order, and again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actionstream.errors import NoFramesError
from actionstream.inference.preprocess import CENTRE, Geometry, Window, preprocess
from actionstream.inference.sampling import Clock, SamplingRule, fill, step
from actionstream.results import Pixels
from actionstream.video import VideoReader

VIEWS_VERSION = 1
"""Raised when `draw_view` or `jitter_colors` change: stored features of other views are stale."""

LEAST_SCALE = 0.65
SPEEDS = (0.8, 1.25)
GAIN, CONTRAST, SATURATION = 0.25, 0.25, 0.35

MOST_LOOKS = 400
"""Longer clips are read up to here (72 s at 0.18 s): training needs no more of one clip."""

CHECK_CLIPS, CHECK_LOOKS = 4, 8
"""Clips, and looks of each, that `frames_to_check` gives."""

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class View:
    """One way to see a clip.

    name:                 tells the views of a clip apart; part of the names of stored files.
    window:               where the square window stands, and whether it is mirrored.
    speed:                times are divided by it: above 1 the clip runs faster.
    phase:                start of the ticks, as a fraction of the spacing.
    gain, contrast, saturation: factors; 1 leaves a picture as it is.
    """

    name: str = "v0"
    window: Window = CENTRE
    speed: float = 1.0
    phase: float = 0.0
    gain: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0

    @property
    def keeps_colors(self) -> bool:
        return (self.gain, self.contrast, self.saturation) == (1.0, 1.0, 1.0)


PLAIN = View()


def draw_view(stem: str, number: int, *, seed: int = 0) -> View:
    """View `number` of the clip with this stem; 0 is the plain view.

    Odd numbers are mirrored, so that every second view is.
    """
    if number == 0:
        return PLAIN
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
        f"v{number}",
        window,
        speed=float(np.exp(random.uniform(low, high))),
        phase=float(random.uniform(0.0, 1.0)),
        gain=float(random.uniform(1 - GAIN, 1 + GAIN)),
        contrast=float(random.uniform(1 - CONTRAST, 1 + CONTRAST)),
        saturation=float(random.uniform(1 - SATURATION, 1 + SATURATION)),
    )


def jitter_colors(image: Pixels, view: View) -> Pixels:
    """The picture [H, W, 3] with the view's colors; the same array where they are unchanged."""
    if view.keeps_colors:
        return image
    pixels = image.astype(np.float32)
    grey = (pixels @ _GREY)[..., None]
    middle = np.float32(grey.mean())
    saturated = grey + (pixels - grey) * np.float32(view.saturation)
    jittered = (middle + (saturated - middle) * np.float32(view.contrast)) * np.float32(view.gain)
    return np.asarray(np.clip(jittered + 0.5, 0, 255).astype(np.uint8))


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A picture as the encoder takes it, uint8 [S, S, 3].

    view:   which of the views asked for it belongs to.
    filled: how many ticks it fills.
    """

    view: int
    image: Pixels
    filled: int


def read_looks(
    path: Path, views: Sequence[View], geometry: Geometry, rule: SamplingRule
) -> Iterator[Look]:
    """Every look of a clip in these views, as a stream would take them; the clip is decoded once.

    A tiny clip may be over before a view's first tick: the ticks of that view then start with the
    clip.

    Raises:
        VideoError: the clip cannot be read, or no frame of it is looked at.
    """
    clocks = [_ViewClock(view, rule) for view in views]
    yield from _read(path, clocks, geometry)
    late = [number for number, clock in enumerate(clocks) if not clock.looks]
    if not late:
        return
    again = [_ViewClock(replace(views[number], phase=0.0), rule) for number in late]
    for look in _read(path, again, geometry):
        yield replace(look, view=late[look.view])
    if not all(clock.looks for clock in again):
        raise NoFramesError(path, "no frame was looked at")


def _read(path: Path, clocks: Sequence[_ViewClock], geometry: Geometry) -> Iterator[Look]:
    with VideoReader(path, threads=1) as reader:
        for frame in reader:
            filled = [clock.tell(frame.time_seconds) for clock in clocks]
            if not any(filled):
                if all(clock.looks >= MOST_LOOKS for clock in clocks):
                    return
                continue
            pixels = frame.to_rgb()
            for number, count in enumerate(filled):
                if count:
                    view = clocks[number].view
                    image = preprocess(pixels, geometry, view.window)
                    yield Look(number, jitter_colors(image, view), count)


class _ViewClock:
    """The sampling rule at a view's own speed and phase, told about every frame in turn."""

    def __init__(self, view: View, rule: SamplingRule) -> None:
        self.view, self.looks = view, 0
        self._rule, self._clock = rule, Clock()

    def tell(self, time_seconds: float) -> int:
        """How many ticks the frame fills; 0 if it is not looked at."""
        seconds = time_seconds / self.view.speed
        if self.looks >= MOST_LOOKS or seconds < self.view.phase * self._rule.spacing_seconds:
            return 0
        self._clock, moment = step(self._clock, seconds, self._rule)
        if moment not in ("due", "reset"):
            return 0
        self._clock, filled = fill(self._clock, seconds, self._rule)
        self.looks += 1
        return filled


def frames_to_check(
    clips: Sequence[Path], geometry: Geometry, rule: SamplingRule
) -> NDArray[np.uint8]:
    """The first looks of a few clips, uint8 [N, S, S, 3]: what ONNX and PyTorch are compared on."""
    few = clips[:: max(len(clips) // CHECK_CLIPS, 1)][:CHECK_CLIPS]
    looks = (islice(read_looks(path, [PLAIN], geometry, rule), CHECK_LOOKS) for path in few)
    return np.stack([look.image for look in chain.from_iterable(looks)])

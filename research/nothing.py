"""Made pictures of nothing: what a camera shows when nobody does anything.

Blank screens, noise, test patterns, gradients, covered lenses, stills, slow pans and zooms over
stills. The kinds of the two sides differ, so that what was learned from one can be tried on the
other. Everything is drawn from the seed; a still is a picture that the caller hands in.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Random = np.random.Generator
Side = Literal["train", "test"]
Draw = Callable[["Canvas", float], NDArray[np.floating] | Pixels]
"""The picture [H, W, 3], 0..255, of a moment in seconds."""

SIZES: tuple[tuple[int, int], ...] = ((320, 240), (640, 360), (240, 320), (480, 480), (854, 480))
"""Width and height in pixels, dealt to the kinds in turn."""


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """What a kind draws on. still: RGB uint8 [H, W, 3] of this size, or None where none is used."""

    width: int
    height: int
    random: Random
    still: Pixels | None = None

    def plain(self, *colour: float) -> NDArray[np.float32]:
        """One colour all over, float32 [H, W, 3]."""
        return np.broadcast_to(np.float32(colour), (self.height, self.width, 3)).copy()

    def grid(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """x and y of every pixel in 0..1, float32 [H, W] each."""
        y, x = np.mgrid[0 : self.height, 0 : self.width].astype(np.float32)
        return x / max(self.width - 1, 1), y / max(self.height - 1, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """One made clip. `frames(count, rate)` yields (RGB uint8 [H, W, 3], seconds)."""

    name: str
    kind: str
    width: int
    height: int
    seed: int
    draw: Draw
    still: Pixels | None

    def frames(self, count: int, rate: float) -> Iterator[tuple[Pixels, float]]:
        random = np.random.default_rng(self.seed)
        canvas = Canvas(self.width, self.height, random, self.still)
        for index in range(count):
            picture = self.draw(canvas, index / rate)
            yield np.clip(np.asarray(picture) + 0.5, 0, 255).astype(np.uint8), index / rate


def made_nothing(
    side: Side, stills: Sequence[Pixels], *, sizes: int = 2, seed: int = 0
) -> Iterator[Made]:
    """Every kind of the side in `sizes` sizes; kinds of stills once for each still.

    Args:
        stills: RGB uint8 [H, W, 3] pictures, of any sizes.
    """
    for number, (kind, draw) in enumerate(KINDS[side].items()):
        of_still = kind.startswith("still")
        for copy in range(len(stills) if of_still else sizes):
            width, height = SIZES[(number + 2 * copy) % len(SIZES)]
            name = f"{kind}-{copy}-{width}x{height}"
            still = None
            if of_still:
                still = stills[copy]
                height, width = still.shape[:2]
            own = zlib.crc32(f"{seed}/{name}".encode())
            yield Made(name, kind, width, height, own, draw, still)


def _constant(*colour: float) -> Draw:
    return lambda canvas, _: canvas.plain(*colour)


def _sensor(base: Draw, deviation: float) -> Draw:
    """`base` seen by a sensor: fresh noise in every frame."""

    def draw(canvas: Canvas, seconds: float) -> NDArray[np.floating]:
        picture = np.asarray(base(canvas, seconds), dtype=np.float32)
        return picture + canvas.random.standard_normal(picture.shape, dtype=np.float32) * deviation

    return draw


def _snow(grey: bool, deviation: float, cell: int = 1) -> Draw:
    """Noise, new in every frame; `cell` pixels wide."""

    def draw(canvas: Canvas, _: float) -> NDArray[np.floating]:
        size = (-(-canvas.height // cell), -(-canvas.width // cell), 1 if grey else 3)
        noise = 127 + canvas.random.standard_normal(size, dtype=np.float32) * deviation
        noise = np.broadcast_to(noise, (*size[:2], 3)).repeat(cell, axis=0).repeat(cell, axis=1)
        return noise[: canvas.height, : canvas.width]

    return draw


def _frozen(draw: Draw, seed: int = 3) -> Draw:
    """The first picture of `draw` for ever."""

    def fixed(canvas: Canvas, _: float) -> NDArray[np.floating] | Pixels:
        own = Canvas(canvas.width, canvas.height, np.random.default_rng(seed), canvas.still)
        return draw(own, 0.0)

    return fixed


_EBU = ((235, 235, 235), (235, 235, 16), (16, 235, 235), (16, 235, 16))
_BARS = (*_EBU, (235, 16, 235), (235, 16, 16), (16, 16, 235), (16, 16, 16))


def _bars(upright: bool, count: int = 8) -> Draw:
    def draw(canvas: Canvas, _: float) -> NDArray[np.floating]:
        x, y = canvas.grid()
        place = np.minimum((x if upright else y) * count, count - 1).astype(int)
        return np.float32(_BARS[:count])[place]

    return draw


def _smpte(canvas: Canvas, _: float) -> NDArray[np.floating]:
    """Bars above, a row of inverse bars, and a grey ramp below."""
    x, y = canvas.grid()
    bars = np.float32(_BARS)[np.minimum(x * 7, 6).astype(int)]
    lower = np.float32(_BARS[::-1])[np.minimum(x * 7, 6).astype(int)]
    ramp = np.repeat(x[..., None] * 255, 3, axis=2)
    return np.where(y[..., None] < 0.67, bars, np.where(y[..., None] < 0.78, lower, ramp))


def _gradient(angle: float, first: Sequence[float], last: Sequence[float]) -> Draw:
    def draw(canvas: Canvas, _: float) -> NDArray[np.floating]:
        x, y = canvas.grid()
        share = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle) + 0.5
        share = np.clip(share, 0, 1)[..., None]
        return np.float32(first) * (1 - share) + np.float32(last) * share

    return draw


def _radial(first: Sequence[float], last: Sequence[float]) -> Draw:
    def draw(canvas: Canvas, _: float) -> NDArray[np.floating]:
        x, y = canvas.grid()
        share = np.clip(np.hypot(x - 0.5, y - 0.5) * 1.6, 0, 1)[..., None]
        return np.float32(first) * (1 - share) + np.float32(last) * share

    return draw


def _waves(periods: float, angle: float, speed: float = 0.0, square: bool = False) -> Draw:
    def draw(canvas: Canvas, seconds: float) -> NDArray[np.floating]:
        x, y = canvas.grid()
        wave = np.sin(
            2 * np.pi * (periods * (x * np.cos(angle) + y * np.sin(angle)) - speed * seconds)
        )
        wave = np.sign(wave) if square else wave
        return np.repeat(127 + 120 * wave[..., None], 3, axis=2)

    return draw


def _checkers(across: int) -> Draw:
    def draw(canvas: Canvas, _: float) -> NDArray[np.floating]:
        x, y = canvas.grid()
        cells = (x * across).astype(int) + (y * across * canvas.height / canvas.width).astype(int)
        return np.repeat((cells % 2 * 255.0)[..., None], 3, axis=2)

    return draw


def _rings(canvas: Canvas, _: float) -> NDArray[np.floating]:
    x, y = canvas.grid()
    wave = np.sin(60 * np.hypot(x - 0.5, (y - 0.5) * canvas.height / canvas.width))
    return np.repeat(127 + 120 * wave[..., None], 3, axis=2)


def _test_card(canvas: Canvas, _: float) -> NDArray[np.floating]:
    """A grid of lines, a circle, small bars."""
    card = np.full((canvas.height, canvas.width, 3), 90, np.uint8)
    step = max(canvas.height // 12, 4)
    card[::step], card[:, ::step] = 230, 230
    middle = (canvas.width // 2, canvas.height // 2)
    cv2.circle(card, middle, int(canvas.height * 0.42), (240, 240, 240), 3)
    left, top = middle[0] - 3 * step, middle[1] - step
    for number, colour in enumerate(_BARS[:6]):
        card[top : top + 2 * step, left + number * step : left + (number + 1) * step] = colour
    return card


def _clouds(canvas: Canvas, seconds: float) -> NDArray[np.floating]:
    """Colours out of focus, drifting slowly."""
    x, y = canvas.grid()
    waves = [
        np.sin(2 * np.pi * (x * (1 + c) + 0.05 * seconds) + c * 2)
        * np.cos(2 * np.pi * (y * (2 - 0.5 * c) - 0.04 * seconds))
        for c in range(3)
    ]
    return 127 + 90 * np.stack(waves, axis=2).astype(np.float32)


def _blobs(canvas: Canvas, _: float) -> NDArray[np.floating]:
    """Noise of low frequency in colour: a lens far out of focus."""
    small = np.random.default_rng(5).uniform(20, 235, (5, 7, 3)).astype(np.float32)
    size = (canvas.width, canvas.height)
    return cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)


def _covered(colour: Sequence[float], light: float) -> Draw:
    """A finger or a cap on the lens: dark, a glow at one edge, sensor noise."""

    def draw(canvas: Canvas, seconds: float) -> NDArray[np.floating]:
        x, y = canvas.grid()
        glow = np.exp(-3 * ((x - 1.0) ** 2 + (y - 0.2) ** 2)) * (1 + 0.1 * np.sin(3 * seconds))
        picture = np.float32(colour) * (0.15 + light * glow[..., None])
        return picture + canvas.random.standard_normal(picture.shape, dtype=np.float32) * 3

    return draw


def _pulse(canvas: Canvas, seconds: float) -> NDArray[np.floating]:
    """A screen that grows bright and dark."""
    return canvas.plain(*(127 + 110 * np.sin(2 * np.pi * 0.4 * seconds),) * 3)


def _flicker(canvas: Canvas, seconds: float) -> NDArray[np.floating]:
    """Colours that jump twice a second."""
    return canvas.plain(*_BARS[int(seconds * 2) % len(_BARS)])


def _ball(canvas: Canvas, seconds: float) -> NDArray[np.floating]:
    """A screen saver: a disc that bounces off the edges."""
    picture = canvas.plain(10, 10, 30)

    def bounce(length: int, speed: float) -> int:
        return int(abs((seconds * speed * length) % (2 * length) - length) * 0.8 + length * 0.1)

    place = (bounce(canvas.width, 0.31), bounce(canvas.height, 0.23))
    cv2.circle(picture, place, canvas.height // 9, (200, 90, 40), -1)
    return picture


def _spinner(canvas: Canvas, seconds: float) -> NDArray[np.floating]:
    """Waiting for the stream: an arc turns on a dark page."""
    picture = canvas.plain(24, 24, 24)
    middle, radius = (canvas.width // 2, canvas.height // 2), canvas.height // 8
    start = 360 * seconds
    cv2.ellipse(picture, middle, (radius, radius), 0, start, start + 270, (220, 220, 220), 5)
    return picture


def _bar_sweep(canvas: Canvas, seconds: float) -> NDArray[np.floating]:
    """A light bar that wanders over black."""
    x, _ = canvas.grid()
    near = np.exp(-(((x - (0.3 * seconds) % 1.2) * 12) ** 2))
    return np.repeat(near[..., None] * 230, 3, axis=2)


def _text(lines: int, dark: bool) -> Draw:
    """A page of words that nobody reads."""

    def draw(canvas: Canvas, _: float) -> NDArray[np.floating]:
        random = np.random.default_rng(9)
        paper, ink = ((20, 20, 20), (200, 220, 200)) if dark else ((250, 250, 250), (30, 30, 30))
        picture = canvas.plain(*paper).astype(np.uint8)
        step = canvas.height / (lines + 1)
        for line in range(lines):
            word = "".join(chr(97 + letter) for letter in random.integers(0, 26, 34))
            place = (8, int((line + 1) * step))
            cv2.putText(picture, word, place, cv2.FONT_HERSHEY_SIMPLEX, step / 42, ink, 1)
        return picture

    return draw


def _windows(canvas: Canvas, _: float) -> NDArray[np.floating]:
    """A desktop: overlapping panes with title bars."""
    picture = canvas.plain(40, 80, 120)
    random = np.random.default_rng(4)
    for _pane in range(5):
        x, y = random.integers(0, canvas.width // 2), random.integers(0, canvas.height // 2)
        far = (int(x + canvas.width * 0.4), int(y + canvas.height * 0.4))
        cv2.rectangle(picture, (int(x), int(y)), far, random.uniform(150, 250, 3).tolist(), -1)
        cv2.rectangle(picture, (int(x), int(y)), (far[0], int(y) + 12), (60, 60, 70), -1)
    return picture


def _no_signal(canvas: Canvas, _: float) -> NDArray[np.floating]:
    picture = canvas.plain(10, 20, 160).astype(np.uint8)
    place = (canvas.width // 5, canvas.height // 2)
    cv2.putText(picture, "NO SIGNAL", place, cv2.FONT_HERSHEY_SIMPLEX, 1.2, (240, 240, 240), 2)
    return picture


def _still(canvas: Canvas) -> Pixels:
    if canvas.still is None:
        raise ValueError("this kind needs a still")
    return canvas.still


def _hold(canvas: Canvas, _: float) -> Pixels:
    return _still(canvas)


def _zoomed(canvas: Canvas, factor: float, x: float, y: float) -> Pixels:
    """`factor` (above 1) times enlarged, centre moved by shares x, y of the room there is."""
    still = _still(canvas)
    height, width = still.shape[:2]
    room = 1 - 1 / factor
    left, top = width * room * (0.5 + x / 2), height * room * (0.5 + y / 2)
    move = np.float32([[factor, 0, -left * factor], [0, factor, -top * factor]])
    return cv2.warpAffine(still, move, (width, height), flags=cv2.INTER_LINEAR)


def _pan(canvas: Canvas, seconds: float) -> Pixels:
    return _zoomed(canvas, 1.4, np.sin(0.5 * seconds), 0.0)


def _tilt_up(canvas: Canvas, seconds: float) -> Pixels:
    return _zoomed(canvas, 1.3, 0.2, np.cos(0.6 * seconds))


def _zoom(canvas: Canvas, seconds: float) -> Pixels:
    return _zoomed(canvas, 1.05 + 0.08 * seconds, 0.0, 0.0)


def _shake(canvas: Canvas, seconds: float) -> Pixels:
    """A photograph filmed by hand."""
    x, y = np.sin(5.1 * seconds) + np.sin(2.3 * seconds), np.sin(4.3 * seconds + 1)
    return _zoomed(canvas, 1.08, 0.5 * x, 0.8 * y)


def _sway(canvas: Canvas, seconds: float) -> Pixels:
    """A photograph on a boat."""
    return _zoomed(canvas, 1.15, np.sin(1.7 * seconds), 0.7 * np.sin(1.1 * seconds + 2))


def _jumps(canvas: Canvas, seconds: float) -> Pixels:
    """A photograph that is put somewhere else every 0.7 s."""
    random = np.random.default_rng(int(seconds / 0.7))
    return _zoomed(canvas, 1.12, *random.uniform(-1, 1, 2))


def _turning(canvas: Canvas, seconds: float) -> Pixels:
    """A photograph that turns by a few degrees there and back."""
    still = _still(canvas)
    height, width = still.shape[:2]
    move = cv2.getRotationMatrix2D((width / 2, height / 2), 4 * np.sin(1.3 * seconds), 1.15)
    return cv2.warpAffine(still, move, (width, height), flags=cv2.INTER_LINEAR)


def _exposure(canvas: Canvas, seconds: float) -> NDArray[np.floating]:
    """A photograph under a camera that looks for its exposure, in steps of half a second."""
    step = np.random.default_rng(int(seconds / 0.5)).uniform(0.75, 1.25)
    return 255 * (_still(canvas) / 255.0) ** step


def _fade(canvas: Canvas, seconds: float) -> NDArray[np.floating]:
    return _still(canvas) * (0.6 + 0.4 * np.cos(1.2 * seconds))


_TRAIN: Mapping[str, Draw] = {
    "black": _constant(0, 0, 0),
    "mid-grey": _constant(128, 128, 128),
    "white": _constant(255, 255, 255),
    "green": _constant(20, 180, 60),
    "skin-colour": _constant(205, 160, 135),
    "black-sensor": _sensor(_constant(4, 4, 4), 4),
    "grey-sensor": _sensor(_constant(110, 110, 110), 6),
    "snow-grey": _snow(True, 60),
    "snow-colour-coarse": _snow(False, 50, 4),
    "noise-frozen": _frozen(_snow(False, 60)),
    "bars-upright": _bars(True),
    "bars-sensor": _sensor(_bars(True), 4),
    "test-card": _test_card,
    "gradient-flat": _gradient(0.0, (0, 0, 0), (255, 255, 255)),
    "gradient-sky": _gradient(1.57, (90, 150, 240), (230, 240, 250)),
    "radial-dark": _radial((120, 120, 120), (0, 0, 0)),
    "waves-upright": _waves(12, 0.0),
    "stripes-flat": _waves(8, 1.57, square=True),
    "waves-moving": _waves(5, 0.4, speed=0.8),
    "checkers-small": _checkers(32),
    "covered-red": _covered((180, 50, 30), 0.5),
    "covered-dark": _covered((60, 60, 65), 0.3),
    "clouds": _clouds,
    "pulse": _pulse,
    "spinner": _spinner,
    "text-light": _text(12, False),
    "no-signal": _no_signal,
    "still": _hold,
    "still-sensor": _sensor(_hold, 3),
    "still-pan": _pan,
    "still-zoom": _zoom,
    "still-sway": _sway,
    "still-jumps": _jumps,
    "still-turning": _turning,
    "still-exposure": _exposure,
    "still-grain": _sensor(_hold, 9),
}
_TEST: Mapping[str, Draw] = {
    "dark-grey": _constant(40, 40, 40),
    "light-grey": _constant(200, 200, 200),
    "blue": _constant(0, 0, 255),
    "yellow": _constant(240, 220, 40),
    "near-black": _constant(8, 6, 6),
    "white-sensor": _sensor(_constant(235, 235, 235), 5),
    "dark-sensor": _sensor(_constant(25, 22, 20), 7),
    "snow-colour": _snow(False, 70),
    "snow-grey-coarse": _snow(True, 50, 6),
    "snow-faint": _snow(True, 15, 2),
    "noise-grey-frozen": _frozen(_snow(True, 70, 2), 8),
    "bars-flat": _bars(False),
    "bars-smpte": _smpte,
    "smpte-sensor": _sensor(_smpte, 5),
    "rings": _rings,
    "gradient-slanted": _gradient(0.8, (10, 20, 60), (240, 200, 120)),
    "gradient-dark": _gradient(1.57, (30, 30, 30), (90, 80, 70)),
    "radial-light": _radial((255, 250, 240), (120, 110, 100)),
    "waves-slanted": _waves(20, 0.7),
    "stripes-upright": _waves(6, 0.0, square=True),
    "waves-flat-moving": _waves(4, 1.57, speed=0.5),
    "checkers-large": _checkers(8),
    "covered-skin": _covered((150, 80, 60), 0.8),
    "covered-black": _covered((25, 20, 20), 0.2),
    "blobs": _blobs,
    "flicker": _flicker,
    "bouncing-disc": _ball,
    "bar-sweep": _bar_sweep,
    "text-dark": _text(18, True),
    "desktop": _windows,
    "still-tilt": _tilt_up,
    "still-held": _hold,
    "still-by-hand": _shake,
    "still-fading": _fade,
    "still-noisy": _sensor(_hold, 6),
}
KINDS: Mapping[Side, Mapping[str, Draw]] = MappingProxyType({"train": _TRAIN, "test": _TEST})
"""By side and name. Names that begin with "still" need a still."""

"""Tiny clips that a small network can learn: a bright square of one colour crosses the picture."""

from __future__ import annotations

import colorsys
from pathlib import Path

import clips
import numpy as np
from numpy.typing import NDArray

from actionstream.datasets import Clip, Split

RATE = 12.5


def pictures(
    hue: float, *, seed: int, frames: int = 20, size: tuple[int, int] = (48, 36)
) -> list[NDArray[np.uint8]]:
    """A square of this hue (0..1) moves to the right over noise that the seed decides."""
    width, height = size
    random = np.random.default_rng(seed)
    ground = random.integers(0, 60, (height, width, 3))
    colour = np.array(colorsys.hsv_to_rgb(hue, 1.0, 1.0)) * 255
    side, top = height // 2, int(random.integers(height // 2))
    shown = []
    for index in range(frames):
        picture = ground.astype(np.uint8)
        left = (width - side) * index // frames
        picture[top : top + side, left : left + side] = colour
        shown.append(picture)
    return shown


def write_clip(
    path: Path, hue: float, *, seed: int, frames: int = 20, size: tuple[int, int] = (48, 36)
) -> Path:
    """Such a clip as H.264; no two seeds give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = pictures(hue, seed=seed, frames=frames, size=size)
    times = [index / RATE for index in range(frames)]
    return clips.make_clip(path, size=size, rate=RATE, times=times, pictures=shown)


def colour_split(root: Path, groups: int = 4) -> Split:
    """Three actions that differ in colour, `groups` clips each to train on and one to test."""
    labels = ("Archery", "Biking", "Diving")
    subsets: dict[str, list[Clip]] = {"train": [], "test": []}
    for place, label in enumerate(labels):
        for group in range(groups + 1):
            stem = f"v_{label}_g{group + 1:02}_c01"
            path = write_clip(root / label / f"{stem}.mp4", place / 3, seed=100 * place + group)
            subset = "train" if group else "test"
            subsets[subset].append(Clip(path, label, f"{label}/g{group + 1:02}", stem))
    return Split(
        name="colours",
        labels=labels,
        train=tuple(subsets["train"]),
        validation=(),
        test=tuple(subsets["test"]),
        listed={subset: len(listed) for subset, listed in subsets.items()},
    )

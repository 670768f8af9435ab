"""Clips to windows, exactly as `predict` looks at them: the engine's own windows are kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from actionstream.datasets.files import subfolders, videos_below
from actionstream.datasets.groups import Named, group_by, guess_groups
from actionstream.errors import DatasetError
from actionstream.inference.file import read_frames
from actionstream.inference.pose import PoseNetworks
from actionstream.inference.rules import Graphs
from actionstream.progress import Progress
from actionstream.recognizer import Recognizer
from actionstream.video import VideoReader

Floats = NDArray[np.float32]

NOTHING = "_nothing"
"""The folder, or label, of clips in which none of the actions is to be seen."""
FEWEST_CLIPS = 3
WINDOWS = 4
"""Windows of a clip, spread evenly over those that are served."""


@dataclass(frozen=True, slots=True)
class NewClip:
    """A clip to learn from. `label` None: nothing; `source`: clips of one are not independent."""

    path: Path
    label: str | None
    source: str


@dataclass(frozen=True, slots=True)
class NewClips:
    """Clips to learn from; `guessed` are the labels whose clips tell no sources."""

    clips: tuple[NewClip, ...]
    labels: tuple[str, ...]
    guessed: tuple[str, ...]


def find_clips(folder: str | Path) -> dict[str, list[Path]]:
    """The videos of a folder of class folders, by class.

    Raises:
        DatasetError: there is no such folder, or it holds no class folders with videos.
    """
    root = Path(folder)
    found = {one.name: videos_below(one) for one in subfolders(root)}
    found = {label: paths for label, paths in found.items() if paths}
    if not found:
        raise DatasetError(f"{root}: holds no clip; expected {root}/ACTION/clip.mp4")
    return found


def gather(clips: Mapping[str, Sequence[str | os.PathLike[str]]]) -> NewClips:
    """Clips by label, with their sources told from their names as `train` tells them.

    Raises:
        DatasetError: no label, or one with fewer than three clips.
    """
    labels = tuple(sorted((label for label in clips if label != NOTHING), key=str.lower))
    few = [f"{label} ({len(clips[label])})" for label in labels if len(clips[label]) < FEWEST_CLIPS]
    if few or not labels:
        found = f"too few of {', '.join(few)}" if few else "there is none"
        raise DatasetError(f"an action needs at least {FEWEST_CLIPS} clips: {found}")
    paths = [Path(path) for label in (*labels, NOTHING) for path in clips.get(label, ())]
    named = [one for label in (*labels, NOTHING) for one in _named(label, clips.get(label, ()))]
    guess = guess_groups(named)
    sources = dict(zip(named, guess.groups, strict=True))
    guessed = []
    for label in labels:
        own = [one for one in named if one.label == label]
        if guess.rules[label] == "alone":
            pieces = group_by("pieces", own, wanted=())
            if len(set(pieces)) == 1:  # take-1, take-2, take-3: one recording of one place
                sources |= dict.fromkeys(own, pieces[0])
            else:
                guessed.append(label)
    return NewClips(
        tuple(
            NewClip(path, None if one.label == NOTHING else one.label, sources[one])
            for path, one in zip(paths, named, strict=True)
        ),
        labels,
        tuple(guessed),
    )


def _named(label: str, paths: Sequence[str | os.PathLike[str]]) -> list[Named]:
    if not paths:
        return []
    absolute = [Path(path).absolute() for path in paths]
    root = os.path.commonpath([path.parent for path in absolute])
    return [Named(label, PurePath(label, path.relative_to(root))) for path in absolute]


@dataclass(slots=True)
class _Recorder:
    """Graphs that keep the windows that the head was shown."""

    graphs: Graphs
    windows: list[Floats] = field(default_factory=list)

    @property
    def pose(self) -> PoseNetworks | None:
        return self.graphs.pose

    @property
    def encode(self) -> Callable[[NDArray[np.uint8]], Floats]:
        return self.graphs.encode

    def read(self, features: Floats) -> tuple[Floats, Floats]:
        self.windows.extend(features)
        return self.graphs.read(features)


def read_windows(model: Recognizer, path: Path) -> Floats:
    """Up to `WINDOWS` windows float32 [n, 16, D] of a clip, as `predict` reads them.

    Raises:
        VideoError: the clip gives no pictures.
    """
    recorder = _Recorder(model.engine)
    with VideoReader(os.fspath(path), threads=model.threads) as reader:
        read_frames(reader, recorder, model.card.rules)
    seen = recorder.windows
    chosen = np.unique(np.linspace(0, len(seen) - 1, WINDOWS).round().astype(int))
    return np.stack([seen[i] for i in chosen])


def read_all(
    model: Recognizer, clips: Sequence[NewClip], progress: Progress | None = None
) -> tuple[Floats, NDArray[np.int64]]:
    """The windows of all clips, and the number of each one's clip."""
    windows = []
    for done, clip in enumerate(clips):
        if progress is not None:
            progress(done, len(clips), str(clip.path))
        windows.append(read_windows(model, clip.path))
    if progress is not None and clips:
        progress(len(clips), len(clips), str(clips[-1].path))
    numbers = np.repeat(np.arange(len(clips)), [len(own) for own in windows])
    return np.concatenate(windows), numbers

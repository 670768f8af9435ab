"""Clips as batches of training windows, decoded anew in every epoch by a few threads.

Decoded each time, nothing kept on disk: every epoch then sees windows, colours and speeds that it
never saw, through the one resize that inference does; small pictures from a cache would be resized
a second time when the window moves. It costs 0.02 s of one core for a clip of 5 s at 320x240, a
sixth of what ResNet18 needs for its 16 pictures on that core.

Threads and no processes: decoding and resizing let go of Python's lock, and a training that is
killed leaves no worker behind that holds on to files.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actionstream.concurrency import Closing
from actionstream.datasets.split import Clip
from actionstream.errors import VideoError
from actionstream.inference.preprocess import Geometry
from actionstream.inference.sampling import SamplingRule
from actionstream.training.common.looks import PLAIN, View, draw_view, read_looks
from actionstream.training.common.recipe import EndToEndRecipe
from actionstream.training.common.windows import cut_window, ready_ends

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """A clip's looks in one view: uint8 [n, S, S, 3], and how many ticks each filled [n]."""

    images: NDArray[np.uint8]
    filled: NDArray[np.int16]


def read_pictures(
    path: Path, geometry: Geometry, rule: SamplingRule, view: View = PLAIN
) -> Pictures:
    """Decode a clip's looks as inference would, or in another view.

    Raises:
        VideoError: the clip cannot be read.
    """
    looks = list(read_looks(path, [view], geometry, rule))
    filled = np.array([look.filled for look in looks], dtype=np.int16)
    return Pictures(np.stack([look.image for look in looks]), filled)


def draw_window(
    pictures: Pictures, ready_after: int, random: np.random.Generator
) -> NDArray[np.uint8]:
    """One of the windows that a stream would read, uint8 [16, S, S, 3], all equally likely.

    A window ends with a look; the oldest tick is repeated in front where there are fewer than 16,
    and a clip that is never ready gives its last window, as inference does.
    """
    ends = np.cumsum(pictures.filled, dtype=np.int64)
    end = int(random.choice(ready_ends(ends, ready_after)))
    shown = np.repeat(np.arange(len(ends)), pictures.filled)
    return pictures.images[cut_window(shown, end)]


def draw_example(clip: Clip, recipe: EndToEndRecipe, epoch: int, seed: int) -> NDArray[np.uint8]:
    """The clip's training window of an epoch, uint8 [16, S, S, 3].

    It depends on seed, stem and epoch alone: not on the order of the clips, nor on who loads it.

    Raises:
        VideoError: the clip cannot be read.
    """
    digest = hashlib.sha256(f"{seed}/{clip.stem}/{epoch}".encode()).digest()
    random = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    number = 2 * epoch + 1 + int(random.integers(2))  # odd ones are mirrored
    view = draw_view(clip.stem, number, seed=seed) if recipe.augment else PLAIN
    pictures = read_pictures(clip.path, recipe.geometry, recipe.rule, view)
    return draw_window(pictures, recipe.ready_after, random)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Windows uint8 [B, 16, S, S, 3] of these clips; `failed` are clips that gave none, and why."""

    clips: tuple[Clip, ...]
    windows: NDArray[np.uint8]
    failed: tuple[tuple[Clip, str], ...]


class FrameLoader(Closing):
    """Batches of an epoch, loaded ahead by `workers` threads (0: in the caller's own).

    Results do not depend on `workers`. Use it as a context: leaving it ends the threads.
    """

    def __init__(self, recipe: EndToEndRecipe, *, seed: int, workers: int) -> None:
        self._recipe, self._seed, self._workers = recipe, seed, workers
        self._pool = ThreadPoolExecutor(workers, "frames") if workers else None

    def batches(self, clips: Sequence[Clip], epoch: int) -> Iterator[Batch]:
        """The clips in the epoch's own order, `batch_size` at a time."""
        order = np.random.default_rng([self._seed, epoch]).permutation(len(clips))
        ordered = [clips[index] for index in order]
        windows = self._in_order(ordered, epoch)
        size = self._recipe.batch_size
        for start in range(0, len(ordered), size):
            part = ordered[start : start + size]
            yield _batch(part, [next(windows) for _ in part])

    def _in_order(
        self, clips: Iterable[Clip], epoch: int
    ) -> Iterator[NDArray[np.uint8] | VideoError]:
        """Each clip's window or error, in order, a bounded number of them loaded ahead."""
        if self._pool is None:
            for clip in clips:
                yield self._load(clip, epoch)
            return
        ahead = self._recipe.batch_size + 2 * self._workers
        running: deque[Future[NDArray[np.uint8] | VideoError]] = deque()
        for clip in clips:
            running.append(self._pool.submit(self._load, clip, epoch))
            if len(running) > ahead:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()

    def _load(self, clip: Clip, epoch: int) -> NDArray[np.uint8] | VideoError:
        try:
            return draw_example(clip, self._recipe, epoch, self._seed)
        except VideoError as error:
            _log.warning("left out: %s", error)
            return error

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def _batch(clips: Sequence[Clip], results: Sequence[NDArray[np.uint8] | VideoError]) -> Batch:
    pairs = list(zip(clips, results, strict=True))
    good = [(clip, one) for clip, one in pairs if not isinstance(one, VideoError)]
    bad = tuple((clip, str(one)) for clip, one in pairs if isinstance(one, VideoError))
    windows = np.stack([one for _, one in good]) if good else np.empty(0, dtype=np.uint8)
    return Batch(tuple(clip for clip, _ in good), windows, bad)

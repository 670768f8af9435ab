"""The feature store: every clip is encoded once, then heads train from the stored features.

One small file per clip and view, written beside its place and moved into it, so that a killed
run leaves nothing half-written and the next one goes on where it stopped. A file's name holds a
hash of the clip's bytes, the folder's name one of everything else that decides the features:
encoder weights, geometry, spacing, recipe and seed of the views.
"""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actionstream.bundle.card import file_digest
from actionstream.datasets.split import Clip
from actionstream.engines.onnx import OnnxEncoder
from actionstream.errors import (
    NoFramesError,
    TrainingError,
    UnreadableVideoError,
    VideoError,
    VideoNotFoundError,
)
from actionstream.inference.preprocess import Geometry, fingerprint, preprocess
from actionstream.inference.sampling import SamplingRule
from actionstream.results import Pixels
from actionstream.training.checkpoint import DAMAGE
from actionstream.training.view_clock import ViewClock
from actionstream.training.views import RECIPE_VERSION, View, draw_view, paint
from actionstream.training.whole import whole_file
from actionstream.video import VideoReader

BATCH = 4
VIEWS_SEED = 0
"""Of the views. A run's own seed leaves them alone, so that all seeds share what is dear."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """A clip's features in one view: float16 [n, D], and how many ticks each look filled [n]."""

    features: NDArray[np.float16]
    filled: NDArray[np.int16]

    def ticks(self) -> NDArray[np.float32]:
        """One row a tick, float32 [T, D]: what a stream's ring saw go by."""
        return np.repeat(self.features, self.filled, axis=0).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Failed:
    """A clip that could not be encoded, and why."""

    clip: Clip
    cause: str


Progress = Callable[[int, int], None]


class FeatureStore:
    """Features of clips under `root`, for one encoder, geometry and sampling rule.

    Args:
        root: the folder of all stores; this one is a subfolder named by its key.
        encoder: the opened encoder.onnx; safe for several threads.
        encoder_file: that file, hashed into the key.
    """

    def __init__(
        self,
        root: Path,
        encoder: OnnxEncoder,
        encoder_file: Path,
        geometry: Geometry,
        rule: SamplingRule,
    ) -> None:
        self._encoder, self._geometry, self._rule = encoder, geometry, rule
        facts = {
            "encoder": file_digest(encoder_file),
            "preprocessing": fingerprint(geometry, rule.spacing_seconds),
            "reset_after_seconds": rule.reset_after_seconds,
            "views": RECIPE_VERSION,
            "seed": VIEWS_SEED,
        }
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
        self.folder = root / key
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole_file(self.folder / "store.json") as file:
            file.write(json.dumps(facts, indent=2).encode())
        self._digests: dict[Path, str] = {}

    def path(self, clip: Clip, view: int) -> Path:
        """Where this clip's features in this view are or will be.

        Raises:
            VideoError: the clip's bytes cannot be read.
        """
        if clip.path not in self._digests:
            self._digests[clip.path] = _digest(clip.path)
        digest = self._digests[clip.path]
        return self.folder / digest[:2] / f"{digest}-{clip.stem[:80]}-v{view}.npz"

    def load(self, clip: Clip, view: int = 0) -> Looks:
        """The stored looks.

        Raises:
            TrainingError: they are not there or damaged; `fill` encodes them.
        """
        path = self.path(clip, view)
        try:
            with np.load(path, allow_pickle=False) as file:
                return Looks(file["features"], file["filled"])
        except DAMAGE as error:
            raise TrainingError(f"{path}: not a stored clip ({error}); fill the store") from None

    def has(self, clip: Clip, view: int) -> bool:
        """Whether the features are there and whole."""
        try:
            with zipfile.ZipFile(self.path(clip, view)) as file:
                return file.testzip() is None
        except DAMAGE:
            return False

    def fill(
        self,
        clips: Sequence[Clip],
        views: Iterable[int],
        *,
        workers: int = 2,
        progress: Progress | None = None,
    ) -> list[Failed]:
        """Encode what is missing; each clip is decoded once for all its missing views.

        Args:
            workers: threads that decode and encode; open the encoder with one thread for two.
            progress: called with (done, in all), clips.

        Returns:
            The clips that could not be read, with the cause, in the order of `clips`; the others
            are stored.
        """
        wanted = list(views)
        failed: list[Failed] = []
        with ThreadPoolExecutor(workers, thread_name_prefix="store") as pool:
            ended = _run(pool, workers, clips, lambda clip: self._fill_one(clip, wanted))
            for done, (clip, error) in enumerate(ended, start=1):
                if isinstance(error, VideoError):
                    failed.append(Failed(clip, str(error)))
                    _log.warning("left out: %s", error)
                elif error is not None:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise error
                if progress is not None:
                    progress(done, len(clips))
        place = {clip: number for number, clip in enumerate(clips)}
        return sorted(failed, key=lambda one: place[one.clip])

    def _fill_one(self, clip: Clip, views: Sequence[int]) -> None:
        missing = [number for number in views if not self.has(clip, number)]
        if not missing:
            return
        drawn = {number: draw_view(clip.stem, number, seed=VIEWS_SEED) for number in missing}
        pending = self._encode(clip, drawn)
        unseen = {number: drawn[number] for number, one in pending.items() if not one.filled}
        if unseen:  # all of a tiny clip lies before these views' first tick
            now = {number: replace(view, phase=0.0) for number, view in unseen.items()}
            pending |= self._encode(clip, now)
        for number, one in pending.items():
            _save(self.path(clip, number), one.looks(self._encoder, clip))

    def _encode(self, clip: Clip, views: Mapping[int, View]) -> dict[int, _Pending]:
        """Decode the clip once for all these views."""
        pending = {number: _Pending(view, self._rule) for number, view in views.items()}
        with VideoReader(clip.path, threads=1) as reader:
            for frame in reader:
                due = [one for one in pending.values() if one.is_due(frame.time_seconds)]
                if not due:
                    continue
                pixels = frame.to_rgb()
                for one in due:
                    image = preprocess(pixels, self._geometry, one.view.window)
                    one.add(paint(image, one.view), self._encoder)
        return pending


class _Pending(ViewClock):
    """One view of one clip on its way through the encoder, batch by batch."""

    def __init__(self, view: View, rule: SamplingRule) -> None:
        super().__init__(view, rule)
        self._images: list[Pixels] = []
        self._features: list[NDArray[np.float32]] = []

    def add(self, image: Pixels, encoder: OnnxEncoder) -> None:
        self._images.append(image)
        if len(self._images) == BATCH:
            self._encode(encoder)

    def _encode(self, encoder: OnnxEncoder) -> None:
        self._features.append(encoder.encode(np.stack(self._images)))
        self._images.clear()

    def looks(self, encoder: OnnxEncoder, clip: Clip) -> Looks:
        if self._images:
            self._encode(encoder)
        if not self._features:
            raise NoFramesError(clip.path, "no frame was looked at")
        features = np.concatenate(self._features).astype(np.float16)
        return Looks(features, np.array(self.filled, dtype=np.int16))


def _run(
    pool: ThreadPoolExecutor,
    workers: int,
    clips: Sequence[Clip],
    work: Callable[[Clip], None],
) -> Iterator[tuple[Clip, BaseException | None]]:
    """Run `work` over the clips with a bounded number under way; yields as they end."""
    remaining = iter(clips)
    running: dict[Future[None], Clip] = {}
    while True:
        while len(running) < 2 * workers:
            clip = next(remaining, None)
            if clip is None:
                break
            running[pool.submit(work, clip)] = clip
        if not running:
            return
        ended, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in ended:
            yield running.pop(future), future.exception()


def _digest(path: Path) -> str:
    try:
        return file_digest(path)[:16]
    except FileNotFoundError:
        raise VideoNotFoundError(path, "no such file") from None
    except OSError as error:
        raise UnreadableVideoError(path, error.strerror or str(error)) from None


def _save(path: Path, looks: Looks) -> None:
    path.parent.mkdir(exist_ok=True)
    with whole_file(path) as file:
        np.savez(file, features=looks.features, filled=looks.filled)

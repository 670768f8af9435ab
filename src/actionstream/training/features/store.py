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
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

import actionstream
from actionstream.bundle.card import file_digest
from actionstream.datasets.split import Clip
from actionstream.engines.onnx import OnnxEncoder, open_encoder
from actionstream.errors import (
    TrainingError,
    UnreadableVideoError,
    VideoError,
    VideoNotFoundError,
)
from actionstream.inference.preprocess import Geometry, fingerprint
from actionstream.inference.sampling import SamplingRule
from actionstream.networks.encoders import Encoder
from actionstream.progress import Progress
from actionstream.results import Pixels
from actionstream.training.common.checkpoint import DAMAGE, atomic_write
from actionstream.training.common.looks import PLAIN, VIEWS_VERSION, Look, draw_view, read_looks
from actionstream.training.common.onnx_export import OPSET, export_encoder
from actionstream.training.common.windows import Features, Sample

BATCH = 4
VIEWS_SEED = 0
"""Of the views. A run's own seed leaves them alone, so that all seeds share what is dear."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failed:
    """A clip that could not be encoded, and why."""

    clip: Clip
    cause: str


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
            "views": VIEWS_VERSION,
            "seed": VIEWS_SEED,
        }
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
        self.folder = root / key
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.folder / "store.json") as file:
            file.write(json.dumps(facts, indent=2).encode())
        self._digests: dict[Path, str] = {}

    def path(self, clip: Clip, view: str) -> Path:
        """Where this clip's features in this view are or will be.

        Raises:
            VideoError: the clip's bytes cannot be read.
        """
        if clip.path not in self._digests:
            self._digests[clip.path] = _digest(clip.path)
        digest = self._digests[clip.path]
        return self.folder / digest[:2] / f"{digest}-{clip.stem[:80]}-{view}.npz"

    def load(self, clip: Clip, view: str = PLAIN.name) -> Features:
        """The stored looks.

        Raises:
            TrainingError: they are not there or damaged; `fill` encodes them.
        """
        path = self.path(clip, view)
        try:
            with np.load(path, allow_pickle=False) as file:
                return Features(file["features"], file["filled"])
        except DAMAGE as error:
            raise TrainingError(f"{path}: not a stored clip ({error}); fill the store") from None

    def has(self, clip: Clip, view: str) -> bool:
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
            views: numbers of the views, 0 for the plain one.
            workers: threads that decode and encode; open the encoder with one thread for two.

        Returns:
            The clips that could not be read, with the cause, in the order of `clips`; the others
            are stored.
        """
        wanted, failed = list(views), []
        pool = ThreadPoolExecutor(workers, thread_name_prefix="store")
        try:
            causes = pool.map(lambda clip: self._fill_one(clip, wanted), clips)
            for done, (clip, cause) in enumerate(zip(clips, causes, strict=True), start=1):
                if cause is not None:
                    failed.append(Failed(clip, cause))
                    _log.warning("left out: %s", cause)
                if progress is not None:
                    progress(done, len(clips), "encoding clips")
        finally:
            pool.shutdown(cancel_futures=True)
        return failed

    def _fill_one(self, clip: Clip, views: Sequence[int]) -> str | None:
        """Encode what is missing of a clip; why it cannot be read."""
        drawn = [draw_view(clip.stem, number, seed=VIEWS_SEED) for number in views]
        try:
            missing = [view for view in drawn if not self.has(clip, view.name)]
            if not missing:
                return None
            pending = [_Pending(self._encoder) for _ in missing]
            for look in read_looks(clip.path, missing, self._geometry, self._rule):
                pending[look.view].add(look)
        except VideoError as error:
            return str(error)
        for view, one in zip(missing, pending, strict=True):
            _save(self.path(clip, view.name), one.features())
        return None


class _Pending:
    """One view of one clip on its way through the encoder, batch by batch."""

    def __init__(self, encoder: OnnxEncoder) -> None:
        self._encoder = encoder
        self._images: list[Pixels] = []
        self._encoded: list[NDArray[np.float32]] = []
        self._filled: list[int] = []

    def add(self, look: Look) -> None:
        self._filled.append(look.filled)
        self._images.append(look.image)
        if len(self._images) == BATCH:
            self._encode()

    def _encode(self) -> None:
        self._encoded.append(self._encoder.encode(np.stack(self._images)))
        self._images.clear()

    def features(self) -> Features:
        if self._images:
            self._encode()
        looks = np.concatenate(self._encoded).astype(np.float16)
        return Features(looks, np.array(self._filled, dtype=np.int16))


def _digest(path: Path) -> str:
    try:
        return file_digest(path)[:16]
    except FileNotFoundError:
        raise VideoNotFoundError(path, "no such file") from None
    except OSError as error:
        raise UnreadableVideoError(path, error.strerror or str(error)) from None


def _save(path: Path, features: Features) -> None:
    path.parent.mkdir(exist_ok=True)
    with atomic_write(path) as file:
        np.savez(file, features=features.looks, filled=features.filled)


def load_samples(
    store: FeatureStore, clips: Sequence[Clip], labels: Sequence[str], views: int
) -> list[Sample]:
    """The clips' samples from the store, in their order.

    Raises:
        TrainingError: a clip is not in the store.
    """
    index = {label: position for position, label in enumerate(labels)}
    samples = []
    for clip in clips:
        names = [draw_view(clip.stem, number, seed=VIEWS_SEED).name for number in range(views)]
        stored = [store.load(clip, name) for name in names]
        target = None if clip.label is None else index[clip.label]
        ticks = tuple(one.ticks() for one in stored)
        samples.append(Sample(clip, target, ticks, stored[0].ends()))
    return samples


def open_store(
    encoder: Encoder, root: Path, geometry: Geometry, rule: SamplingRule
) -> FeatureStore:
    """The store of this encoder under `root`.

    Its encoder.onnx is kept as `root/encoders/NAME-SIZE-HASH.onnx`, made unless it is there. The
    hash is of the weights and of all that decides how they are exported, for the file's own hash
    is part of the store's key.
    """
    name = f"{encoder.spec.name}-{encoder.input_size}-{_encoder_digest(encoder)}.onnx"
    path = root / "encoders" / name
    if not path.exists():
        with TemporaryDirectory() as folder, atomic_write(path) as file:
            export_encoder(encoder, Path(folder, name))
            file.write(Path(folder, name).read_bytes())
    return FeatureStore(root, open_encoder(path, threads=1), path, geometry, rule)


def _encoder_digest(encoder: Encoder) -> str:
    exporters = [metadata.version(one) for one in ("torch", "onnx", "onnxscript")]
    digest = hashlib.sha256(" ".join([actionstream.__version__, str(OPSET), *exporters]).encode())
    for key, value in encoder.state_dict().items():
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]

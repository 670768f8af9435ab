"""The model as a program uses it: load it once, share it, ask it about files and streams."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from actionstream.bundle.card import Card
from actionstream.bundle.folder import Bundle, open_bundle, resolve
from actionstream.engines import Engine, open_engine
from actionstream.engines.checks import default_threads
from actionstream.errors import VideoError
from actionstream.inference.file import FileReading
from actionstream.inference.preprocess import use_threads
from actionstream.inference.stream import Stream
from actionstream.progress import Progress, ProgressBar
from actionstream.results import Answer, Failure
from actionstream.video import DEFAULT_LIMITS, Limits

EngineName = Literal["onnx", "torch"]


def load(
    model: str | Path | None = None,
    *,
    engine: EngineName = "onnx",
    threads: int | None = None,
    device: str | None = None,
) -> Recognizer:
    """Load a bundle.

    Args:
        model: None for the default, else the name of a shipped variant, else a folder.
        engine: "onnx" (ONNX Runtime) or "torch" (PyTorch, needs the extra `train`).
        threads: threads for the encoder, for decoding and (in the whole process) for OpenCV;
            None for the machine's cores.
        device: "cpu" or "cuda"; None for "cpu".

    Raises:
        BundleError: the bundle does not keep its contract; everything wrong is listed.
        EngineError: the engine or device cannot be used here.
        MissingExtraError: the engine's packages are not installed.
    """
    bundle = open_bundle(resolve(model))
    opened = open_engine(bundle, engine, threads=threads, device=device)
    use_threads(threads or default_threads())
    return Recognizer(bundle, opened, threads)


@dataclass(frozen=True, slots=True)
class Recognizer:
    """A loaded model. Immutable; several threads may use one at the same time."""

    bundle: Bundle
    engine: Engine
    threads: int | None = None

    @property
    def card(self) -> Card:
        return self.bundle.card

    @property
    def labels(self) -> tuple[str, ...]:
        """The actions that the model knows, in the order of its probabilities."""
        return self.card.labels

    @property
    def fingerprint(self) -> str:
        """First 12 hex digits of SHA-256 of the bundle's card."""
        return self.bundle.fingerprint

    @property
    def identity(self) -> dict[str, str]:
        """Name and fingerprint, as answers carry them."""
        return {"name": self.card.name, "fingerprint": self.fingerprint}

    def live(self, *, keep_readings: bool = True) -> Stream:
        """A new stream.

        With `keep_readings=False`, for streams that never end, the answer of `finish` has no
        readings; all that grows then is the list of segments, by one when the label changes.
        """
        return Stream(self.engine, self.card, self.identity, keep_readings=keep_readings)

    def recognize(
        self,
        path: str | Path,
        *,
        source: str | None = None,
        progress: Progress | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Answer:
        """What happens in a video file.

        Args:
            path: a plain video file.
            source: how the answer names it; the path as given unless said otherwise.
            progress: called as the file is read, with seconds and `source`.
            limits: what the file may cost.

        Raises:
            VideoError: the file gives no pictures; `kind` says why. A damaged file that gave at
                least one look has an answer with the damage counted.
        """
        reading = FileReading(
            engine=self.engine,
            card=self.card,
            identity=self.identity,
            path=os.fspath(path),
            source=source or str(path),
            threads=self.threads,
            progress=progress,
            limits=limits,
        )
        return reading.run()

    def recognize_many(
        self,
        paths: str | Path | Iterable[str | Path],
        *,
        progress: bool | Progress = False,
    ) -> Iterator[Answer]:
        """Answers for many files, in their order, each as soon as it is there.

        A single path counts as a list of one.
        A bad file yields an Answer with `error` set and the others go on. `progress=True` draws
        a bar on stderr; a function is called with (done, in all if known, source).
        """
        listed = [paths] if isinstance(paths, (str, Path)) else list(paths)
        with contextlib.ExitStack() as stack:
            bar = stack.enter_context(ProgressBar()) if progress is True else progress
            for done, path in enumerate(listed):
                if bar:
                    bar(done, len(listed), str(path))
                yield self.recognize_or_error(path)
            if bar and listed:
                bar(len(listed), len(listed), str(listed[-1]))

    def recognize_or_error(
        self, path: str | Path, *, source: str | None = None, progress: Progress | None = None
    ) -> Answer:
        """`recognize`, but a bad file gives an Answer with `error` set."""
        try:
            return self.recognize(path, source=source, progress=progress)
        except VideoError as error:
            return Answer(source or str(path), self.labels, error=Failure.of(error))

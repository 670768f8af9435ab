"""`teach`: a bundle with new actions in it, made from a few clips of each."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

import actionstream
from actionstream.bundle.card import (
    SCHEMA_VERSION,
    Card,
    ConfusionCard,
    HeadCard,
    MeasuredCard,
    TaughtCard,
)
from actionstream.bundle.folder import WEIGHTS_NAME, Bundle, write_bundle
from actionstream.bundle.memory import MEMORY_NAME, read_memory, write_memory
from actionstream.errors import BundleError, DatasetError
from actionstream.progress import Progress
from actionstream.recognizer import Recognizer
from actionstream.teaching.draft import Draft, learn
from actionstream.teaching.estimate import (
    Calibration,
    Estimate,
    calibrate,
    estimate,
    with_refusals,
)
from actionstream.teaching.head import PATHS, HeadGraph
from actionstream.teaching.windows import NewClip, NewClips, gather, read_all

_CARRIED = ("encoder.onnx", "pose.onnx", "person.onnx", "LICENSE-pose.txt")
_TINY = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """A model with other actions than its bundle has; `save` makes it a bundle of its own.

    estimate: what to expect of the taught actions; None where none were taught.
    seconds: that encoding the clips took, and all the rest.
    """

    bundle: Bundle
    graph: HeadGraph
    draft: Draft
    calibration: Calibration
    estimate: Estimate | None = None
    seconds: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(cls, bundle: Bundle) -> Taught:
        """A bundle as it is.

        Raises:
            BundleError: it has no memory, or no head that reads picture and pose.
        """
        path, card = bundle.path / MEMORY_NAME, bundle.card
        if MEMORY_NAME not in card.files:
            raise BundleError(
                bundle.path,
                [f"has no {MEMORY_NAME}, which teaching needs: take a shipped bundle, or one made "
                 "from it by teach"],
            )  # fmt: skip
        graph = HeadGraph(bundle.head_path)
        taught = card.taught.labels if card.taught else ()
        draft = Draft(card.labels, graph.layers, read_memory(path), taught)
        kept = Calibration(card.temperature, card.threshold, card.known_threshold)
        return cls(bundle, graph, draft, kept)

    @property
    def labels(self) -> tuple[str, ...]:
        """The actions it knows."""
        return self.draft.labels

    def forget(self, labels: Sequence[str]) -> Taught:
        """Without these actions. The scores of the others stay what they are.

        Raises:
            DatasetError: it does not know one of them, or would know none.
        """
        return replace(self, draft=self.draft.forget(labels), estimate=None)

    def rename(self, names: Mapping[str, str]) -> Taught:
        """With other names for some actions, by their old ones.

        Raises:
            DatasetError: it does not know one of them, or two would have one name.
        """
        return replace(self, draft=self.draft.rename(names), estimate=None)

    def save(
        self, folder: str | Path, *, name: str | None = None, overwrite: bool = False
    ) -> Bundle:
        """Write it as a bundle, for every engine, that can be taught again.

        Args:
            folder: where; its name is the model's unless `name` says another.
            overwrite: replace a bundle that is there.

        Raises:
            BundleError: there is something at that place already.
        """

        def make(place: Path) -> None:
            for file in _CARRIED:
                if (self.bundle.path / file).is_file():
                    shutil.copyfile(self.bundle.path / file, place / file)
            self.graph.write(place / "head.onnx", self.draft.layers)
            if self.bundle.weights_path.is_file():
                _write_weights(self.bundle.weights_path, place / WEIGHTS_NAME, self.draft)
            write_memory(place / MEMORY_NAME, self.draft.memory)

        def make_card(digests: dict[str, str]) -> Card:
            return self._card(name or Path(folder).resolve().name, digests)

        return write_bundle(folder, make, make_card, overwrite=overwrite)

    def _card(self, name: str, digests: dict[str, str]) -> Card:
        old, labels = self.bundle.card, set(self.labels)
        evidence = old.head.options.get("evidence") or len(old.labels) + 1
        options = {**old.head.options, "evidence": evidence}
        training = old.training.model_dump()
        for key in ("clips_per_label", "groups_per_label"):
            training[key] = {k: v for k, v in training[key].items() if k in labels}
        if self.estimate is not None:
            training["clips_per_label"] |= self.estimate.clips
            training["groups_per_label"] |= (
                self.estimate.sources if old.training.groups_per_label else {}
            )
            training["clips"] = sum(training["clips_per_label"].values())
        fields = old.model_dump() | {
            "schema_version": SCHEMA_VERSION,
            "name": name,
            "labels": self.labels,
            "head": HeadCard(name=old.head.name, options=options).model_dump(),
            "temperature": self.calibration.temperature,
            "threshold": self.calibration.threshold,
            "known_threshold": self.calibration.known_threshold,
            "files": digests,
            "training": training,
            "measured": MeasuredCard(figures=(), per_class={}).model_dump(),
            "taught": self._taught_card(),
            "limits": tuple(_limits(self)),
            "versions": {**old.versions, **_versions()},
        }
        return Card.model_validate(fields)

    def _taught_card(self) -> dict[str, Any]:
        old, found = self.bundle.card.taught, self.estimate
        base = old.base if old else self.bundle.card.name
        if found is None:
            return _kept(old, base, self.draft.taught).model_dump()
        pairs = tuple(ConfusionCard(**asdict(one)) for one in found.confusions)
        return TaughtCard(
            base=base,
            labels=self.draft.taught,
            estimate=dict(found.recall),
            left_out=dict(found.left_out),
            refused=dict(found.refused),
            nothing_refused=found.nothing_refused,
            clips=dict(found.clips),
            sources=dict(found.sources),
            confusions=pairs,
            old_before=found.old_before,
            old_after=found.old_after,
            warnings=found.warnings,
        ).model_dump()


def _kept(old: TaughtCard | None, base: str, labels: tuple[str, ...]) -> TaughtCard:
    """What is left of an earlier estimate when some actions went out."""
    if old is None:
        return TaughtCard(
            base=base, labels=labels, estimate={}, left_out={}, refused={},
            nothing_refused=None, clips={}, sources={}, confusions=(),
            old_before=None, old_after=None, warnings=(),
        )  # fmt: skip
    figures = {
        name: {label: value for label, value in getattr(old, name).items() if label in labels}
        for name in ("estimate", "left_out", "refused", "clips", "sources")
    }
    gone = set(old.labels) - set(labels)
    confusions = tuple(one for one in old.confusions if not {one.label, one.said} & gone)
    warnings = tuple(one for one in old.warnings if not any(label in one for label in gone))
    changed = {**figures, "labels": labels, "confusions": confusions, "warnings": warnings}
    return old.model_copy(update=changed)


def teach(
    model: Recognizer,
    clips: Mapping[str, Sequence[str | os.PathLike[str]]],
    *,
    only: bool = False,
    forget: Sequence[str] = (),
    progress: Progress | None = None,
) -> Taught:
    """Teach a model new actions from a few clips of each.

    The clips are looked at as `recognize` looks at them. The new actions' layers are solved for in
    closed form; the old actions stay, with what the bundle's memory holds of them.

    Args:
        model: of a bundle with a memory, such as the shipped ones.
        clips: by label the paths of at least three clips; under "_nothing" clips of no action.
        only: know the new actions alone.
        forget: actions to take out first.
        progress: called as clips are encoded, with their number.

    Raises:
        DatasetError: too few clips, or a label that the model knows already.
        BundleError: the model's bundle cannot be taught.
        VideoError: a clip gives no pictures.
    """
    base = Taught.of(model.bundle)
    draft = base.draft.forget(forget) if forget else base.draft
    draft = draft.without_old() if only else draft
    chosen = gather(clips)
    known = [label for label in chosen.labels if label in draft.labels]
    if known:
        raise DatasetError(
            f"the model knows {', '.join(known)} already: choose another name, or forget it first"
        )
    began = time.perf_counter()
    windows, numbers = read_all(model, chosen.clips, progress)
    encoded = time.perf_counter()
    taught = teach_windows(replace(base, draft=draft), chosen, windows, numbers)
    seconds = encoded - began, time.perf_counter() - encoded
    return replace(taught, seconds=seconds)


def teach_windows(
    base: Taught, chosen: NewClips, windows: np.ndarray[Any, Any], numbers: np.ndarray[Any, Any]
) -> Taught:
    """`teach` with the clips' windows, float32 [N, 16, D], and the number of each one's clip."""
    first, draft, graph = len(base.labels), base.draft, base.graph
    none = first + len(chosen.labels)
    of_label = {label: first + i for i, label in enumerate(chosen.labels)}
    target = np.array([of_label.get(clip.label or "", none) for clip in chosen.clips])
    _, source = np.unique([clip.source for clip in chosen.clips], return_inverse=True)
    probe = graph.read(windows)
    rows = draft.rows(probe, target[numbers], source[numbers], numbers, moves(base, windows))
    learned = learn(draft, chosen.labels, rows)
    found = estimate(learned, chosen.guessed)
    card = base.bundle.card
    calibration = calibrate(learned, graph.known, card.threshold, card.known_threshold)
    found = with_refusals(found, learned, graph.known, calibration.known_threshold)
    return replace(base, draft=learned.draft, calibration=calibration, estimate=found)


def moves(base: Taught, windows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Log of the mean change between looks, as a share of their size, [N]: what the known score
    reads."""
    looks = windows[..., : base.bundle.card.encoder.feature_size]
    change = np.abs(np.diff(looks, axis=1)).mean(axis=(1, 2))
    shares: np.ndarray[Any, Any] = np.log(change / (np.abs(looks).mean(axis=(1, 2)) + _TINY) + 1e-4)
    return shares


def _write_weights(old: Path, new: Path, draft: Draft) -> None:
    """The head's tensors for the torch engine, stored as they were."""
    tensors = load_file(old)
    for name, layer in PATHS.items():
        for part in ("weight", "bias"):
            key = f"{layer}.{part}"
            tensors[key] = getattr(draft.layers[name], part).astype(tensors[key].dtype)
    save_file(tensors, new)
    new.chmod(0o644)  # safetensors leaves it readable by its owner alone


def _versions() -> dict[str, str]:
    names = ("onnx", "onnxruntime", "numpy")
    return {
        "actionstream": actionstream.__version__,
        **{name: metadata.version(name) for name in names},
    }


def _limits(taught: Taught) -> list[str]:
    """What it cannot do, in sentences."""
    base = taught.bundle.card
    name = base.taught.base if base.taught else base.name
    said = [f"Knows these {len(taught.labels)} actions and no others."]
    if taught.draft.taught:
        said.append(
            f"{', '.join(taught.draft.taught)}: taught with a few clips each; the estimate above "
            "rests on these alone."
        )
    said.append(f"The figures of {name}, from which it was made, are on that bundle's card.")
    return said


__all__ = ["NewClip", "NewClips", "Taught", "teach", "teach_windows"]

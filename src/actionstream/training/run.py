"""A training run from clips to a bundle: set up, encode, cross-validate, calibrate, train, export.

It reads from top to bottom, and every step leaves something that a killed run goes on from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from actionstream.bundle.folder import Bundle, open_bundle
from actionstream.datasets.split import Clip, Split
from actionstream.datasets.leak import check_leaks
from actionstream.engines.onnx import open_encoder
from actionstream.engines.torch import build_networks
from actionstream.errors import TrainingError
from actionstream.inference.preprocess import Geometry, preprocess
from actionstream.inference.sampling import WINDOW, SamplingRule
from actionstream.networks.encoders import Encoder, build_encoder
from actionstream.networks.heads import Head, build_head
from actionstream.networks.known import ServedHead
from actionstream.training.board import losses_to
from actionstream.training.calibrate import Calibration, calibrate
from actionstream.training.card_fields import card_fields, validation_figures
from actionstream.training.crossval import CrossValidation, cross_validate, epoch_report
from actionstream.training.encoder_file import encoder_file
from actionstream.training.final import export_checkpoint, save_final
from actionstream.training.folds import deal_folds
from actionstream.training.loop import fit_head
from actionstream.training.recipe import Recipe
from actionstream.training.records import append_record
from actionstream.training.store import FeatureStore
from actionstream.training.windows import Sample, load_samples
from actionstream.video import VideoReader

CHECK_FRAMES = 32
"""Real frames on which ONNX and PyTorch are compared at export."""

Report = Callable[[str, float, float], None]
"""Called with (what is being done, steps done, steps in all)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a run lives and how it is done; nothing here changes what it gives but seed and init.

    folder: checkpoints, record and the bundle.   store: root of the feature stores.
    seed: of folds, first weights, order, windows and dropout; the stored views have their own.
    weights: ImageNet weights as a file, for encoders that would be downloaded.
    init: a bundle whose encoder (and head, where shapes fit) is started from.
    """

    folder: Path
    store: Path
    seed: int = 0
    resume: bool = False
    weights: Path | None = None
    init: Path | None = None
    workers: int = 2
    name: str | None = None
    command: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """The data as heads train on it."""

    samples: list[Sample]
    encoder: Encoder
    geometry: Geometry


def prepare(
    split: Split, others: Sequence[Clip], recipe: Recipe, settings: Settings, report: Report
) -> Prepared:
    """Check the split, build the encoder and fill the store.

    Raises:
        LeakError: clips of one origin in two subsets.
        TrainingError: no clip could be read, a class of one source only, the head has no such
            option, or the bundle to start from has another encoder.
        DatasetError: fewer sources than folds.
    """
    if not split.leaking:
        check_leaks({**split.subsets, "train": (*split.train, *others)})
    clips = [*split.train, *others]
    deal_folds(clips, len(split.labels), folds=recipe.folds, seed=settings.seed)
    build_head(recipe.head, 8, 2, **recipe.options)  # both are told before the long work
    encoder = _build_encoder(recipe, settings)
    settings.folder.mkdir(parents=True, exist_ok=True)
    opened_file = encoder_file(encoder, settings.store)
    geometry = Geometry(encoder.input_size, recipe.window_fraction)
    store = FeatureStore(
        settings.store,
        open_encoder(opened_file, threads=1),
        opened_file,
        geometry,
        sampling_rule(recipe),
    )
    failed = store.fill(
        clips,
        range(recipe.views),
        workers=settings.workers,
        progress=lambda done, total: report("encoding clips", done, total),
    )
    unreadable = {failure.clip.path for failure in failed}
    kept = [clip for clip in clips if clip.path not in unreadable]
    if not any(clip.label is not None for clip in kept):
        raise TrainingError("no training clip could be read")
    samples = load_samples(store, kept, split.labels, recipe.views)
    return Prepared(samples, encoder, geometry)


def _build_encoder(recipe: Recipe, settings: Settings) -> Encoder:
    if settings.init is not None:
        encoder, _ = build_networks(open_bundle(settings.init))
        if encoder.spec.name != recipe.encoder:
            raise TrainingError(
                f"{settings.init}: its encoder is {encoder.spec.name}, the recipe's "
                f"{recipe.encoder}; choose another recipe, or --set encoder={encoder.spec.name}"
            )
        if recipe.input_size not in (0, encoder.input_size):
            raise TrainingError(
                f"{settings.init}: its encoder takes {encoder.input_size} pixels, the recipe's "
                f"{recipe.input_size}; --set input_size={encoder.input_size}"
            )
        return encoder
    return build_encoder(
        recipe.encoder, pretrained=settings.weights or True, input_size=recipe.input_size or None
    )


def sampling_rule(recipe: Recipe) -> SamplingRule:
    """The recipe's spacing; a stream starts afresh when its whole ring would be stale."""
    return SamplingRule(recipe.spacing_seconds, (WINDOW - 1) * recipe.spacing_seconds)


def experiment(
    split: Split, others: Sequence[Clip], recipe: Recipe, settings: Settings, report: Report
) -> dict[str, Any]:
    """Cross-validate a recipe and append one line to `records.jsonl`; exports nothing."""
    prepared = prepare(split, others, recipe, settings, report)
    began = time.perf_counter()
    validation = cross_validate(
        prepared.samples, len(split.labels), recipe, seed=settings.seed, report=report
    )
    calibration = calibrate(validation, len(split.labels), recipe.ready_after)
    figures = validation_figures(validation, calibration)
    record = {
        "kind": "experiment",
        "split": split.name,
        "seed": settings.seed,
        "recipe": recipe.facts(),
        "seconds": round(time.perf_counter() - began, 1),
        "cross_validation": figures,
    }
    append_record(settings.folder / "records.jsonl", record)
    return record


def train(
    split: Split, others: Sequence[Clip], recipe: Recipe, settings: Settings, report: Report
) -> Bundle:
    """Train a bundle; it lies in `settings.folder / "bundle"`.

    The bundle's thresholds and temperatures are fitted on grouped cross-validation inside the
    training list; the head is then trained once more on all of it. The test list is not read.

    Raises:
        TrainingError: the folder holds a run and `resume` is not set, or a step cannot go on.
        LeakError, DatasetError, VideoError: see `prepare`.
    """
    _check_folder(settings)
    prepared = prepare(split, others, recipe, settings, report)
    with losses_to(settings.folder) as on_loss:
        validation = cross_validate(
            prepared.samples,
            len(split.labels),
            recipe,
            seed=settings.seed,
            folder=settings.folder / "folds",
            report=report,
            on_loss=on_loss,
        )
        calibration = calibrate(validation, len(split.labels), recipe.ready_after)
        head = fit_head(
            prepared.samples,
            len(split.labels),
            recipe,
            seed=settings.seed,
            checkpoint=settings.folder / "head.ckpt",
            on_epoch=epoch_report("final head", report, on_loss),
            start=_head_of(settings.init),
            sums=validation.sums,
        )
    report("exporting", 0, 1)
    bundle = _export(prepared, head, validation, calibration, split, recipe, settings)
    report("exporting", 1, 1)
    record = {
        "kind": "train",
        "split": split.name,
        "seed": settings.seed,
        "recipe": recipe.facts(),
        "cross_validation": validation_figures(validation, calibration),
        "bundle": bundle.fingerprint,
    }
    append_record(settings.folder / "records.jsonl", record)
    return bundle


def _check_folder(settings: Settings) -> None:
    started = [*settings.folder.glob("*.ckpt"), *settings.folder.glob("folds/*.ckpt")]
    if started and not settings.resume:
        raise TrainingError(
            f"{settings.folder}: holds a run already; go on with --resume or choose another --out"
        )


def _head_of(init: Path | None) -> Head | None:
    if init is None:
        return None
    _, served = build_networks(open_bundle(init))
    if served is None:
        raise TrainingError(f"{init}: has no weights.safetensors, so its head cannot be trained on")
    return served.head


def _export(
    prepared: Prepared,
    head: Head,
    validation: CrossValidation,
    calibration: Calibration,
    split: Split,
    recipe: Recipe,
    settings: Settings,
) -> Bundle:
    fields = card_fields(
        split,
        prepared.samples,
        recipe,
        calibration,
        validation,
        name=settings.name or f"{recipe.name}-{split.name}",
        command=settings.command,
    )
    final = settings.folder / "final.ckpt"
    served = ServedHead(head, calibration.known)
    save_final(final, prepared.encoder, served, fields, check_frames(prepared))
    return export_checkpoint(final, settings.folder / "bundle", overwrite=True)


def check_frames(prepared: Prepared) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Real frames of clips spread over the training list, uint8 [N, S, S, 3]."""
    step = max(len(prepared.samples) // 8, 1)
    images = []
    for sample in prepared.samples[::step]:
        with VideoReader(sample.clip.path, threads=1) as reader:
            for index, frame in enumerate(reader):
                if index % 10 == 0:
                    images.append(preprocess(frame.to_rgb(), prepared.geometry))
                if index == 30 or len(images) == CHECK_FRAMES:
                    break
        if len(images) == CHECK_FRAMES:
            break
    return np.stack(images)

"""A training run on stored features, from clips to a bundle.

`train` reads from top to bottom: set up, encode, solve, cross-validate, calibrate, train the final
head, export. Every step leaves a file that a killed run goes on from.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from actionstream.bundle.folder import Bundle, open_bundle
from actionstream.datasets.folds import training_folds, training_problems
from actionstream.datasets.leak import check_leaks
from actionstream.datasets.split import Clip, Split
from actionstream.engines.torch import build_networks
from actionstream.errors import DatasetError, TrainingError
from actionstream.inference.preprocess import Geometry
from actionstream.networks.encoders import Encoder, build_encoder
from actionstream.networks.heads import Head, build_head
from actionstream.networks.ood import InferenceHead, OODScore
from actionstream.progress import Progress
from actionstream.training.common.calibrate import (
    Calibration,
    ClipOutput,
    fit_temperatures,
    fit_thresholds,
)
from actionstream.training.common.card import card_fields, held_out_figures, top1_figure
from actionstream.training.common.checkpoint import append_record
from actionstream.training.common.export import finish_run
from actionstream.training.common.looks import frames_to_check
from actionstream.training.common.loop import EpochReport, Losses, loss_board
from actionstream.training.common.recipe import FeatureRecipe, Settings
from actionstream.training.common.windows import Sample, read_clip
from actionstream.training.features.closed_form import ClosedForm, closed_form
from actionstream.training.features.fit_head import fit_head, run_identity
from actionstream.training.features.ood import fit_ood
from actionstream.training.features.store import load_samples, open_store

PRETRAINED_LICENCE = "the encoder's ImageNet weights come from their own package under its licence"
ONLY_A_GUESS = (
    "Trained without examples of other actions: its 'no known action' is only a guess from how "
    "sure and how typical a clip is."
)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """The data as heads train on it. `start`: the head of the bundle to start from."""

    samples: list[Sample]
    folds: tuple[tuple[int, ...], ...]
    encoder: Encoder
    geometry: Geometry
    template: Head
    start: Head | None


def train(
    split: Split,
    negatives: Sequence[Clip],
    recipe: FeatureRecipe,
    settings: Settings,
    progress: Progress,
) -> Bundle:
    """Train a bundle; it lies in `settings.folder / "bundle"`.

    The bundle's thresholds and temperatures are fitted on grouped cross-validation inside the
    training list; the head is then trained once more on all of it. The test list is not read.

    Raises:
        TrainingError: the folder holds a run and `resume` is not set, or a step cannot go on.
        LeakError, DatasetError, VideoError: see `prepare`.
    """
    settings.check()
    data = prepare(split, negatives, recipe, settings, progress)
    layers = _solve(data, recipe, settings, progress, keep=True)
    with loss_board(settings.folder) as board:
        outputs = cross_validate(data, layers, recipe, settings, progress, board=board, keep=True)
        ood, calibration = calibrate(data.samples, outputs, recipe)
        progress(0, recipe.epochs, "final head")
        head = fit_head(
            data.samples,
            len(split.labels),
            recipe,
            layers.layers(None),
            seed=settings.seed,
            checkpoint=settings.folder / "head.ckpt",
            on_epoch=epoch_report("final head", recipe, progress, board),
            start=data.start,
        )
    progress(0, 1, "exporting")
    bundle = finish_run(
        settings.folder,
        data.encoder,
        InferenceHead(head, ood),
        _card(split, data, recipe, settings, calibration, outputs),
        frames_to_check([sample.clip.path for sample in data.samples], data.geometry, recipe.rule),
        _record("train", split, recipe, settings, held_out_figures(outputs, calibration)),
    )
    progress(1, 1, "exporting")
    return bundle


def experiment(
    split: Split,
    negatives: Sequence[Clip],
    recipe: FeatureRecipe,
    settings: Settings,
    progress: Progress,
) -> dict[str, Any]:
    """Cross-validate a recipe and append one line to `records.jsonl`; exports nothing."""
    data = prepare(split, negatives, recipe, settings, progress)
    began = time.perf_counter()
    layers = _solve(data, recipe, settings, progress, keep=False)
    outputs = cross_validate(data, layers, recipe, settings, progress)
    _, calibration = calibrate(data.samples, outputs, recipe)
    figures = held_out_figures(outputs, calibration)
    seconds = round(time.perf_counter() - began, 1)
    record = {**_record("experiment", split, recipe, settings, figures), "seconds": seconds}
    append_record(settings.folder / "records.jsonl", record)
    return record


def prepare(
    split: Split,
    negatives: Sequence[Clip],
    recipe: FeatureRecipe,
    settings: Settings,
    progress: Progress,
) -> Prepared:
    """Check the data, build the encoder, encode every clip once, and make the folds.

    Raises:
        LeakError: clips of one origin in two subsets.
        DatasetError: classes or sources that cannot be trained on, or no clip could be read.
        TrainingError: the head has no such option, or the bundle to start from has another
            encoder.
    """
    if not split.leaking:
        check_leaks({**split.subsets, "train": (*split.train, *negatives)})
    clips = [*split.train, *negatives]
    refuse_unfit(split, clips, recipe.folds, settings.seed)
    encoder, start = build_networks_to_start(recipe, settings)
    size, classes = encoder.spec.feature_size, len(split.labels)
    template = build_head(recipe.head, size, classes, **recipe.options)
    settings.folder.mkdir(parents=True, exist_ok=True)
    geometry = Geometry(encoder.input_size, recipe.window_fraction)
    store = open_store(encoder, settings.store, geometry, recipe.rule)
    views = range(recipe.views)
    failed = store.fill(clips, views, workers=settings.workers, progress=progress)
    unreadable = {failure.clip.path for failure in failed}
    readable = [clip for clip in clips if clip.path not in unreadable]
    if not any(clip.label is not None for clip in readable):
        raise TrainingError("no training clip could be read")
    folds = training_folds(readable, split.labels, folds=recipe.folds, seed=settings.seed)
    samples = load_samples(store, readable, split.labels, recipe.views)
    return Prepared(samples, folds, encoder, geometry, template, start)


def refuse_unfit(split: Split, clips: Sequence[Clip], folds: int, seed: int) -> None:
    """Raises:
    DatasetError: `data check` says the same of these clips, before the long work.
    """
    for problem in training_problems(clips, split.labels, folds=folds, seed=seed):
        raise DatasetError("; ".join((problem, *split.notes)))


def build_networks_to_start(
    recipe: FeatureRecipe, settings: Settings
) -> tuple[Encoder, Head | None]:
    """The encoder, and the head to start from if a bundle is named."""
    if settings.init is None:
        weights, size = settings.weights or True, recipe.input_size or None
        return build_encoder(recipe.encoder, pretrained=weights, input_size=size), None
    encoder, inference_head = build_networks(open_bundle(settings.init))
    if inference_head is None:
        raise TrainingError(
            f"{settings.init}: has no weights.safetensors, so its head cannot be trained on"
        )
    if encoder.spec.name != recipe.encoder:
        raise TrainingError(
            f"{settings.init}: its encoder is {encoder.spec.name}, the recipe's {recipe.encoder}; "
            f"choose another recipe, or --set encoder={encoder.spec.name}"
        )
    if recipe.input_size not in (0, encoder.input_size):
        raise TrainingError(
            f"{settings.init}: its encoder takes {encoder.input_size} pixels, the recipe's "
            f"{recipe.input_size}; --set input_size={encoder.input_size}"
        )
    return encoder, inference_head.head


def _solve(
    data: Prepared, recipe: FeatureRecipe, settings: Settings, progress: Progress, *, keep: bool
) -> ClosedForm:
    """The layers with a closed form, for all folds and the final head."""
    progress(0, 1, "summing up looks")
    found = closed_form(
        data.template,
        data.samples,
        data.folds,
        recipe,
        file=settings.folder / "closed_form.ckpt" if keep else None,
        identity=run_identity(data.samples, data.template.num_classes, recipe, seed=settings.seed),
    )
    progress(1, 1, "summing up looks")
    return found


def cross_validate(
    data: Prepared,
    layers: ClosedForm,
    recipe: FeatureRecipe,
    settings: Settings,
    progress: Progress,
    *,
    board: Losses | None = None,
    keep: bool = False,
) -> list[ClipOutput]:
    """Train one head a fold on the other folds and let it read the fold's clips.

    With `keep` every head has its own checkpoint, so a killed run goes on where it stopped.

    Returns:
        The out-of-fold outputs of every clip, in the order of the samples.
    """
    outputs: dict[int, ClipOutput] = {}
    for fold, held_out in enumerate(data.folds):
        where = f"fold {fold + 1} of {len(data.folds)}"
        apart = set(held_out)
        head = fit_head(
            [sample for index, sample in enumerate(data.samples) if index not in apart],
            data.template.num_classes,
            recipe,
            layers.layers(fold),
            seed=settings.seed,
            checkpoint=settings.folder / "folds" / f"fold{fold}.ckpt" if keep else None,
            on_epoch=epoch_report(where, recipe, progress, board),
        )
        for index in held_out:
            sample = data.samples[index]
            logits = read_clip(head, sample, recipe.ready_after)
            outputs[index] = ClipOutput(sample.clip, sample.target, logits, fold)
    return [outputs[index] for index in range(len(data.samples))]


def epoch_report(
    where: str, recipe: FeatureRecipe, progress: Progress, board: Losses | None
) -> EpochReport:
    """What `fit_head` calls after every epoch."""

    def tell(epoch: int, loss: float) -> None:
        progress(epoch, recipe.epochs, f"{where}, loss {loss:.3f}")
        if board is not None:
            board(where, epoch, loss)

    return tell


def calibrate(
    samples: Sequence[Sample], outputs: Sequence[ClipOutput], recipe: FeatureRecipe
) -> tuple[OODScore, Calibration]:
    """Temperatures, the OOD score and its thresholds, from out-of-fold outputs."""
    temperatures = fit_temperatures(outputs)
    ood, scores = fit_ood(
        samples,
        outputs,
        temperatures.correct,
        temperatures.reading,
        outputs[0].logits.shape[1],
        recipe.ready_after,
    )
    return ood, fit_thresholds(outputs, temperatures, scores)


def _card(
    split: Split,
    data: Prepared,
    recipe: FeatureRecipe,
    settings: Settings,
    calibration: Calibration,
    outputs: Sequence[ClipOutput],
) -> dict[str, Any]:
    learned = [sample.clip for sample in data.samples if sample.target is not None]
    negatives = [sample.clip for sample in data.samples if sample.target is None]
    how = f"{recipe.folds}-fold cross-validation by group inside the training list, by clip"
    figures = held_out_figures(outputs, calibration)
    listed = split.listed.get("train", len(learned))
    return card_fields(
        split,
        recipe,
        settings,
        calibration,
        learned=learned,
        negatives=negatives,
        figures=[top1_figure("cross-validated top-1", figures, listed, how)],
        limits=[] if negatives else [ONLY_A_GUESS],
        weights=PRETRAINED_LICENCE,
    )


def _record(
    kind: str, split: Split, recipe: FeatureRecipe, settings: Settings, figures: dict[str, Any]
) -> dict[str, Any]:
    facts = {"kind": kind, "split": split.name, "seed": settings.seed, "recipe": recipe.facts()}
    return {**facts, "cross_validation": figures}

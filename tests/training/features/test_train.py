"""A run from clips to a bundle, with ImageNet's Lite0 at its full 224 pixels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bundles
import clips
import moving
import numpy as np
import pytest
import torch
import toy

import actionstream
from actionstream.bundle.folder import Bundle, open_bundle
from actionstream.datasets import Clip, Split, fingerprint, load_negatives
from actionstream.engines.torch import build_networks
from actionstream.errors import LeakError, TrainingError
from actionstream.inference.preprocess import Geometry
from actionstream.networks.encoders import build_encoder
from actionstream.training.common.calibrate import Calibration, ClipOutput, fit_temperatures
from actionstream.training.common.card import card_fields
from actionstream.training.common.recipe import FeatureRecipe, Settings, find_recipe
from actionstream.training.features.fit_head import fit_head
from actionstream.training.features.store import load_samples, open_store
from actionstream.training.features.train import experiment, train

pytestmark = pytest.mark.torch

FOUND = find_recipe(
    "lite0",
    {
        "views": 1,
        "spacing_seconds": 0.2,
        "ready_after": 4,
        "folds": 3,
        "epochs": 12,
        "batch_size": 4,
        "learning_rate": 3e-3,
        "average_decay": 0.9,
        "options.hidden": 8,
    },
)
assert isinstance(FOUND, FeatureRecipe)
RECIPE: FeatureRecipe = FOUND


def quiet(done: float, total: float | None, what: str) -> None:
    """Reports to nobody."""


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """Nine clips of three colours to train on, a broken one, and three to test."""
    made = moving.colour_split(tmp_path_factory.mktemp("colours"), groups=3)
    path = made.train[0].path.with_name("v_Archery_g09_c01.mp4")
    path.write_bytes(b"not a video")
    broken = Clip(path, "Archery", "Archery/g09", path.stem)
    listed = {**made.listed, "train": 10}
    return replace(made, train=(*made.train, broken), listed=listed)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clip, ...]:
    """Three clips of something else."""
    folder = tmp_path_factory.mktemp("others")
    for number in range(3):
        shown = [clips.picture(3 * i + number) for i in range(20)]
        clips.make_clip(folder / f"{number}.mp4", rate=12.5, frames=20, pictures=shown)
    return load_negatives(folder)


@dataclass
class Run:
    bundle: Bundle
    folder: Path
    reports: Sequence[str]


@pytest.fixture(scope="module")
def done(split: Split, others: tuple[Clip, ...], tmp_path_factory: pytest.TempPathFactory) -> Run:
    place = tmp_path_factory.mktemp("run")
    reports: list[str] = []
    bundle = train(
        split,
        others,
        RECIPE,
        Settings(place / "out", place / "store", command="actionstream train"),
        lambda done, total, what: reports.append(what.split(",")[0]),
    )
    return Run(bundle, place / "out", reports)


def test_the_bundle_recognises_what_it_was_trained_on(done: Run, split: Split) -> None:
    assert open_bundle(done.folder / "bundle").fingerprint == done.bundle.fingerprint
    model = actionstream.load(done.bundle.path, threads=1)
    said = [model.recognize(clip.path).top(1)[0].label for clip in split.train[:-1]]
    right = [label == clip.label for label, clip in zip(said, split.train, strict=False)]
    assert sum(right) >= 8, said
    assert model.recognize(split.train[0].path).known


def test_the_card_counts_what_was_read(done: Run, split: Split, others: tuple[Clip, ...]) -> None:
    card = done.bundle.card
    assert card.labels == split.labels
    assert (card.encoder.name, card.geometry.input_size) == ("efficientnet_lite0_bands", 192)
    training = card.training
    assert (training.clips, training.no_action_clips, training.comparable) == (9, 3, True)
    assert training.clips_per_label == dict.fromkeys(split.labels, 3)
    assert training.lists == fingerprint([*split.train[:-1], *others])
    assert training.recipe == json.loads(json.dumps(RECIPE.facts()))
    assert training.command == "actionstream train"
    sentence = "9 of 10 listed clips, 3 labels, groups g02 to g04; 3 clips of other actions or none"
    assert training.data == f"colours: {sentence}"
    (figure,) = card.measured.figures
    assert (figure.evaluated, figure.listed) == (9, 10)
    assert "3-fold cross-validation" in figure.how
    assert figure.low <= figure.value <= figure.high


def test_a_run_says_where_it_is_and_leaves_what_it_goes_on_from(done: Run) -> None:
    stages = list(dict.fromkeys(done.reports))
    folds = [f"fold {number} of 3" for number in (1, 2, 3)]
    assert stages == ["encoding clips", "summing up looks", *folds, "final head", "exporting"]
    names = {str(path.relative_to(done.folder)) for path in done.folder.rglob("*.*")}
    assert {
        "closed_form.ckpt",
        "head.ckpt",
        "final.ckpt",
        "folds/fold0.ckpt",
        "folds/fold2.ckpt",
    } <= names
    assert not [name for name in names if name.endswith(".tmp")]
    (line,) = (done.folder / "records.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert (record["kind"], record["bundle"]) == ("train", done.bundle.fingerprint)
    assert record["cross_validation"]["clips"] == 9
    assert record["cross_validation"]["others"] == 3


def test_losses_are_there_for_tensorboard(done: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(done.folder / "tensorboard"))
    events.Reload()
    heads = [f"loss/fold {number} of 3" for number in (1, 2, 3)] + ["loss/final head"]
    assert sorted(events.Tags()["scalars"]) == sorted(heads)
    assert [one.step for one in events.Scalars("loss/final head")] == [*range(1, RECIPE.epochs + 1)]


def test_a_folder_that_holds_a_run_is_refused(done: Run, split: Split, tmp_path: Path) -> None:
    before = sorted(done.folder.rglob("*"))
    with pytest.raises(TrainingError, match="holds a run already; go on with --resume"):
        train(split, (), RECIPE, Settings(done.folder, tmp_path / "store"), quiet)
    assert sorted(done.folder.rglob("*")) == before


@pytest.mark.parametrize("where", ["group", "others"])
def test_a_leak_is_refused_before_anything_is_written(
    split: Split, others: tuple[Clip, ...], tmp_path: Path, where: str
) -> None:
    """A test clip of a training group, and a test clip among the clips of other actions."""
    leaking, more = split, others
    if where == "group":
        test = (replace(split.test[0], group=split.train[0].group), *split.test[1:])
        leaking = replace(split, test=test)
    else:
        copy = tmp_path / "copy.mp4"
        copy.write_bytes(split.test[0].path.read_bytes())
        more = (*others, Clip(copy, None, "others/copy", "copy"))
    settings = Settings(tmp_path / "out", tmp_path / "store")
    with pytest.raises(LeakError, match="train and test share 1"):
        train(leaking, more, RECIPE, settings, quiet)
    assert not settings.folder.exists()
    assert not settings.store.exists()


def refused(
    split: Split, tmp_path: Path, message: str, recipe: Any = RECIPE, **settings: Any
) -> None:
    """The run ends at once, before the long work."""
    place = Settings(tmp_path / "out", tmp_path / "store", **settings)
    with pytest.raises(TrainingError, match=message):
        train(split, (), recipe, place, quiet)
    assert not place.store.exists()


def test_settings_that_cannot_work_are_told_at_once(split: Split, tmp_path: Path) -> None:
    options = {"hiden": 8}
    refused(split, tmp_path, "hiden", replace(RECIPE, options=options))
    options = {"dropout": 5}
    refused(
        split, tmp_path, "probability has to be between 0 and 1", replace(RECIPE, options=options)
    )
    small = bundles.small_bundle(tmp_path / "small")
    message = "its encoder is efficientnet_lite0, the recipe's efficientnet_lite2"
    refused(split, tmp_path, message, replace(RECIPE, encoder="efficientnet_lite2"), init=small)


def test_another_seed_finds_the_clips_in_the_store(
    done: Run, split: Split, others: tuple[Clip, ...], tmp_path: Path
) -> None:
    """Folds and weights are drawn anew, the dear views are not."""
    store = done.folder.parent / "store"
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*.npz")}
    record = experiment(
        split, others, replace(RECIPE, epochs=1), Settings(tmp_path, store, seed=7), quiet
    )
    assert record["seed"] == 7
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*.npz")} == before
    (facts,) = store.glob("*/store.json")
    assert json.loads(facts.read_text())["seed"] == 0


def test_no_readable_clip_is_an_error(done: Run, split: Split, tmp_path: Path) -> None:
    bad = []
    for number, one in enumerate(split.train[:9]):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(b"no video" * (number + 1))
        bad.append(replace(one, path=path))
    nothing = replace(split, train=tuple(bad))
    settings = Settings(tmp_path / "out", done.folder.parent / "store")
    with pytest.raises(TrainingError, match="no training clip could be read"):
        experiment(nothing, (), RECIPE, settings, quiet)


def test_a_leaking_split_says_so_on_its_card(tmp_path: Path) -> None:
    listed = tuple(sample.clip for sample in toy.clusters(4))
    split = Split(
        "random split, seed 0 (not comparable)",
        toy.LABELS,
        listed,
        (),
        (),
        {"train": 12},
        leaking=True,
        absent_labels=("d",),
        notes=("groups are guessed",),
    )
    outputs = [
        ClipOutput(clip, toy.LABELS.index(str(clip.label)), np.eye(3, dtype=np.float32)[:1])
        for clip in listed
    ]
    found = Calibration(fit_temperatures(outputs), 0.1, 0.2, np.zeros(12))
    fields = card_fields(
        split,
        toy.RECIPE,
        Settings(tmp_path, tmp_path, name="n", command="c"),
        found,
        learned=listed,
        negatives=(),
        figures=[],
        limits=["Trained without examples of other actions"],
        weights="no others",
    )
    assert (fields["name"], fields["training"]["command"]) == ("n", "c")
    assert fields["training"]["comparable"] is False
    assert fields["training"]["data"] == (
        "random split, seed 0 (not comparable): all 12 clips, 3 labels, 6 groups"
    )
    limits = " ".join(fields["limits"])
    assert "NOT COMPARABLE" in limits
    assert "1 labels of the data set's lists were not at hand" in limits
    assert "Trained without examples of other actions" in limits
    assert "groups are guessed" in limits


def test_the_final_head_is_trained_on_all_clips(
    done: Run, split: Split, others: tuple[Clip, ...]
) -> None:
    """The bundle's head is `fit_head` on the whole list, not one of the folds'."""
    found, inference_head = build_networks(done.bundle)
    encoder = build_encoder("efficientnet_lite0_bands", input_size=192).eval()
    pictures = torch.from_numpy(bundles.pictures(2, 192))
    with torch.inference_mode():  # the bundle's batch norms are folded into the convolutions
        torch.testing.assert_close(found(pictures), encoder(pictures), atol=1e-4, rtol=1e-4)
    root = done.folder.parent / "store"
    (file,) = (root / "encoders").iterdir()
    store = open_store(encoder, root, Geometry(192), RECIPE.rule)
    assert list((root / "encoders").iterdir()) == [file]  # not made again
    samples = load_samples(store, [*split.train[:-1], *others], split.labels, RECIPE.views)
    again = fit_head(samples, 3, RECIPE, toy.solved(samples, RECIPE)).state_dict()
    for key, value in inference_head.head.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), again[key].numpy(), err_msg=key)

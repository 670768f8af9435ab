"""A dry run over all of UCF101: the real lists, every label, clips made here; train to predict."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import end_to_end_training
import moving
import pytest
import torch
from torchvision.models import resnet18

import actionstream
from actionstream.bundle.card import Card
from actionstream.cli import main
from actionstream.datasets import UCF101_LABELS, load_ucf101
from actionstream.recognizer import Recognizer
from actionstream.training.common.recipe import RECIPES

pytestmark = [pytest.mark.torch, pytest.mark.clips]

CLIPS_OF_A_LABEL = ("g08_c01", "g09_c01", "g10_c01", "g01_c01")  # split 1 tests on the last
SMALL = [
    *("--set", "encoder=efficientnet_lite0", "--set", "input_size=32"),  # weights from its package
    *("--set", "views=1", "--set", "spacing_seconds=0.2", "--set", "ready_after=3"),
    *("--set", "folds=3", "--set", "epochs=1", "--set", "options.deviation=false"),
]
CLASSIC = replace(
    end_to_end_training.TINY,
    input_size=16,
    batch_size=8,
    validation_fraction=1 / 3,
    options={**end_to_end_training.TINY.options, "hidden": 16},
)


@pytest.fixture(scope="module")
def tree(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """UCF101 as its authors publish it, thinned, with the names that stand in the lists."""
    root = tmp_path_factory.mktemp("ucf101")
    lists = data_dir / "splits" / "ucf101"
    shutil.copytree(lists, root / "ucfTrainTestlist")
    hue = {label: number / 101 for number, label in enumerate(UCF101_LABELS)}
    for seed, (folder, name) in enumerate(_listed(lists)):
        path = (root / "UCF-101" / folder / name).with_suffix(".mp4")
        moving.write_clip(path, hue[folder], seed=seed, frames=13, size=(24, 18))
    return root


def _listed(lists: Path) -> Iterator[tuple[str, str]]:
    """Folder and file name of the chosen clips, as the lists spell them."""
    for kind in ("train", "test"):
        for line in (lists / f"{kind}list01.txt").read_text().splitlines():
            if line.strip() and line.split()[0].rpartition(".")[0].endswith(CLIPS_OF_A_LABEL):
                folder, _, name = line.split()[0].partition("/")
                yield folder, name


def test_the_real_lists_give_all_labels(tree: Path) -> None:
    split = load_ucf101(tree)
    assert split.labels == UCF101_LABELS
    assert (len(split.train), len(split.test)) == (303, 101)
    assert Counter(clip.label for clip in split.train) == dict.fromkeys(UCF101_LABELS, 3)
    assert (split.listed["train"], split.listed["test"]) == (9537, 3783)
    stems = {clip.label: clip.stem for clip in split.test}
    assert stems["HandstandPushups"] == "v_HandStandPushups_g01_c01"  # as the lists have it


def test_train_export_and_predict_with_101_labels(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The three commands as typed, on the way that the shipped bundles came: views in the store,
    folds, layers in closed form, calibration. Small are only pictures, looks and epochs.
    """
    run = tmp_path / "run"
    words = ["--data", str(tree), "--recipe", "lite0", "--out", str(run)]
    assert main(["train", *words, "--store", str(tmp_path / "store"), *SMALL]) == 0
    assert capsys.readouterr().out.strip() == str(run / "bundle")
    made = tmp_path / "made"
    assert main(["export", str(run / "final.ckpt"), "--to", str(made)]) == 0
    assert capsys.readouterr().out.strip() == str(made)

    model = actionstream.load(made)
    assert model.fingerprint == actionstream.load(run / "bundle").fingerprint
    assert model.labels == UCF101_LABELS
    training = model.card.training
    assert (training.split, training.clips) == ("UCF101 split 1", 303)
    assert training.clips_per_label == dict.fromkeys(UCF101_LABELS, 3)
    figure = model.card.measured.figures[0]
    assert "3-fold cross-validation" in figure.how
    assert (figure.evaluated, figure.listed) == (303, 9537)
    assert figure.value > 5 / 101  # many hues are neighbours; a guess has 1/101
    check_calibration(model.card)
    check_predictions(model, made, tree, capsys)


def check_calibration(card: Card) -> None:
    """Fitted on what the folds said, all of it."""
    assert card.temperature != 1.0
    assert card.file_temperature != 1.0
    assert 0 < card.threshold < 1
    assert 0 < card.known_threshold < 1


def check_predictions(
    model: Recognizer, bundle: Path, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Clips of the test list, of which no part of the run has seen anything."""
    tested = load_ucf101(tree).test
    paths = [str(clip.path) for clip in tested]
    assert main(["predict", *paths, "--json", "--top", "101", "--model", str(bundle)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["source"] for line in lines] == paths
    for line in lines:
        assert line["status"] == "ok"
        assert {one["label"] for one in line["top"]} == set(UCF101_LABELS)
        assert sum(one["confidence"] for one in line["top"]) == pytest.approx(1.0, abs=1e-5)
        assert 0 <= line["known_score"] <= 1
    right = [
        line["top"][0]["label"] == clip.label for line, clip in zip(lines, tested, strict=True)
    ]
    assert sum(right) > 5  # of 101; a guess has 1
    known = {line["known"] for line in lines}
    assert known == {True, False}, known
    answer = model.recognize(tested[0].path)
    assert answer.top(1)[0].label == lines[0]["top"][0]["label"]


def test_the_classic_recipe_with_101_labels(
    tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Trained on frames, with one short epoch a phase."""
    weights, run = tmp_path / "resnet18.pth", tmp_path / "run"
    torch.save(resnet18(weights=None).state_dict(), weights)
    monkeypatch.setitem(RECIPES, "classic", CLASSIC)
    words = ["--data", str(tree), "--recipe", "classic", "--weights", str(weights)]
    assert main(["train", *words, "--out", str(run)]) == 0
    assert capsys.readouterr().out.strip() == str(run / "bundle")
    model = actionstream.load(run / "bundle")
    assert model.labels == UCF101_LABELS
    training = model.card.training
    assert (training.split, training.clips) == ("UCF101 split 1", 202)
    assert training.clips_per_label == dict.fromkeys(UCF101_LABELS, 2)
    figure = model.card.measured.figures[0]
    assert (figure.evaluated, figure.listed) == (101, 101)
    answer = model.recognize(load_ucf101(tree).test[0].path)
    assert sum(one.confidence for one in answer.top(101)) == pytest.approx(1.0, abs=1e-5)

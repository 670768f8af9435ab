"""A dry run over all of UCF101: the real lists, every label, clips made here; train to predict."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import frame_training
import moving
import pytest
import torch
from torchvision.models import resnet18

import actionstream
from actionstream.cli import main
from actionstream.datasets import UCF101_LABELS, load_ucf101
from actionstream.training import finetune

pytestmark = [pytest.mark.torch, pytest.mark.clips]

CLIPS_OF_A_LABEL = ("g08_c01", "g09_c01", "g01_c01")  # split 1 trains on two and tests on the last
SMALL = replace(
    frame_training.TINY,
    input_size=16,
    batch_size=8,
    validation_fraction=0.5,
    options={**frame_training.TINY.options, "hidden": 16},
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
        moving.write_clip(path, hue[folder], seed=seed, frames=6, size=(24, 18))
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
    assert (len(split.train), len(split.test)) == (202, 101)
    assert Counter(clip.label for clip in split.train) == dict.fromkeys(UCF101_LABELS, 2)
    assert (split.listed["train"], split.listed["test"]) == (9537, 3783)
    stems = {clip.label: clip.stem for clip in split.test}
    assert stems["HandstandPushups"] == "v_HandStandPushups_g01_c01"  # as the lists have it


def test_train_export_and_predict_with_101_labels(
    tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`actionstream train`, `export` and `predict` as typed; one short epoch a phase."""
    weights, run = tmp_path / "resnet18.pth", tmp_path / "run"
    torch.save(resnet18(weights=None).state_dict(), weights)
    monkeypatch.setattr(finetune, "FRAME_RECIPES", {"classic": SMALL})
    words = ["--data", str(tree), "--recipe", "classic", "--weights", str(weights)]
    assert main(["train", *words, "--out", str(run)]) == 0
    assert capsys.readouterr().out.strip() == str(run / "bundle")

    model = actionstream.load(run / "bundle")
    assert model.labels == UCF101_LABELS
    training = model.card.training
    assert (training.split, training.clips) == ("UCF101 split 1", 101)
    assert training.clips_per_label == dict.fromkeys(UCF101_LABELS, 1)
    figure = model.card.measured.figures[0]
    assert (figure.evaluated, figure.listed) == (101, 101)

    tested = [clip.path for clip in load_ucf101(tree).test[:3]]
    assert main(["predict", *map(str, tested), "--json", "--model", str(run / "bundle")]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["source"] for line in lines] == [str(path) for path in tested]
    for line in lines:
        assert line["status"] == "ok"
        assert line["label"] in UCF101_LABELS
        assert 1 / 101 < line["confidence"] < 1
    answer = model.recognize(tested[0])
    assert sum(one.confidence for one in answer.top(101)) == pytest.approx(1.0, abs=1e-5)
    assert answer.label == lines[0]["label"]

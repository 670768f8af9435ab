"""A split says in words which layout and lists it comes from, and no folder of the machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import plant

from actionstream.datasets import Layout, load_dataset

HMDB51 = [f"BATMAN_climb_f_cm_np1_ba_bad_{number}.avi" for number in (1, 2)]


@pytest.mark.parametrize(
    ("layout", "source"),
    [
        ("ucf101", "UCF101 layout, trainlist01.txt"),
        ("kaggle", "UCF101 in the layout of Kaggle, trainlist01.txt"),
    ],
)
def test_official_lists_of_ucf101(
    tmp_path: Path, small_lists: Path, layout: Layout, source: str
) -> None:
    folder = "train/Archery" if layout == "kaggle" else "Archery"
    root = plant(tmp_path / "clips", [f"{folder}/v_Archery_g0{n}_c01.avi" for n in (1, 8)])
    assert load_dataset(root, layout, lists=small_lists).source == source


def test_hmdb51(tmp_path: Path) -> None:
    root = plant(tmp_path / "clips", [f"climb/{name}" for name in HMDB51])
    rows = [f"{name} {tag}" for tag, name in enumerate(HMDB51, start=1)]
    (tmp_path / "climb_test_split2.txt").write_text("\n".join(rows))
    split = load_dataset(root, "hmdb51", lists=tmp_path, split=2)
    assert split.source == "HMDB51 layout, tag 1 of *_test_split2.txt"


@pytest.mark.parametrize(
    ("files", "named"),
    [(["train", "test"], "test.csv, train.csv"), (["train", "test", "a", "b"], "4 CSV files")],
)
def test_csv(tmp_path: Path, files: list[str], named: str) -> None:
    root = plant(tmp_path, [f"{name}.mp4" for name in files])
    for name in files:
        subset = "test" if name == "test" else "train"
        (root / f"{name}.csv").write_text(f"path,label,split\n{name}.mp4,run,{subset}\n")
    assert load_dataset(root, "csv").source == f"CSV layout, {named}"


def test_folder(tmp_path: Path) -> None:
    root = plant(tmp_path, ["run/a.mp4", "run/b.mp4"])
    assert load_dataset(root, "folder").source == "folder layout"

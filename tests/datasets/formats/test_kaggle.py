from __future__ import annotations

from pathlib import Path

import pytest
from trees import plant

from actionstream.datasets import check_leaks, load_kaggle
from actionstream.datasets.formats.kaggle import read_published
from actionstream.errors import DatasetError

NAMES = [
    "train/Archery/v_Archery_g08_c01.avi",
    "train/Archery/v_Archery_g01_c01.avi",
    "val/Archery/v_Archery_g09_c01.avi",
    "val/HandstandPushups/v_HandStandPushups_g01_c01.avi",
    "test/Archery/v_Archery_g01_c02.avi",
    "test/Archery/v_Archery_g08_c01.avi",
    "test/HandstandPushups/v_HandStandPushups_g08_c01.avi",
]


@pytest.fixture
def kaggle(tmp_path: Path) -> Path:
    root = plant(tmp_path / "kaggle", NAMES)
    for folder in ("train", "val", "test"):
        rows = [name for name in NAMES if name.startswith(folder)]
        lines = [f"{Path(n).stem},/{n},{Path(n).parent.name}" for n in rows]
        (root / f"{folder}.csv").write_text("\n".join(["clip_name,clip_path,label", *lines]))
    return root


def test_the_official_lists_are_applied_by_name(kaggle: Path, small_lists: Path) -> None:
    split = load_kaggle(kaggle, lists=small_lists)
    assert split.labels == ("Archery", "HandstandPushups")
    # v_Archery_g08_c01 lies in train and in test: the first is taken.
    assert [clip.path.relative_to(kaggle).as_posix() for clip in split.train] == [
        "train/Archery/v_Archery_g08_c01.avi",
        "val/Archery/v_Archery_g09_c01.avi",
        "test/HandstandPushups/v_HandStandPushups_g08_c01.avi",
    ]
    assert [clip.stem for clip in split.test] == [
        "v_Archery_g01_c01",
        "v_Archery_g01_c02",
        "v_HandStandPushups_g01_c01",
    ]
    assert split.listed == {"train": 4, "test": 3}
    assert split.missing == {"train": ("v_HandStandPushups_g09_c01",), "test": ()}
    assert check_leaks(split.subsets) == ()
    assert len(split.notes) == 2
    assert split.notes[0].startswith("clips that are there twice: 1 (")
    assert split.notes[1].startswith("the published folders train and test share 2 groups")


def test_what_the_published_folders_hold(kaggle: Path) -> None:
    published = read_published(kaggle)
    assert {name: len(files) for name, files in published.files.items()} == {
        "train": 2,
        "val": 2,
        "test": 3,
    }
    assert {stem: len(paths) for stem, paths in published.duplicates.items()} == {
        "v_archery_g08_c01": 2
    }
    assert published.shared_groups == {
        ("train", "val"): (),
        ("train", "test"): ("archery/g01", "archery/g08"),
        ("val", "test"): (),
    }
    assert published.rows_without_file == published.files_without_row == ()


def test_csv_files_and_folders_may_differ(kaggle: Path, small_lists: Path) -> None:
    (kaggle / "val/Archery/v_Archery_g09_c01.avi").unlink()
    plant(kaggle, ["train/Archery/v_Archery_g20_c01.avi"])
    (kaggle / "test.csv").unlink()
    published = read_published(kaggle)
    assert published.rows_without_file == ("val: v_archery_g09_c01",)
    assert published.files_without_row == ("train: v_archery_g20_c01",)
    split = load_kaggle(kaggle, lists=small_lists)
    assert len(split.train) == 2
    assert split.notes[:2] == (
        "clips named by a CSV but not in its folder: 1 (such as val: v_archery_g09_c01)",
        "clips in a folder but not named by its CSV: 1 (such as train: v_archery_g20_c01)",
    )


def test_bad_csv_files_are_named(kaggle: Path, tmp_path: Path) -> None:
    (kaggle / "val.csv").write_text("name,label\nx,Archery\n")
    with pytest.raises(DatasetError, match=r"val\.csv:1: no column clip_name, clip_path"):
        read_published(kaggle)
    (kaggle / "val.csv").write_text("clip_name,clip_path,label\nx,y,z\na,b\n")
    with pytest.raises(DatasetError, match=r"val\.csv:3: expected 3 cells"):
        read_published(kaggle)
    (kaggle / "val.csv").write_text("clip_name,clip_path,label\n,y,z\n")
    with pytest.raises(DatasetError, match=r"val\.csv:2: the column clip_name is empty"):
        read_published(kaggle)
    with pytest.raises(DatasetError, match="none of the folders train, val, test"):
        read_published(tmp_path)


def test_the_lists_are_needed(kaggle: Path) -> None:
    with pytest.raises(DatasetError, match="no official lists in"):
        load_kaggle(kaggle)

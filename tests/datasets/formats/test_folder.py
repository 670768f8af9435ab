from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from trees import plant

from actionstream.datasets import (
    Grouping,
    check_leaks,
    load_dataset,
    load_folder,
    load_labelled,
    load_negatives,
)
from actionstream.errors import DatasetError, LeakError

ALONE = "no groups can be told from the names: every clip stands alone, sources may leak"
HELD_OUT = "the data names no test subset: a fifth of every label, whole groups, seed 0"


def groups(root: Path, grouping: Grouping = "auto") -> dict[str, str]:
    return {clip.stem: clip.group for clip in load_folder(root, grouping=grouping).clips}


def test_real_folder(data_dir: Path) -> None:
    split = load_dataset(data_dir / "fights", "folder")
    assert split.labels == ("fight", "noFight")
    there = {name: len(list((data_dir / "fights" / name).iterdir())) for name in split.labels}
    tested = Counter(clip.label for clip in split.test)
    assert tested == {name: round(count / 5) for name, count in there.items()}
    assert Counter(clip.label for clip in split.train) + tested == there
    assert split.listed == {"train": len(split.train), "validation": 0, "test": len(split.test)}
    assert split.notes == (ALONE, HELD_OUT)
    assert check_leaks(split.subsets) == ()
    assert split.test == load_folder(data_dir / "fights").test
    assert split.test != load_folder(data_dir / "fights", seed=1).test


def test_sides_given_by_folders(tmp_path: Path) -> None:
    names = ["train/Run/a.mp4", "train/Hop/b.mp4", "Val/Run/c.mp4", "test/Run/deep/d.mp4"]
    split = load_folder(plant(tmp_path, [*names, "test/Run/notes.txt"]), grouping="alone")
    assert split.labels == ("Hop", "Run")
    assert [c.stem for c in split.train] == ["Hop__b", "Run__a"]
    assert [c.stem for c in split.validation] == ["Run__c"]
    assert [(c.stem, c.group) for c in split.test] == [("Run__deep__d", "Run/deep/d")]
    assert split.listed == {"train": 2, "validation": 1, "test": 1}
    assert split.notes == ()


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    names = [f"{label}/{i}.mp4" for label in ("train", "bus") for i in range(5)]
    assert load_folder(plant(tmp_path, names)).labels == ("bus", "train")


def test_one_name_on_two_sides_is_refused(tmp_path: Path) -> None:
    root = plant(tmp_path, ["train/Run/a.mp4", "test/Run/a.mp4"])
    with pytest.raises(LeakError, match=r"share 1 clip names \(Run__a\)"):
        check_leaks(load_folder(root).subsets)


def test_groups_by_ucf_names(tmp_path: Path) -> None:
    root = plant(tmp_path, [f"Run/v_run_g0{g}_c0{c}.mp4" for g in (1, 2) for c in (1, 2)])
    assert groups(root) == groups(root, "ucf")
    assert groups(root)["Run__v_run_g02_c01"] == "Run/g02"
    assert len(set(groups(root).values())) == 2
    assert load_folder(root).notes[0] == "groups are guessed from gNN in the names"


def test_groups_by_subfolder_hold_over_classes(tmp_path: Path) -> None:
    names = [f"{label}/{who}/{i}.mp4" for label in ("A", "B") for who in "xyz" for i in (1, 2)]
    root = plant(tmp_path, names)
    assert groups(root) == groups(root, "subfolder")
    assert groups(root)["A__x__1"] == groups(root)["B__x__2"] == "x"
    split = load_folder(root)
    assert split.notes[0] == "groups are guessed from the folders below the classes"
    assert check_leaks(split.subsets) == ()
    assert Counter(clip.label for clip in split.test) == {"A": 2, "B": 2}


def test_groups_by_numbered_pieces(tmp_path: Path) -> None:
    names = [f"Run/{name}_{i:02}.mp4" for name in ("park", "gym-2") for i in range(3)]
    root = plant(tmp_path, names)
    assert groups(root)["Run__gym-2_01"] == "gym-2"
    assert set(groups(root).values()) == {"park", "gym-2"}
    assert "guessed from numbered names" in load_folder(root).notes[0]
    assert len(set(groups(root, "alone").values())) == 6


def test_one_name_with_numbers_only_is_no_group(tmp_path: Path) -> None:
    root = plant(tmp_path, [f"{label}/clip_{i}.mp4" for label in ("A", "B") for i in range(5)])
    split = load_folder(root)
    assert len({clip.group for clip in split.clips}) == 10
    assert split.notes == (ALONE, HELD_OUT)


def test_same_bytes_join_groups_before_the_test_side_is_drawn(tmp_path: Path) -> None:
    root = plant(tmp_path, [f"Run/{name}.mp4" for name in "abcd"])
    for name in "abc":
        (root / f"Run/{name}.mp4").write_text("same")
    for seed in range(6):
        split = load_folder(root, seed=seed)
        assert {len(split.train), len(split.test)} == {1, 3}
        check_leaks(split.subsets)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    root = plant(tmp_path, ["Run/a.mp4", "Run/b.mp4"])
    with pytest.raises(DatasetError, match=r"a\.mp4: the grouping 'pieces' does not fit"):
        load_folder(root, grouping="pieces")
    with pytest.raises(DatasetError, match="grouping is auto or one of ucf, subfolder, pieces"):
        load_folder(root, grouping="film")  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="no such class: 'Hop'"):
        load_folder(root, labels=["Hop"])
    with pytest.raises(DatasetError, match=r"holds no clip; expected Class/clip\.mp4"):
        load_folder(plant(tmp_path / "flat", ["a.mp4"]))
    with pytest.raises(DatasetError, match="no label has two groups"):
        load_folder(plant(tmp_path / "one", ["Run/a.mp4"]))
    with pytest.raises(DatasetError, match="layout is one of ucf101, kaggle"):
        load_dataset(root, "ucf50")  # type: ignore[arg-type]


def test_real_clips_of_other_actions(data_dir: Path) -> None:
    others = load_negatives(data_dir / "other" / "train")
    with (data_dir / "other/train/labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 97
    assert [clip.path.name for clip in others] == [row["file"] for row in rows]
    assert {clip.label for clip in others} == {None}
    for column in ("source", "shows"):
        grouped = load_negatives(others[0].path.parent, group=column)
        assert [clip.group for clip in grouped] == [row[column] for row in rows]


def test_labelled_folder(tmp_path: Path) -> None:
    plant(tmp_path, ["1.mp4", "2.mp4"])
    table = tmp_path / "labels.csv"
    table.write_text('file,label,source\n"1.mp4","Run","park, north"\n2.mp4,,gym\n')
    clips = load_labelled(tmp_path)
    assert [(c.stem, c.label, c.group) for c in clips] == [
        ("1", "Run", "park, north"),
        ("2", None, "gym"),
    ]
    assert [c.label for c in load_negatives(tmp_path)] == [None, None]
    table.write_text("file,label,source\n3.mp4,Run,park\n")
    with pytest.raises(DatasetError, match=r"labels\.csv:2: no such file: .*3\.mp4"):
        load_labelled(tmp_path)
    table.write_text("file,label,source\n1.mp4,Run,\n")
    with pytest.raises(DatasetError, match=r"labels\.csv:2: the column source is empty"):
        load_labelled(tmp_path)

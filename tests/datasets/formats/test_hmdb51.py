from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from trees import plant

from actionstream.datasets import check_leaks, load_hmdb51
from actionstream.datasets.formats.hmdb51 import hmdb51_film, read_hmdb51_lists
from actionstream.errors import DatasetError

WALK = [
    "Kung_Fu_1_walk_f_cm_np1_ba_bad_0.avi 1 ",
    "Kung_Fu_1_walk_f_cm_np1_fr_med_1.avi 1 ",
    "Rain_walk_u_nm_np10_le_goo_3.avi 2 ",
    "Snow_walk_u_nm_np2_ri_goo_0.avi 0 ",
]
RUN = ["Rain_run_l_cm_np1_ba_bad_12.avi 1 ", "Kung_Fu_1_run_h_nm_np1_ba_bad_2.avi 2 "]


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    folder = tmp_path / "testTrainMulti_7030_splits"
    folder.mkdir()
    (folder / "walk_test_split1.txt").write_text("\n".join([*WALK, ""]))
    (folder / "run_test_split1.txt").write_text("\n".join([*RUN, ""]))
    return folder


@pytest.mark.parametrize("split", [1, 2, 3])
def test_real_lists(data_dir: Path, split: int) -> None:
    subsets = read_hmdb51_lists(data_dir / "splits" / "hmdb51", split)
    counts = {subset: Counter(clip.label for clip in clips) for subset, clips in subsets.items()}
    assert len(counts["train"]) == len(counts["test"]) == 51
    assert set(counts["train"].values()) == {70}
    assert set(counts["test"].values()) == {30}
    groups = {subset: {clip.group for clip in clips} for subset, clips in subsets.items()}
    assert not groups["train"] & groups["test"]


def test_films_cross_the_official_split_between_classes(data_dir: Path) -> None:
    subsets = read_hmdb51_lists(data_dir / "splits" / "hmdb51", 1)
    films = {subset: {c.group.split("/", 1)[1] for c in clips} for subset, clips in subsets.items()}
    assert len(films["train"] & films["test"]) == 133


def test_clips_are_found_in_any_container(tmp_path: Path, lists: Path) -> None:
    names = [
        "walk/Kung_Fu_1_walk_f_cm_np1_fr_med_1.mp4",
        "walk/Rain_walk_u_nm_np10_le_goo_3.avi",
        "walk/Snow_walk_u_nm_np2_ri_goo_0.avi",
        "run/Rain_run_l_cm_np1_ba_bad_12.webm",
    ]
    root = plant(tmp_path / "hmdb51", names)
    split = load_hmdb51(root)  # the lists stand beside it
    assert split.labels == ("run", "walk")
    assert [(clip.label, clip.group, clip.path) for clip in split.train] == [
        ("run", "run/Rain", root / names[3]),
        ("walk", "walk/Kung_Fu_1", root / names[0]),
    ]
    assert [clip.path for clip in split.test] == [root / names[1]]
    assert split.listed == {"train": 3, "test": 2}
    assert split.missing["train"] == ("Kung_Fu_1_walk_f_cm_np1_ba_bad_0",)
    assert check_leaks(split.subsets) == ()
    assert load_hmdb51(root, lists=lists, labels=["walk"]).labels == ("walk",)


def test_the_rule_of_the_group() -> None:
    stem = "BATMAN_BEGINS_climb_stairs_f_cm_np1_ba_bad_15"
    assert hmdb51_film(stem, "climb_stairs") == "BATMAN_BEGINS"
    with pytest.raises(DatasetError, match="expected a stem like film_walk_"):
        hmdb51_film(stem, "walk")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("Rain_walk_u_nm_np1_le_goo_4.avi 3", "expected `clip.avi 0|1|2`"),
        ("Rain_walk_u_nm_np1_le_goo_4.avi", "expected `clip.avi 0|1|2`"),
        ("Rain_run_u_nm_np1_le_goo_4.avi 1", "expected a stem like film_walk_"),
        (WALK[0], "is there twice"),
    ],
)
def test_bad_lines_are_named(lists: Path, line: str, problem: str) -> None:
    path = lists / "walk_test_split1.txt"
    path.write_text("\n".join([*WALK, line]))
    with pytest.raises(DatasetError, match=re.escape(f"{path}:5: ") + ".*" + re.escape(problem)):
        read_hmdb51_lists(lists, 1)


def test_no_lists(tmp_path: Path, lists: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no list \*_test_split2\.txt"):
        read_hmdb51_lists(lists, 2)
    with pytest.raises(DatasetError, match="no official lists in it or beside it"):
        load_hmdb51(plant(tmp_path / "a" / "b", ["walk/x.avi"]))

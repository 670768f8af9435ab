from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from trees import plant, real_stems

from actionstream.datasets import UCF101_LABELS, check_leaks, fingerprint, load_ucf101
from actionstream.datasets.formats.ucf101 import read_class_list, read_official_lists
from actionstream.datasets.groups import ucf101_group
from actionstream.errors import DatasetError


def test_the_packaged_class_list_has_the_101_labels_in_order() -> None:
    assert len(UCF101_LABELS) == len(set(UCF101_LABELS)) == 101
    assert (UCF101_LABELS[0], UCF101_LABELS[36], UCF101_LABELS[100]) == (
        "ApplyEyeMakeup",
        "HandstandPushups",
        "YoYo",
    )
    assert list(UCF101_LABELS) == sorted(UCF101_LABELS, key=str.casefold)


def test_the_packaged_class_list_is_the_official_one(ucf101_lists: Path) -> None:
    assert read_class_list(ucf101_lists / "classInd.txt") == UCF101_LABELS


@pytest.mark.parametrize(
    ("split", "train", "test"), [(1, 9537, 3783), (2, 9586, 3734), (3, 9624, 3696)]
)
def test_official_lists(ucf101_lists: Path, split: int, train: int, test: int) -> None:
    subsets = read_official_lists(ucf101_lists).subsets(split)
    assert (len(subsets["train"]), len(subsets["test"])) == (train, test)
    groups = {subset: {clip.group for clip in clips} for subset, clips in subsets.items()}
    assert not groups["train"] & groups["test"]
    assert len(groups["train"] | groups["test"]) == 101 * 25
    assert {clip.label for clip in subsets["train"]} == set(UCF101_LABELS)
    assert {clip.label for clip in subsets["test"]} == set(UCF101_LABELS)


def test_real_clips(data_dir: Path, ucf101_lists: Path) -> None:
    split = load_ucf101(data_dir / "ucf101", lists=ucf101_lists)
    folders = {path.name for path in (data_dir / "ucf101").iterdir() if path.is_dir()}
    assert set(split.labels) == folders
    assert len(folders) >= 27
    found = {subset: {clip.stem for clip in clips} for subset, clips in split.subsets.items()}
    assert found == {
        "train": real_stems(data_dir / "ucf101", first_group=8, last_group=25),
        "validation": set(),
        "test": real_stems(data_dir / "ucf101", first_group=1, last_group=7),
    }
    for subset in ("train", "test"):
        assert split.listed[subset] == len(found[subset]) + len(split.missing[subset])
    few = ("PushUps", "HandstandPushups")
    assert (split.listed_of("train", few), split.listed_of("test", few)) == (72 + 100, 30 + 28)
    absent = split.absent_labels[0]
    assert split.listed_of("train", (*few, absent)) == 72 + 100  # no clip of it is at hand
    assert split.listed_of("train", split.labels) == split.listed["train"]
    assert len(split.absent_labels) == 101 - len(folders)
    assert list(split.labels) == [x for x in UCF101_LABELS if x not in split.absent_labels]
    pushups = [clip for clip in split.train if clip.label == "HandstandPushups"]
    assert pushups[0].stem == "v_HandStandPushups_g08_c03"
    assert pushups[0].group == "HandstandPushups/g08"
    assert not split.leaking


def test_real_clips_that_are_there_twice(data_dir: Path, ucf101_lists: Path) -> None:
    split = load_ucf101(data_dir / "ucf101", lists=ucf101_lists)
    assert check_leaks(split.subsets) == ()
    found = check_leaks({"train": split.train}, allow_known=False)
    assert {d.stems for d in found} >= {
        ("v_BasketballDunk_g08_c03", "v_BasketballDunk_g08_c04"),
        ("v_TrampolineJumping_g08_c01", "v_TrampolineJumping_g12_c05"),
        ("v_WalkingWithDog_g16_c02", "v_WalkingWithDog_g18_c04"),
        ("v_WalkingWithDog_g19_c05", "v_WalkingWithDog_g23_c03"),
    }
    groups = {clip.stem: clip.group for clip in split.train}
    assert groups["v_TrampolineJumping_g12_c05"] == "TrampolineJumping/g08"
    assert groups["v_WalkingWithDog_g23_c03"] == "WalkingWithDog/g19"


def test_official_layout(tmp_path: Path, small_lists: Path) -> None:
    root = tmp_path / "data"
    names = ["Archery/v_Archery_g08_c01.avi", "HandstandPushups/v_HandStandPushups_g01_c01.avi"]
    plant(root / "UCF-101", names)
    shutil.copytree(small_lists, root / "ucfTrainTestlist")
    split = load_ucf101(root)
    assert split.labels == ("Archery", "HandstandPushups")
    assert [clip.path for clip in split.train] == [root / "UCF-101" / names[0]]
    assert [clip.path for clip in split.test] == [root / "UCF-101" / names[1]]
    beside = load_ucf101(root / "UCF-101")
    assert beside.clips == split.clips


@pytest.mark.parametrize("suffix", ["avi", "mp4", "mkv", "WEBM", "mov"])
@pytest.mark.parametrize(
    "name", ["HandstandPushups/v_HandStandPushups_g08_c01", "handstand/v_handstandpushups_G08_c01"]
)
def test_clips_are_found_by_stem(tmp_path: Path, small_lists: Path, suffix: str, name: str) -> None:
    plant(tmp_path / "clips", [f"{name}.{suffix}", "Archery/notes.txt", "Archery/._v.avi"])
    split = load_ucf101(tmp_path / "clips", lists=small_lists)
    (clip,) = split.train
    assert clip.label == "HandstandPushups"
    assert clip.group == "HandstandPushups/g08"
    assert clip.stem == "v_HandStandPushups_g08_c01"
    assert split.listed == {"train": 2, "test": 1}
    assert split.missing == {
        "train": ("v_HandStandPushups_g09_c01",),
        "test": ("v_HandStandPushups_g01_c01",),
    }
    assert len(split.absent_labels) == 100


def test_an_archive_unpacked_without_folders(tmp_path: Path, small_lists: Path) -> None:
    names = ["v_Archery_g08_c01.avi", "v_HandStandPushups_g01_c01.avi"]
    split = load_ucf101(plant(tmp_path / "flat", names), lists=small_lists)
    assert split.labels == ("Archery", "HandstandPushups")
    assert (len(split.train), len(split.test)) == (1, 1)


def test_labels_are_chosen_whatever_their_case(tmp_path: Path, small_lists: Path) -> None:
    names = ["Archery/v_Archery_g08_c01.mp4", "HandstandPushups/v_HandStandPushups_g08_c01.mp4"]
    root = plant(tmp_path / "clips", names)
    split = load_ucf101(root, lists=small_lists, labels=["handSTANDpushups"])
    assert split.labels == ("HandstandPushups",)
    assert [clip.stem for clip in split.train] == ["v_HandStandPushups_g08_c01"]
    with pytest.raises(DatasetError, match="no such class: 'Dancing'"):
        load_ucf101(root, lists=small_lists, labels=["Archery", "Dancing"])
    with pytest.raises(DatasetError, match="no clip of Biking"):
        load_ucf101(root, lists=small_lists, labels=["Archery", "Biking"])


def test_one_stem_in_two_files_is_refused(tmp_path: Path, small_lists: Path) -> None:
    root = plant(tmp_path / "c", [f"Archery/v_Archery_g08_c01.{s}" for s in ("avi", "mp4")])
    with pytest.raises(DatasetError, match=r"one clip in 2 files: .*c01\.avi, .*c01\.mp4"):
        load_ucf101(root, lists=small_lists)


def test_a_folder_without_lists_or_clips(tmp_path: Path, small_lists: Path) -> None:
    root = plant(tmp_path / "c", ["Archery/other.avi"])
    with pytest.raises(DatasetError, match=r"no official lists in .*ucfTrainTestlist"):
        load_ucf101(root)
    with pytest.raises(DatasetError, match="none of the listed clips is there"):
        load_ucf101(root, lists=small_lists)
    with pytest.raises(DatasetError, match="not a folder that can be read"):
        load_ucf101(tmp_path / "absent", lists=small_lists)
    with pytest.raises(DatasetError, match=r"trainlist02\.txt and testlist02\.txt are not there"):
        load_ucf101(root, lists=small_lists, split=2)
    with pytest.raises(DatasetError, match="splits 1, 2 and 3, not 4"):
        load_ucf101(root, lists=small_lists, split=4)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("Dancing/v_Dancing_g08_c01.avi 1", "the class 'Dancing' is not in the class list"),
        ("v_Archery_g10_c01.avi 3", "expected `Class/clip.avi [number]`"),
        ("Archery/v_Archery_g10_c01.avi three", "expected `Class/clip.avi [number]`"),
        ("Archery/v_Archery_g10_c01.avi 4", "Archery has number 3, not 4"),
        ("Archery/archery10.avi 3", "expected a stem like v_Archery_g08_c01, got 'archery10'"),
        ("Archery/v_Archery_g09_c01.avi 3", "already in trainlist01.txt, line 2"),
    ],
)
def test_bad_lines_are_named(small_lists: Path, line: str, problem: str) -> None:
    path = small_lists / "trainlist01.txt"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DatasetError, match=re.escape(f"{path}:5: ") + ".*" + re.escape(problem)):
        read_official_lists(small_lists)


def test_a_clip_on_both_lists_is_named(small_lists: Path) -> None:
    path = small_lists / "testlist01.txt"
    path.write_text("Archery/v_Archery_g08_c01.avi\n")
    with pytest.raises(DatasetError, match=r"testlist01\.txt:1: .* trainlist01\.txt, line 1"):
        read_official_lists(small_lists)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1 Archery\n3 Biking\n", ":2: expected number 2, got 3"),
        ("1 Archery\nBiking\n", ":2: expected `number name`"),
        ("1 Archery\n2 archery\n", ":2: the class archery is there twice"),
        ("\n\n", "names no class"),
    ],
)
def test_bad_class_lists_are_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "classInd.txt"
    path.write_text(text)
    with pytest.raises(DatasetError, match=re.escape(problem)):
        read_class_list(path)


def test_half_a_split_or_a_binary_list_is_refused(small_lists: Path) -> None:
    (small_lists / "testlist01.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match=r"testlist01\.txt: not a UTF-8 text file"):
        read_official_lists(small_lists)
    (small_lists / "testlist01.txt").unlink()
    with pytest.raises(DatasetError, match=r"testlist01\.txt: cannot be read"):
        read_official_lists(small_lists)


@pytest.mark.parametrize("stem", ["v_Archery_g8_c01", "Archery_g08_c01", "v_Archery_g08", ""])
def test_a_stem_without_group_is_refused(stem: str) -> None:
    assert ucf101_group("v_HandStandPushups_G25_c07") == "g25"
    with pytest.raises(DatasetError, match="expected a stem like"):
        ucf101_group(stem)


def test_the_fingerprint_is_that_of_the_list(tmp_path: Path, small_lists: Path) -> None:
    stems = ["v_Archery_g08_c01", "v_Archery_g09_c01"]
    one = load_ucf101(plant(tmp_path / "a", [f"Archery/{s}.avi" for s in stems]), lists=small_lists)
    two = load_ucf101(plant(tmp_path / "b", [f"Archery/{s}.mp4" for s in stems]), lists=small_lists)
    # SHA-256 of "v_Archery_g08_c01\tArchery\nv_Archery_g09_c01\tArchery"
    known = "2f451277d61fcec5e1502b912611e4c4c5c11562ad6fa7ce6f6bf5b493207be3"
    assert fingerprint(one.train) == fingerprint(reversed(two.train)) == known
    assert fingerprint(one.train[:1]) != known

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from trees import plant, real_stems

from actionstream.datasets.check import CheckReport, check_dataset
from actionstream.errors import DatasetError


def test_a_kaggle_folder_and_its_leaks(tmp_path: Path, small_lists: Path) -> None:
    names = [
        "train/Archery/v_Archery_g08_c01.avi",
        "test/Archery/v_Archery_g08_c01.avi",
        "test/Archery/v_Archery_g01_c01.avi",
        "val/Archery/v_Archery_g25_c01.avi",
    ]
    root = plant(tmp_path / "k", names)
    report = check_dataset(root, "kaggle", lists=small_lists, open_clips=False)
    assert report.refused == ("the only class is Archery: there is nothing to tell it apart from",)
    assert not report.ok
    assert report.counts == {"Archery": {"train": 1, "validation": 0, "test": 1}}
    assert report.unused == (root / names[3],)
    assert (report.opened, report.unreadable) == (0, ())
    text = report.to_text()
    assert "clips that are there twice: 1" in text
    assert "the published folders train and test share 1 groups (such as archery/g08)" in text
    assert "opened: 0 of 2 clips" in text


def test_all_that_is_wrong_is_found(
    tmp_path: Path, small_lists: Path, ucf101_clip: Callable[..., Path]
) -> None:
    root = plant(
        tmp_path / "clips",
        [
            "Archry/v_Archery_g09_c01.avi",  # text, not a video
            "HandStandPushups/v_HandStandPushups_g01_c01.mp4",
            "HandStandPushups/v_Archery_g01_c02.mp4",
            "Archery/v_Archery_g30_c01.avi",
        ],
    )
    good = ucf101_clip("Archery")
    for name in ("v_Archery_g08_c01.mp4", "v_Archery_g01_c01.mp4"):
        shutil.copyfile(good, root / "Archery" / name)
    seen: list[tuple[float, float | None]] = []
    report = check_dataset(
        root, "ucf101", lists=small_lists, progress=lambda *now: seen.append(now[:2])
    )
    assert not report.ok
    assert seen == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    assert [bad.path.name for bad in report.unreadable] == [
        "v_Archery_g09_c01.avi",
        "v_Archery_g01_c02.mp4",
        "v_HandStandPushups_g01_c01.mp4",
    ]
    assert all(bad.cause for bad in report.unreadable)
    assert report.leaks == (
        "train and test share 1 contents (v_Archery_g08_c01 and v_Archery_g01_c01)",
    )
    assert report.unused == (root / "Archery/v_Archery_g30_c01.avi",)
    assert report.folders == (
        "Archry: not a class; Archery?",
        "HandStandPushups: the class list spells it HandstandPushups",
        f"{root / 'HandStandPushups/v_Archery_g01_c02.mp4'}: "
        "by its name it is Archery, its folder is HandStandPushups",
    )
    lines = report.to_text().splitlines()
    assert lines[0] == f"UCF101 split 1 in {root} (ucf101)"
    assert "found / listed           2 / 4         3 / 3" in [line.strip() for line in lines]
    assert "listed for train but not there: 2" in lines
    assert "classes without a clip: 99" in lines
    assert "  ... and 89 more" in lines
    assert "UNREADABLE: 3" in lines
    assert "LEAKS: 1" in lines
    assert lines[-1] == "not fit for training as it is"


def test_duplicates_and_classes_spelled_alike(tmp_path: Path) -> None:
    names = [f"{label}/{i}.mp4" for label in ("push ups", "PushUps", "Run") for i in range(6)]
    root = plant(tmp_path / "own", names)
    for i in range(3):
        (root / f"Run/{i}.mp4").write_text("same")
    report = check_dataset(root, "folder", open_clips=False)
    assert report.folders == ("PushUps and push ups: one class?",)
    assert [d.stems for d in report.duplicates] == [("Run__0", "Run__1", "Run__2")]
    assert report.leaks == ()
    assert report.ok, report.refused


def test_a_csv_list(tmp_path: Path) -> None:
    root = plant(tmp_path, ["1.mp4", "2.mp4", "3.mp4"])
    (root / "clips.csv").write_text("path,label,split\n1.mp4,run,train\n2.mp4,run,test\n")
    report = check_dataset(root, "csv", open_clips=False)
    assert not report.ok
    assert report.unused == (root / "3.mp4",)
    assert report.folders == ()


def test_real_clips(data_dir: Path, ucf101_lists: Path) -> None:
    report = check_dataset(data_dir / "ucf101", "ucf101", lists=ucf101_lists, open_clips=False)
    assert report.ok
    assert report.unused == report.folders == report.leaks == ()
    # One pair of UCF101 that is known to be the same clip; it stays however the data grow.
    assert ("v_BasketballDunk_g08_c03", "v_BasketballDunk_g08_c04") in {
        duplicate.stems for duplicate in report.duplicates
    }
    train = real_stems(data_dir / "ucf101", first_group=8, last_group=25)
    test = real_stems(data_dir / "ucf101", first_group=1, last_group=7)
    assert report.counts["Archery"] == {
        "train": sum("_Archery_" in stem for stem in train),
        "validation": 0,
        "test": sum("_Archery_" in stem for stem in test),
    }
    assert sum(of_side["train"] for of_side in report.counts.values()) == len(train)
    (totals,) = [x for x in report.to_text().splitlines() if x.startswith("found / listed")]
    listed = report.split.listed
    assert totals.split()[3:] == [
        *[str(len(train)), "/", str(listed["train"])],
        *[str(len(test)), "/", str(listed["test"])],
    ]


@pytest.mark.parametrize("label", ["fight", "noFight"])
def test_a_real_folder_is_opened(data_dir: Path, tmp_path: Path, label: str) -> None:
    (tmp_path / "own" / label).mkdir(parents=True)
    for path in sorted((data_dir / "fights" / label).iterdir())[:6]:
        shutil.copyfile(path, tmp_path / "own" / label / path.name)
    report = check_dataset(tmp_path / "own", "folder")
    assert (report.opened, report.unreadable) == (6, ())


def own(root: Path, names: list[str]) -> CheckReport:
    """What is said of a folder of classes with these files."""
    return check_dataset(plant(root, names), "folder", open_clips=False)


def of(*labels: str, count: int = 6) -> list[str]:
    return [f"{label}/{number}.mp4" for label in labels for number in range(count)]


def test_one_class_is_refused(tmp_path: Path) -> None:
    report = own(tmp_path, of("Run"))
    assert report.refused == ("the only class is Run: there is nothing to tell it apart from",)
    assert report.to_text().endswith("not fit for training as it is")


def test_an_archive_unpacked_one_folder_too_deep(tmp_path: Path, small_lists: Path) -> None:
    report = own(tmp_path / "own", of("data/Run", "data/Hop"))
    assert not report.ok
    assert f"give {tmp_path / 'own' / 'data'}" in report.split.notes[0]
    names = ["UCF-101/UCF-101/Archery/v_Archery_g08_c01.avi", "UCF-101/UCF-101/Biking/x.avi"]
    root = plant(tmp_path / "ucf", names)
    with pytest.raises(DatasetError, match=r"one deeper: give .*UCF-101/UCF-101"):
        check_dataset(root, "ucf101", lists=small_lists, open_clips=False)
    people = own(tmp_path / "people", of("Run/anna", "Run/ben", "Hop/anna", "Hop/ben", "Hop/cleo"))
    assert not any("give" in note for note in people.split.notes)


def test_a_class_with_test_clips_only(tmp_path: Path) -> None:
    report = own(tmp_path, [*of("train/Run", "train/Hop"), "test/Swim/a.mp4", "test/Run/b.mp4"])
    assert report.refused == ("only 2 of 3 classes have a training clip: none of Swim",)
    assert report.unmeasured == ("Hop",)
    assert "`evaluate` measures nothing of: 1" in report.to_text()


def test_a_class_of_one_clip(tmp_path: Path) -> None:
    report = own(tmp_path, [*of("Run", "Hop"), "Swim/a.mp4"])
    (refused,) = report.refused
    assert refused.startswith("Swim: all of its training clips come from one source")
    assert report.unmeasured == ("Swim",)


def test_fewer_sources_than_folds(tmp_path: Path) -> None:
    (refused,) = own(tmp_path, of("Run", "Hop", count=2)).refused
    assert "come from 2 sources, which cannot be divided into 5 folds" in refused


def test_labels_that_differ_by_case_only(tmp_path: Path) -> None:
    root = plant(tmp_path, [f"{number}.mp4" for number in range(12)])
    rows = [f"{number}.mp4,{'Run' if number % 2 else 'run'}" for number in range(12)]
    (root / "clips.csv").write_text("\n".join(["path,label", *rows]))
    report = check_dataset(root, "csv", open_clips=False)
    assert report.refused == ("Run and run: these labels differ by case only",)


def test_linked_folders_are_entered_once(tmp_path: Path) -> None:
    outside = plant(tmp_path / "outside", [f"{number}.mp4" for number in range(6)])
    root = plant(tmp_path / "own", [*of("Run"), "Hop/here.mp4"])
    (root / "Hop" / "more").symlink_to(outside)
    (root / "Hop" / "circle").symlink_to(root / "Hop")
    (root / "Swim").symlink_to(outside)
    report = check_dataset(root, "folder", open_clips=False)
    counts = {label: sum(found.values()) for label, found in report.counts.items()}
    assert counts == {"Run": 6, "Hop": 7, "Swim": 6}


def test_videos_of_a_kind_that_is_not_read_are_named(tmp_path: Path) -> None:
    report = own(tmp_path, [*of("Run", "Hop"), "Run/a.vob", "Run/b.h264", "Run/c.dav", "Run/d.txt"])
    assert sum(report.counts["Run"].values()) == 8
    assert report.unread == (tmp_path / "Run/c.dav",)
    assert not report.ok
    assert "VIDEOS OF A KIND THAT IS NOT READ: 1" in report.to_text()


def test_a_class_folder_without_a_video(tmp_path: Path) -> None:
    report = own(tmp_path, [*of("Run", "Hop"), "Swim/notes.txt"])
    assert report.folders == ("Swim: holds no video",)
    assert report.ok

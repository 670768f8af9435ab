from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from trees import plant

from actionstream.datasets import check_leaks, load_csv, load_folder
from actionstream.errors import DatasetError, LeakError


def test_kinetics_lists(tmp_path: Path) -> None:
    # The downloaders put files into folders of classes, with blanks, or all into one.
    names = ["train/abseiling rope/--abc_000010_000020.mp4", "xyz_000003_000013.mkv"]
    root = plant(tmp_path / "kinetics", names)
    header = "label,youtube_id,time_start,time_end,split\n"
    (root / "train.csv").write_text(
        header + "abseiling rope,--abc,10,20,train\nabseiling rope,gone,0,10,train\n"
    )
    (root / "validate.csv").write_text(header + "zumba,xyz,3.0,13.0,validate\n")
    split = load_csv(root)
    assert split.labels == ("abseiling rope", "zumba")
    assert [(c.path, c.group, c.stem) for c in split.train] == [
        (root / names[0], "--abc", "--abc_000010_000020")
    ]
    assert [(c.path, c.label) for c in split.validation] == [(root / names[1], "zumba")]
    assert split.test == ()
    assert split.listed == {"train": 2, "validation": 1}
    assert split.missing == {"train": ("gone_000000_000010",), "validation": ()}
    assert split.notes == ()


def test_two_cuts_of_one_youtube_video_leak(tmp_path: Path) -> None:
    root = plant(tmp_path, ["abc_000000_000010.mp4", "abc_000010_000020.mp4"])
    rows = "label,youtube_id,time_start,time_end,split\nrun,abc,0,10,train\nrun,abc,10,20,test\n"
    (root / "all.csv").write_text(rows)
    with pytest.raises(LeakError, match="train and test share 1 groups"):
        check_leaks(load_csv(root).subsets)


def test_ones_own_list_with_paths_and_groups(tmp_path: Path) -> None:
    root = plant(tmp_path, ["a/1.mp4", "b/1.mp4", "b/2.mp4"])
    rows = "\ufeffpath, label ,group,split\na/1.mp4,run,anna,train\nb/1.mp4,hop,ben,train\n"
    (root / "list.csv").write_text(rows + "b/2.mp4,hop,carl,test\n")
    split = load_csv(root / "list.csv")
    assert split.labels == ("hop", "run")
    assert [(c.stem, c.group) for c in split.train] == [("a__1", "anna"), ("b__1", "ben")]
    assert [(c.stem, c.group) for c in split.test] == [("b__2", "carl")]
    assert split.name == "list (CSV)"
    assert split.notes == ()


def test_the_name_of_the_file_says_the_side(tmp_path: Path) -> None:
    root = plant(tmp_path, ["1.mp4", "2.mp4"])
    (root / "train.csv").write_text("path,label\n1.mp4,run\n")
    (root / "test.csv").write_text("path,label\n2.mp4,run\n")
    split = load_csv(root)
    assert [c.stem for c in split.train] == ["1"]
    assert [c.stem for c in split.test] == ["2"]
    assert split.notes == (
        "the lists name no groups: every clip stands alone, clips of one source may leak",
    )


def test_without_sides_whole_groups_are_held_out(tmp_path: Path) -> None:
    names = [f"{label}{i}.mp4" for label in ("run", "hop") for i in range(20)]
    root = plant(tmp_path, names)
    rows = [f"{n},{n[:3]},{n[:3]}{int(n[3:-4]) // 2}" for n in names]
    (root / "clips.csv").write_text("\n".join(["path,label,group", *rows]))
    split = load_csv(root)
    assert (len(split.train), len(split.test)) == (32, 8)
    assert split.listed == {"train": 32, "test": 8}
    assert check_leaks(split.subsets) == ()
    assert split.notes == (
        "the data names no test subset: a fifth of every label, whole groups, seed 0",
    )
    assert load_csv(root, seed=1).test != split.test
    (root / split.train[0].path.name).unlink()  # a missing clip cannot be held out
    fewer = load_csv(root)
    assert fewer.listed["train"] == len(fewer.train) + 1
    label = split.train[0].label or ""
    listed = {
        subset: fewer.listed_of(subset, [label]) for subset in ("train", "validation", "test")
    }
    assert sum(listed.values()) == 20
    assert listed["test"] == sum(clip.label == label for clip in fewer.test)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("path\n1.mp4\n", r":1: no column label"),
        ("path,label\n1.mp4,\n", r":2: the label is empty"),
        ("path,label\n,run\n", r":2: neither a path nor a youtube_id"),
        ("path,label,split\n1.mp4,run,train\n1.mp4,run,dev\n", r":3: split is train, val or test"),
        ("youtube_id,label,time_start,time_end\na,run,x,3\n", r":2: time_start and time_end"),
        (
            "path,label,split\n1.mp4,run,train\n1.mp4,run,test\n",
            r"clips\.csv:3: names 1\.mp4 again, which is in clips\.csv, line 2",
        ),
        ("path,label,split\n1.mp4,run,train\n2.mp4,run,\n", r"1 of 2 rows do not say"),
        (
            "path,label,split\n9.mp4,run,train\n",
            r"none of the listed clips is there; clips\.csv, line 2: no such file: .*9\.mp4",
        ),
        ("", r":1: no column label"),
    ],
)
def test_bad_lists_are_named(tmp_path: Path, rows: str, problem: str) -> None:
    root = plant(tmp_path, ["1.mp4", "2.mp4"])
    (root / "clips.csv").write_text(rows)
    with pytest.raises(DatasetError, match=problem):
        load_csv(root)


def test_no_lists(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no CSV file"):
        load_csv(tmp_path)


def test_file_and_source_are_other_names_of_path_and_group(tmp_path: Path) -> None:
    root = plant(tmp_path, ["a.mp4", "b.mp4", "c.mp4"])
    rows = "file,label,source\na.mp4,run,phone\nb.mp4,run,phone\nc.mp4,run,gym\n"
    (root / "labels.csv").write_text(rows)
    split = load_csv(root)
    assert {(clip.path.name, clip.group) for clip in split.clips} == {
        ("a.mp4", "phone"),
        ("b.mp4", "phone"),
        ("c.mp4", "gym"),
    }


def test_paths_with_backslashes(tmp_path: Path) -> None:
    root = plant(tmp_path, ["run/a.mp4", "hop/b c.mp4"])
    rows = r"run\a.mp4,run,train" + "\n" + r".\hop\b c.mp4,hop,train"
    (root / "clips.csv").write_text(f"path,label,split\n{rows}\n")
    split = load_csv(root)
    assert [(c.path, c.stem) for c in split.train] == [
        (root / "run/a.mp4", "run__a"),
        (root / "hop/b c.mp4", "hop__b c"),
    ]
    assert split.missing == {"train": ()}


def test_accents_match_however_they_are_stored(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "Café/Übung é.mp4")
    root = plant(tmp_path, [decomposed, "tea/b.mp4"])
    plant(root, ["tea/c.mp4"])
    rows = "Café/Übung é.mp4,Café\ntea/b.mp4,tea\ntea/c.mp4,tea\n"
    (root / "clips.csv").write_text(f"path,label\n{rows}")
    assert {c.path for c in load_csv(root).clips} == {
        root / name for name in (decomposed, "tea/b.mp4", "tea/c.mp4")
    }
    assert load_csv(root, labels=[unicodedata.normalize("NFD", "café")]).labels == ("Café",)
    assert load_folder(root).labels == ("Café", "tea")  # on disk it is stored decomposed


def test_two_files_that_differ_by_their_ending(tmp_path: Path) -> None:
    root = plant(tmp_path, ["run/a.mp4", "run/a.avi", "run/b.mp4"])
    rows = "run/a.mp4,run,train\nrun/a.avi,run,train\nrun/b.mp4,run,test\n"
    (root / "clips.csv").write_text(f"path,label,split\n{rows}")
    split = load_csv(root)
    assert [c.stem for c in split.train] == ["run__a__mp4", "run__a__avi"]
    assert [c.stem for c in split.test] == ["run__b"]
    assert {c.stem for c in load_folder(root).clips} == {"run__a__mp4", "run__a__avi", "run__b"}

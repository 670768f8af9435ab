"""Clips of no known action: from a table, or whatever lies in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import plant

from actionstream.datasets import add_clips, check_leaks, load_folder, load_labelled, load_negatives
from actionstream.errors import DatasetError, LeakError


def test_without_a_table_every_clip_counts_in_the_group_of_its_folder(tmp_path: Path) -> None:
    plant(tmp_path, ["lone.mp4", "cats/1.mp4", "cats/more/2.avi", "notes.txt"])
    others = load_negatives(tmp_path)
    assert [(one.stem, one.label, one.group) for one in others] == [
        ("cats__1", None, "others/cats"),
        ("cats__more__2", None, "others/cats"),
        ("lone", None, "others/lone.mp4"),
    ]
    assert all(one.path.is_file() for one in others)


def test_the_first_of_several_columns_names_the_group(tmp_path: Path) -> None:
    plant(tmp_path, ["1.mp4"])
    table = tmp_path / "labels.csv"
    table.write_text("file,label,source,shows\n1.mp4,,park,dogs\n")
    (one,) = load_negatives(tmp_path, group=("shows", "source"))
    assert one.group == "dogs"
    table.write_text("file,label,source\n1.mp4,,park\n")
    (one,) = load_negatives(tmp_path, group=("shows", "source"))
    assert one.group == "park"
    table.write_text("file,label\n1.mp4,\n")
    with pytest.raises(DatasetError, match=r"labels\.csv:1: no column source"):
        load_negatives(tmp_path, group=("shows", "source"))


def test_no_clip_and_no_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no clip and no labels.csv"):
        load_negatives(tmp_path)
    with pytest.raises(DatasetError, match="absent: not a folder"):
        load_negatives(tmp_path / "absent")


def test_extra_clips_join_the_training_list(tmp_path: Path) -> None:
    split = load_folder(plant(tmp_path / "own", [f"{x}/{i}.mp4" for x in "AB" for i in range(5)]))
    more = plant(tmp_path / "more", ["1.mp4", "2.mp4", "3.mp4"])
    table = more / "labels.csv"
    table.write_text("file,label,source\n1.mp4,a,phone\n2.mp4,Z,gym\n3.mp4,,street\n")
    joined = add_clips(split, load_labelled(more))
    (new,) = [clip for clip in joined.train if clip not in split.train]
    assert (new.path, new.label, new.group) == (more / "1.mp4", "A", "phone")
    assert joined.listed["train"] == split.listed["train"] + 1
    assert joined.notes[-1] == "1 of 3 extra clips, of 1 sources, are trained on"
    assert joined.test == split.test
    (more / "1.mp4").write_bytes(split.test[0].path.read_bytes())
    with pytest.raises(LeakError, match="train and test share 1 contents"):
        check_leaks(add_clips(split, load_labelled(more)).subsets)
    table.write_text("file,label,source\n2.mp4,Z,gym\n")
    with pytest.raises(DatasetError, match="none of the extra clips is of a label"):
        add_clips(split, load_labelled(more))

"""Clips of no known action: from a table, or whatever lies in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import plant

from actionstream.datasets import load_others
from actionstream.errors import DatasetError


def test_without_a_table_every_clip_counts_in_the_group_of_its_folder(tmp_path: Path) -> None:
    plant(tmp_path, ["lone.mp4", "cats/1.mp4", "cats/more/2.avi", "notes.txt"])
    others = load_others(tmp_path)
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
    (one,) = load_others(tmp_path, group=("shows", "source"))
    assert one.group == "dogs"
    table.write_text("file,label,source\n1.mp4,,park\n")
    (one,) = load_others(tmp_path, group=("shows", "source"))
    assert one.group == "park"
    table.write_text("file,label\n1.mp4,\n")
    with pytest.raises(DatasetError, match=r"labels\.csv:1: no column source"):
        load_others(tmp_path, group=("shows", "source"))


def test_no_clip_and_no_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no clip and no labels.csv"):
        load_others(tmp_path)
    with pytest.raises(DatasetError, match="absent: not a folder"):
        load_others(tmp_path / "absent")

"""A flat folder of clips with a `labels.csv` (columns `file`, `label`, `source`)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from actionstream.datasets.clips import Clip
from actionstream.datasets.lists import line_error, read_table


def load_labelled(folder: str | Path, *, group: str = "source") -> tuple[Clip, ...]:
    """The clips of `folder/labels.csv`: an empty label is None, `group` names the group's column.

    Raises:
        DatasetError: no such file, a bad row, a file that is not there (naming file and line).
    """
    table = Path(folder) / "labels.csv"
    clips = []
    for number, row in read_table(table, required=("file", "label", group)):
        path = table.parent / row["file"]
        if not row["file"] or not path.is_file():
            raise line_error(table, number, f"no such file: {path}")
        if not row[group]:
            raise line_error(table, number, f"the column {group} is empty")
        clips.append(Clip(path, row["label"] or None, row[group], path.stem))
    return tuple(clips)


def load_others(folder: str | Path, *, group: str = "source") -> tuple[Clip, ...]:
    """As `load_labelled`, every label None: clips of "no known action" to train a threshold on."""
    return tuple(replace(clip, label=None) for clip in load_labelled(folder, group=group))

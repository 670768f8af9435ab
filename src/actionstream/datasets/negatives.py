"""Clips beside a data set: negatives, and further clips of its actions from elsewhere.

They lie in a folder with a `labels.csv` (columns `file`, `label`, `source`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from actionstream.datasets.files import (
    find_named,
    joined_stems,
    line_error,
    read_table,
    videos_below,
)
from actionstream.datasets.leak import join_groups
from actionstream.datasets.split import Clip, Split, fold, spelled
from actionstream.errors import DatasetError


def load_labelled(folder: str | Path, *, group: str = "source") -> tuple[Clip, ...]:
    """The clips of `folder/labels.csv`: an empty label is None, `group` names the group's column.

    Raises:
        DatasetError: no such file, a bad row, a file that is not there (naming file and line).
    """
    table = Path(folder) / "labels.csv"
    clips = []
    for number, row in read_table(table, required=("file", "label", group)):
        path = find_named(table.parent, row["file"])
        if not row["file"] or not path.is_file():
            raise line_error(table, number, f"no such file: {path}")
        if not row[group]:
            raise line_error(table, number, f"the column {group} is empty")
        clips.append(Clip(path, spelled(row["label"]) or None, row[group], path.stem))
    return tuple(clips)


def load_negatives(
    folder: str | Path, *, group: str | Sequence[str] = "source"
) -> tuple[Clip, ...]:
    """Clips of "no known action", every label None, to learn what is none.

    With a `labels.csv` as `load_labelled`; of several columns in `group` the first that is there
    counts. Without one these are all clips in the folder and below it; the group is then the
    first folder below `folder`, or the clip itself where it lies directly in it.

    Raises:
        DatasetError: as `load_labelled`, or there is no clip.
    """
    root = Path(folder)
    table = root / "labels.csv"
    if not table.exists():
        return _unlisted(root)
    wanted = (group,) if isinstance(group, str) else tuple(group)
    there = [
        name for name in wanted if all(name in row for _, row in read_table(table, required=()))
    ]
    column = (*there, wanted[-1])[0]
    return tuple(replace(clip, label=None) for clip in load_labelled(root, group=column))


def _unlisted(root: Path) -> tuple[Clip, ...]:
    inner = [path.relative_to(root) for path in videos_below(root)]
    if not inner:
        raise DatasetError(f"{root}: holds no clip and no labels.csv")
    stems = joined_stems(inner)
    return tuple(
        Clip(root / path, None, f"others/{path.parts[0]}", stem)
        for path, stem in zip(inner, stems, strict=True)
    )


def add_clips(split: Split, clips: Sequence[Clip]) -> Split:
    """The split with further clips to train on: those of its labels, whatever their case.

    The notes say how many of them were used, and of how many sources.

    Raises:
        DatasetError: none of them is of a label of the split.
    """
    known = {fold(label): label for label in split.labels}
    used = [
        replace(clip, label=known[fold(clip.label)])
        for clip in clips
        if clip.label is not None and fold(clip.label) in known
    ]
    if not used:
        raise DatasetError("none of the extra clips is of a label of the data set")
    sources = len({clip.group for clip in used})
    note = f"{len(used)} of {len(clips)} extra clips, of {sources} sources, are trained on"
    return replace(
        split,
        train=join_groups((*split.train, *used)),
        listed={**split.listed, "train": split.listed["train"] + len(used)},
        notes=(*split.notes, note),
    )

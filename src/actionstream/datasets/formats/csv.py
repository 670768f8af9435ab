"""Clips named by CSV files: one's own lists, or those of Kinetics.

One file is either a row with `path` or `file` (relative to the folder of the CSV file, or
absolute), or a row with `youtube_id`, `time_start`, `time_end` in seconds, for the file
`<id>_<start>_<end>.mp4` with six digits each, as the Kinetics downloaders name it, in any folder
below the root.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from actionstream.datasets.files import (
    find_named,
    folder_name,
    index_by_stem,
    joined_stems,
    line_error,
    read_table,
    videos_below,
)
from actionstream.datasets.folds import hold_out_test
from actionstream.datasets.formats import ListedClip, split_from_lists
from actionstream.datasets.split import Split, Subset, choose_labels, fold, spelled
from actionstream.errors import DatasetError

SUBSET_NAMES: dict[str, Subset] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validate": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, slots=True)
class _Row:
    """One row: where it stands, what it lists, in which subset (None where the lists do not say),
    and where that lies. `path` is None for Kinetics.
    """

    table: Path
    number: int
    clip: ListedClip
    subset: Subset | None
    path: Path | None
    named: str = ""


def load_csv(
    root: str | Path,
    *,
    lists: str | Path | None = None,
    labels: Sequence[str] | None = None,
    seed: int = 0,
) -> Split:
    """The clips that the CSV files name and that are on disk.

    `lists` is a CSV file or a folder of them; without it, `root` is. Columns: `label`; `path` or
    `youtube_id`, `time_start`, `time_end`; optionally `split` (train, val or test; else the name
    of the file says it: train.csv, val.csv, test.csv) and `group` or `source` (clips of one
    origin; else the youtube_id, else each clip alone, and the notes say so). If nothing names a
    subset, a fifth of every label is held out for the test, whole groups, drawn with `seed` over
    the clips of all labels: a clip's subset does not depend on `labels`. The labels are in the
    order of their names. Paths may have backslashes, and accents stored in another way than the
    file system does.

    Raises:
        DatasetError: no CSV file, a bad row (naming file and line), a clip listed twice, no clips.
    """
    root = Path(root)
    source = root if lists is None else Path(lists)
    tables = _csv_files(source)
    rows = _distinct([row for path in tables for row in _read_rows(path)])
    subsets = _subsets(rows)
    files = _find(rows, root if root.is_dir() else root.parent)
    known = sorted({row.clip.label for row in rows})
    chosen = choose_labels(known, labels)
    split = split_from_lists(
        f"{source.stem if source.is_file() else folder_name(source)} (CSV)",
        subsets,
        files,
        known=known,
        wanted=labels,
        notes=_notes([row for row in rows if row.clip.label in chosen]),
        source=f"CSV layout, {_named(tables)}",
        hint=_first_missing([row for row in rows if row.clip.label in chosen], files),
    )
    if any(row.subset for row in rows):
        return split
    # A clip in two files is refused only where its label is wanted.
    first = {stem: found[:1] for stem, found in files.items()}
    everything = split if labels is None else split_from_lists("", subsets, first, known=known)
    return hold_out_test(split, everything=everything.train, seed=seed)


def _csv_files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    files = sorted(source.glob("*.csv"))
    if not files:
        raise DatasetError(f"{source}: holds no CSV file")
    return files


def _named(files: Sequence[Path]) -> str:
    few = ", ".join(path.name for path in files)
    return few if len(files) <= 3 else f"{len(files)} CSV files"


def _read_rows(path: Path) -> list[_Row]:
    return [_row(path, number, cells) for number, cells in read_table(path, required=["label"])]


def _row(table: Path, number: int, cells: dict[str, str]) -> _Row:
    label, file = spelled(cells["label"]), cells.get("path") or cells.get("file", "")
    if not label:
        raise line_error(table, number, "the label is empty")
    if file:
        stem, group = "", f"{label}/{file}"
    elif cells.get("youtube_id"):
        stem, group = _kinetics_stem(table, number, cells), cells["youtube_id"]
    else:
        raise line_error(table, number, "neither a path nor a youtube_id")
    name = cells.get("split") or table.stem
    subset = SUBSET_NAMES.get(name.casefold())
    if cells.get("split") and subset is None:
        raise line_error(table, number, f"split is train, val or test, got {name!r}")
    clip = ListedClip(stem, label, cells.get("group") or cells.get("source") or group)
    path = find_named(table.parent, file) if file else None
    return _Row(table, number, clip, subset, path, file)


def _kinetics_stem(path: Path, number: int, cells: dict[str, str]) -> str:
    try:
        start, end = (round(float(cells.get(key, ""))) for key in ("time_start", "time_end"))
    except ValueError:
        raise line_error(path, number, "time_start and time_end are seconds") from None
    return f"{cells['youtube_id']}_{start:06d}_{end:06d}"


def _distinct(rows: Sequence[_Row]) -> list[_Row]:
    """The rows with a stem of its own for each file; a file named by two rows is refused."""
    files = [PurePath(row.named.replace("\\", "/") or row.clip.stem + ".x") for row in rows]
    first: dict[str, _Row] = {}
    for row, file in zip(rows, files, strict=True):
        before = first.setdefault(fold(str(file)), row)
        if before is not row:
            name = row.named or row.clip.stem
            where = f"{before.table.name}, line {before.number}"
            raise line_error(row.table, row.number, f"names {name} again, which is in {where}")
    stems = joined_stems(files)
    return [
        replace(row, clip=replace(row.clip, stem=row.clip.stem or stem))
        for row, stem in zip(rows, stems, strict=True)
    ]


def _subsets(rows: Sequence[_Row]) -> dict[Subset, list[ListedClip]]:
    """The rows by subset, all train where none has one."""
    without = sum(row.subset is None for row in rows)
    if 0 < without < len(rows):
        raise DatasetError(f"{without} of {len(rows)} rows do not say whether they train or test")
    subsets: dict[Subset, list[ListedClip]] = {}
    for row in rows:
        subsets.setdefault(row.subset or "train", []).append(row.clip)
    return subsets


def _notes(rows: Sequence[_Row]) -> tuple[str, ...]:
    alone = all(
        row.path is not None and row.clip.group.startswith(f"{row.clip.label}/") for row in rows
    )
    note = "the lists name no groups: every clip stands alone, clips of one source may leak"
    return (note,) if alone else ()


def _find(rows: Sequence[_Row], root: Path) -> dict[str, list[Path]]:
    """The files on disk by the `fold`ed stem of their row."""
    named = {fold(row.clip.stem): [row.path] for row in rows if row.path and row.path.is_file()}
    if all(row.path for row in rows):
        return named
    return index_by_stem(videos_below(root)) | named


def _first_missing(rows: Sequence[_Row], files: Mapping[str, Sequence[Path]]) -> str:
    """Which row names a file that is not there, for an error; "" without one."""
    missing = [row for row in rows if fold(row.clip.stem) not in files]
    if not missing:
        return ""
    row = missing[0]
    where = f"no such file: {row.path}" if row.path else f"no file {row.clip.stem}.*"
    return f"; {row.table.name}, line {row.number}: {where}"

"""Clips named by CSV files: one's own lists, or those of Kinetics.

One file is either a row with `path` or `file` (relative to the folder of the CSV file, or
absolute), or a row with `youtube_id`, `time_start`, `time_end` in seconds, for the file
`<id>_<start>_<end>.mp4` with six digits each, as the Kinetics downloaders name it, in any folder
below the root.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from actionstream.datasets.clips import Side, Split
from actionstream.datasets.files import folder_name, index_by_stem, joined_stem, videos_below
from actionstream.datasets.held_out import hold_out
from actionstream.datasets.lists import line_error, read_table
from actionstream.datasets.matching import ListedClip, choose_labels, split_from_lists
from actionstream.errors import DatasetError

SIDE_NAMES: dict[str, Side] = {
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
    """One row: what is listed, on which side ("" where the lists do not say), and where it lies."""

    clip: ListedClip
    side: Side | None
    path: Path | None


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
    side, a fifth of every label is held out for the test, whole groups, drawn with `seed` over the
    clips of all labels: a clip's side does not depend on `labels`. The labels are in the order of
    their names.

    Raises:
        DatasetError: no CSV file, a bad row (naming file and line), a clip listed twice, no clips.
    """
    root = Path(root)
    source = root if lists is None else Path(lists)
    lists_read = _csv_files(source)
    rows = [row for path in lists_read for row in _read_rows(path)]
    sides = _sides(rows)
    files = _find(rows, root if root.is_dir() else root.parent)
    known = sorted({row.clip.label for row in rows})
    chosen = choose_labels(known, labels)
    split = split_from_lists(
        f"{source.stem if source.is_file() else folder_name(source)} (CSV)",
        sides,
        files,
        known=known,
        wanted=labels,
        notes=_notes([row for row in rows if row.clip.label in chosen]),
        source=f"CSV layout, {_named(lists_read)}",
    )
    if any(row.side for row in rows):
        return split
    everything = split if labels is None else _everything(sides, files, known)
    return hold_out(split, everything=everything.train, seed=seed)


def _everything(
    sides: Mapping[Side, Sequence[ListedClip]],
    files: Mapping[str, Sequence[Path]],
    known: Sequence[str],
) -> Split:
    """The clips of all labels; a clip in two files is refused only where its label is wanted."""
    return split_from_lists("", sides, {stem: f[:1] for stem, f in files.items()}, known=known)


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


def _row(path: Path, number: int, cells: dict[str, str]) -> _Row:
    label, file = cells["label"], cells.get("path") or cells.get("file", "")
    if not label:
        raise line_error(path, number, "the label is empty")
    if file:
        stem, group = joined_stem(Path(file)), f"{label}/{file}"
    elif cells.get("youtube_id"):
        stem, group = _kinetics_stem(path, number, cells), cells["youtube_id"]
    else:
        raise line_error(path, number, "neither a path nor a youtube_id")
    name = cells.get("split") or path.stem
    side = SIDE_NAMES.get(name.casefold())
    if cells.get("split") and side is None:
        raise line_error(path, number, f"split is train, val or test, got {name!r}")
    clip = ListedClip(stem, label, cells.get("group") or cells.get("source") or group)
    return _Row(clip, side, path.parent / file if file else None)


def _kinetics_stem(path: Path, number: int, cells: dict[str, str]) -> str:
    try:
        start, end = (round(float(cells.get(key, ""))) for key in ("time_start", "time_end"))
    except ValueError:
        raise line_error(path, number, "time_start and time_end are seconds") from None
    return f"{cells['youtube_id']}_{start:06d}_{end:06d}"


def _sides(rows: Sequence[_Row]) -> dict[Side, list[ListedClip]]:
    """The rows by side, all train where none has a side."""
    without = sum(row.side is None for row in rows)
    if 0 < without < len(rows):
        raise DatasetError(f"{without} of {len(rows)} rows do not say whether they train or test")
    sides: dict[Side, list[ListedClip]] = {}
    seen = set()
    for row in rows:
        if row.clip.stem.casefold() in seen:
            raise DatasetError(f"the lists name {row.clip.stem} twice")
        seen.add(row.clip.stem.casefold())
        sides.setdefault(row.side or "train", []).append(row.clip)
    return sides


def _notes(rows: Sequence[_Row]) -> tuple[str, ...]:
    alone = all(
        row.path is not None and row.clip.group.startswith(f"{row.clip.label}/") for row in rows
    )
    note = "the lists name no groups: every clip stands alone, clips of one source may leak"
    return (note,) if alone else ()


def _find(rows: Sequence[_Row], root: Path) -> dict[str, list[Path]]:
    """The files on disk by the lower-case stem of their row."""
    named = {
        row.clip.stem.casefold(): [row.path] for row in rows if row.path and row.path.is_file()
    }
    if all(row.path for row in rows):
        return named
    return index_by_stem(videos_below(root)) | named

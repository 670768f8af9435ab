"""Finding video files, and reading lists line by line so that an error names file and line."""

from __future__ import annotations

import csv
import mimetypes
import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from actionstream.datasets.split import fold
from actionstream.errors import DatasetError
from actionstream.video import VIDEO_EXTENSIONS, find_videos

_MORE_VIDEO_ENDINGS = frozenset((".bik", ".dav", ".evo", ".ifo", ".mk3d", ".swf", ".trp"))
"""Beside those that `mimetypes` knows; see `unread_videos`."""


def is_video(path: Path) -> bool:
    """Whether the name ends like a video file and is not hidden (a Mac leaves `._x.avi`)."""
    return path.suffix.lower() in VIDEO_EXTENSIONS and not path.name.startswith(".")


def subfolders(root: Path) -> list[Path]:
    """The visible folders directly in `root`, sorted by name.

    Raises:
        DatasetError: `root` is not a folder that can be listed.
    """
    return [path for path in _listed(root) if path.is_dir() and not path.name.startswith(".")]


def videos_in(folder: Path) -> list[Path]:
    """The video files directly in `folder`, sorted by name."""
    return [path for path in _listed(folder) if is_video(path) and path.is_file()]


def class_videos(folder: Path) -> list[Path]:
    """The video files of all class folders in `folder`, and those directly in it, sorted.

    An archive unpacked without its folders (`unrar e`) leaves all clips in one.
    """
    folders = [folder, *subfolders(folder)]
    return sorted(path for inner in folders for path in videos_in(inner))


def videos_below(folder: Path) -> list[Path]:
    """The video files in `folder` and in all folders below it, linked ones too, sorted.

    Raises:
        DatasetError: `folder` is not a folder that can be listed.
    """
    try:
        return find_videos(folder)
    except OSError as error:
        raise _not_a_folder(folder, error) from error


def unread_videos(folder: Path) -> list[Path]:
    """Files below `folder` whose names end like videos of a kind that is not read."""
    found = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return sorted(path for path in found if not path.name.startswith(".") and _is_unread(path))


def _is_unread(path: Path) -> bool:
    ending = path.suffix.lower()
    kind, _ = mimetypes.guess_type(path.name)
    video = ending in _MORE_VIDEO_ENDINGS or (kind or "").startswith("video/")
    return video and ending not in VIDEO_EXTENSIONS


def one_deeper(root: Path) -> Path | None:
    """The folder of class folders inside `root`, where an archive was unpacked one too deep."""
    inner = subfolders(root)
    if len(inner) != 1 or videos_in(inner[0]):
        return None
    classes = [folder for folder in subfolders(inner[0]) if videos_below(folder)]
    return inner[0] if len(classes) > 1 else None


def find_named(base: Path, name: str) -> Path:
    """The file that a list names, from the folder `base`, or absolute.

    Where there is no file of just this name, backslashes count as slashes, and accents match
    however list and file system store them.

    Returns:
        A path that may not exist: then it is the name as given.
    """
    given = base / name
    if given.exists():
        return given
    place = base
    for part in PurePath(name.replace("\\", "/")).parts:
        place = _child(place, part)
    return place if place.exists() else given


def _child(folder: Path, name: str) -> Path:
    if (folder / name).exists() or not folder.is_dir():
        return folder / name
    wanted = unicodedata.normalize("NFC", name)
    same = (p for p in folder.iterdir() if unicodedata.normalize("NFC", p.name) == wanted)
    return next(same, folder / name)


def joined_stems(paths: Sequence[PurePath]) -> list[str]:
    """Stems that tell clips of one name in several folders apart: "Run__a" for "Run/a.mp4".

    Where two files differ by their ending alone, the ending joins: "Run__a__mp4", "Run__a__avi". A
    stem holds no "/", so that it can be part of a file's name.
    """
    stems = [_joined(path.with_suffix("")) for path in paths]
    endings: dict[str, set[str]] = {}
    for stem, path in zip(stems, paths, strict=True):
        endings.setdefault(fold(stem), set()).add(path.suffix)
    return [
        stem if len(endings[fold(stem)]) == 1 else f"{stem}__{path.suffix.lstrip('.')}"
        for stem, path in zip(stems, paths, strict=True)
    ]


def _joined(path: PurePath) -> str:
    return "__".join(part for part in path.parts if part not in (path.anchor, ".", ".."))


def folder_name(path: Path) -> str:
    """The name of a folder as it is on disk, also for `.` and `..`."""
    return path.resolve().name


def index_by_stem(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """The files of every stem, `fold`ed: two files share one in `x.avi`, `x.mp4`."""
    index: dict[str, list[Path]] = {}
    for path in paths:
        index.setdefault(fold(path.stem), []).append(path)
    return index


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a UTF-8 text file that are not blank, stripped, each with its number from 1.

    Raises:
        DatasetError: the file is absent, unreadable or not UTF-8 text.
    """
    numbered = enumerate((line.strip() for line in _read(path).split("\n")), start=1)
    return [(number, line) for number, line in numbered if line]


def read_table(path: Path, *, required: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with a header, cells stripped, each with its line number.

    Raises:
        DatasetError: as `read_lines`; a required column is not in the header; a row with more or
            fewer cells than the header.
    """
    reader = csv.DictReader(_read(path).splitlines())
    header = [name.strip() for name in reader.fieldnames or []]
    reader.fieldnames = header
    lacking = [name for name in required if name not in header]
    if lacking:
        raise line_error(path, 1, f"no column {', '.join(lacking)} (there are: {header})")
    rows = []
    for row in reader:
        if None in row or None in row.values():
            raise line_error(path, reader.line_num, f"expected {len(header)} cells")
        rows.append((reader.line_num, {name: cell.strip() for name, cell in row.items()}))
    return rows


def line_error(path: Path, number: int, problem: str) -> DatasetError:
    """The error for one bad line: `file:line: problem`."""
    return DatasetError(f"{path}:{number}: {problem}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not a UTF-8 text file") from error


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise _not_a_folder(folder, error) from error


def _not_a_folder(folder: Path, error: OSError) -> DatasetError:
    return DatasetError(f"{folder}: not a folder that can be read ({error.strerror})")

"""Finding video files in folders of classes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePath

from actionstream.errors import DatasetError
from actionstream.video import VIDEO_EXTENSIONS, find_videos


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
    """The video files in `folder` and in all folders below it, sorted.

    Raises:
        DatasetError: `folder` is not a folder that can be listed.
    """
    try:
        return find_videos(folder)
    except OSError as error:
        raise _not_a_folder(folder, error) from error


def joined_stem(path: PurePath) -> str:
    """A stem that tells clips of one name in several folders apart: "Run__a" for "Run/a.mp4".

    It holds no "/", so that it can be part of a file's name.
    """
    parts = path.with_suffix("").parts
    return "__".join(part for part in parts if part not in (path.anchor, ".", ".."))


def folder_name(path: Path) -> str:
    """The name of a folder as it is on disk, also for `.` and `..`."""
    return path.resolve().name


def index_by_stem(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """The files of every stem, the stem in lower case: two files share one in `x.avi`, `x.mp4`."""
    index: dict[str, list[Path]] = {}
    for path in paths:
        index.setdefault(path.stem.casefold(), []).append(path)
    return index


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise _not_a_folder(folder, error) from error


def _not_a_folder(folder: Path, error: OSError) -> DatasetError:
    return DatasetError(f"{folder}: not a folder that can be read ({error.strerror})")

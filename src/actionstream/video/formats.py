"""Which files count as videos when a folder is walked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# Compared without case. A file that is named directly may have any name: its content decides.
_ENDINGS = "3g2 3gp apng asf avi flv gif m2ts m4v mkv mov mp4 mpeg mpg mts mxf ogv ts webm wmv y4m"
VIDEO_EXTENSIONS: tuple[str, ...] = tuple(f".{ending}" for ending in _ENDINGS.split())


def find_videos(folder: Path | str) -> list[Path]:
    """All files below `folder` with one of VIDEO_EXTENSIONS, by code point of the relative path.

    Symbolic links to files are followed, links to folders are not (they may lead round in a
    circle). Names that begin with a dot are skipped, files and folders. [] if there is none.

    Raises:
        NotADirectoryError, FileNotFoundError, PermissionError: `folder` itself cannot be listed.
    """
    root = Path(folder)
    with os.scandir(root):  # os.walk is silent about a root that it cannot list
        pass
    return sorted(_walk(root), key=lambda path: path.relative_to(root).as_posix())


def _walk(root: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(root, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            file = Path(parent, name)
            if name.startswith(".") or file.suffix.lower() not in VIDEO_EXTENSIONS:
                continue
            if file.is_file():
                yield file

"""Which files count as videos when a folder is walked, and what a source may cost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Compared without case. A file that is named directly may have any name: its content decides.
_ENDINGS = (
    "264 265 3g2 3gp amv apng asf avi divx dv f4v flv gif h264 h265 hevc ivf m1v m2ts m2v "
    "m4v mjpeg mjpg mkv mov mp4 mpe mpeg mpg mts mxf nut ogm ogv rm rmvb ts vob webm wmv "
    "wtv y4m"
)
VIDEO_EXTENSIONS: tuple[str, ...] = tuple(f".{ending}" for ending in _ENDINGS.split())


def find_videos(folder: Path | str) -> list[Path]:
    """All files below `folder` with one of VIDEO_EXTENSIONS, by code point of the relative path.

    Symbolic links are followed, but into no folder that was entered already: a link may lead round
    in a circle. Names that begin with a dot are skipped, files and folders. [] if there is none.

    Raises:
        NotADirectoryError, FileNotFoundError, PermissionError: `folder` itself cannot be listed.
    """
    root = Path(folder)
    with os.scandir(root):  # os.walk is silent about a root that it cannot list
        pass
    return sorted(_walk(root), key=lambda path: path.relative_to(root).as_posix())


def _walk(root: Path) -> Iterator[Path]:
    seen = {os.path.realpath(root)}
    for parent, folders, names in os.walk(root, followlinks=True):
        folders[:] = [name for name in sorted(folders) if _is_new(Path(parent, name), seen)]
        for name in names:
            file = Path(parent, name)
            if name.startswith(".") or file.suffix.lower() not in VIDEO_EXTENSIONS:
                continue
            if file.is_file():
                yield file


def _is_new(folder: Path, seen: set[str]) -> bool:
    """Whether to enter a folder, which then counts as entered."""
    place = os.path.realpath(folder)
    if folder.name.startswith(".") or place in seen:
        return False
    seen.add(place)
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds for one source.

    `max_file_bytes` None means that a file may be of any length: it is streamed. A file or a
    frame over its limit raises VideoTooLargeError, a slow one VideoTimeoutError. Past a limit of
    consecutive damage the rest of the source is given up and it counts as truncated.
    """

    max_frame_pixels: int = 8192 * 8192  # twice 8K UHD; 200 MB as RGB
    max_file_bytes: int | None = None
    open_timeout_seconds: float = 30.0  # reading the header and finding the streams
    read_timeout_seconds: float = 30.0  # waiting for one packet
    max_consecutive_corrupt_packets: int = 500  # 17 s of 30 fps without a picture
    max_consecutive_read_errors: int = 16  # then the rest counts as lost

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be more than 0, got {value!r}")


DEFAULT_LIMITS = Limits()

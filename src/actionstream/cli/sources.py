"""From the words of a command to the videos that they mean."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath

from actionstream.errors import (
    ActionstreamError,
    UnreadableVideoError,
    UnsupportedVideoError,
    VideoError,
    VideoNotFoundError,
)
from actionstream.video import VIDEO_EXTENSIONS, find_videos
from actionstream.video.address import parse_address

STDIN = "-"

_CAMERA_OR_ADDRESS = re.compile(r"\d{1,2}|[A-Za-z][A-Za-z0-9+.-]+://.*")
_UTF_16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}  # by the mark at its beginning
_STEERING = bytes(set(range(32)) - set(b"\t\n\r\0"))  # characters that names do not hold
_LOOKED_AT_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Source:
    """One video to answer for.

    name:    how the answer calls it: the argument as typed, or folder/relative path.
    path:    the file; None where there is nothing to open. Never the name put in other words, so
             that an error's message begins with the name.
    inside:  its place below the folder or pattern that named it; its file name if named itself.
    error:   why there is nothing to open.
    """

    name: str
    path: str | None
    inside: PurePath
    error: VideoError | None = None


def expand(words: Iterable[str]) -> list[Source]:
    """The videos that these arguments mean, in their order; one named twice comes twice.

    A file is itself, whatever its name. A folder is walked for VIDEO_EXTENSIONS. What does not
    exist but holds `*`, `?` or `[` is a pattern (`**` goes through folders), sorted by code point;
    folders at its beginning that exist by that very name are no pattern. `-` stands for a list on
    stdin, a line an entry (or NUL between them), in UTF-8 or UTF-16. What cannot be found or
    listed, a camera and an address become a Source with `error`.

    Raises:
        ActionstreamError: only folders, patterns or an empty list were given and no video is in
            any of them, `-` is given twice, or stdin holds no list.
    """
    listed = list(words)
    if listed.count(STDIN) > 1:
        raise ActionstreamError("'-' stands for the list on stdin and can be given once")
    entries: list[str] = []
    for word in listed:
        entries.extend(_read_stdin() if word == STDIN else [word])
    sources: list[Source] = []
    empty: list[str] = []
    for entry in entries:
        found = list(_expand_one(entry))
        if not found:
            empty.append(entry)
            cause = "no video found here" if _is_folder(entry) else "no file matches"
            found = [_failed(entry, VideoNotFoundError(entry, cause))]
        sources.extend(found)
    if len(empty) == len(sources):
        raise ActionstreamError(_nothing_found(empty))
    return sources


def _nothing_found(empty: list[str]) -> str:
    where = ", ".join(empty) if empty else "the list on stdin is empty"
    return f"no video found: {where} (looked for {' '.join(VIDEO_EXTENSIONS)})"


def _read_stdin() -> list[str]:
    """The entries of the list: a line each, or NUL between them. PowerShell writes UTF-16."""
    stdin = sys.stdin.buffer
    content = stdin.read(_LOOKED_AT_BYTES)
    encoding = _UTF_16.get(content[:2])
    if encoding is None and _is_no_text(content):
        raise ActionstreamError(
            "stdin holds a video or other binary data; '-' reads a list of names from it, a line "
            "each: name the file itself instead"
        )
    content += stdin.read()
    if encoding is not None:
        return _lines(content[2:].decode(encoding, "replace"))
    if b"\n\0" in content:  # UTF-16 without its mark: in a list with NULs no name begins so
        return _lines(content.decode("utf-16-le", "replace"))
    content = content.removeprefix(b"\xef\xbb\xbf")
    lines = content.split(b"\0") if b"\0" in content else content.splitlines()
    return [os.fsdecode(line) for line in lines if line.strip()]


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _is_no_text(content: bytes) -> bool:
    """Whether these are the first bytes of something other than names: one in fifty steers."""
    steering = len(content) - len(content.translate(None, _STEERING))
    return 50 * steering > len(content)


def _expand_one(word: str) -> Iterator[Source]:
    if (live := _shown_address(word)) is not None:
        cause = f"a camera or stream, not a file: actionstream webcam {live}"
        yield _failed(word, UnsupportedVideoError(live, cause))
    elif _is_folder(word):
        yield from _walk(word)
    elif os.path.lexists(word):
        yield Source(word, word, PurePath(PurePath(word).name))
    elif _CAMERA_OR_ADDRESS.fullmatch(word):
        cause = "a camera or an address; `actionstream webcam` takes those, predict takes files"
        yield _failed(word, UnsupportedVideoError(word, cause))
    elif glob.has_magic(word):
        yield from _match(word)
    else:
        yield Source(word, word, PurePath(PurePath(word).name))


def _shown_address(word: str) -> str | None:
    """What names a camera or a stream, without its secrets; None if it can be a file."""
    if os.path.lexists(word) or not ("://" in word or word.isdecimal()):
        return None
    try:
        return parse_address(word).shown
    except VideoError:
        return None


def _walk(folder: str) -> Iterator[Source]:
    try:
        videos = find_videos(folder)
    except OSError as error:
        reason = f"the folder cannot be listed ({error.strerror or error})"
        yield _failed(folder, UnreadableVideoError(folder, reason))
        return
    typed = folder.rstrip("/" + os.sep)
    for video in videos:
        inside = video.relative_to(folder)
        name = f"{typed}/{inside.as_posix()}"
        yield Source(name, name, inside)


def _match(pattern: str) -> Iterator[Source]:
    """What matches, by code point: videos, and folders, which are walked.

    Files without a video's extension count only where none has one ('*.dav'). `**` names the
    files in all folders already.
    """
    pattern = _with_literal_folders(pattern)
    matches = sorted({_posix(path) for path in _glob(pattern)})
    files = [path for path in matches if not _is_folder(path)]
    videos = {path for path in files if path.lower().endswith(VIDEO_EXTENSIONS)} or set(files)
    for path in matches:
        if path in videos:
            yield Source(path, path, PurePath(PurePath(path).name))
        elif _is_folder(path) and "**" not in pattern:
            yield from _walk(path)


def _with_literal_folders(pattern: str) -> str:
    """The pattern with the folders at its beginning that exist by that very name taken literally.

    "My [2023] clips/*.mp4" means the clips in that folder, as a file with brackets means itself.
    """
    parts = pattern.split("/")
    for count in range(len(parts) - 1, 0, -1):
        folder = "/".join(parts[:count])
        if glob.has_magic(folder) and _is_folder(folder):
            return "/".join([glob.escape(folder), *parts[count:]])
    return pattern


def _is_folder(word: str) -> bool:
    return os.path.isdir(word)  # noqa: PTH112  Path("") would be the current folder


def _glob(pattern: str) -> list[str]:
    return glob.glob(pattern, recursive=True)  # noqa: PTH207  Path.glob takes no absolute pattern


def _posix(path: str) -> str:
    return path.replace(os.sep, "/")


def _failed(name: str, error: VideoError) -> Source:
    return Source(name, None, PurePath(PurePath(name).name), error)

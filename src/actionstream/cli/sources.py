"""From the words of a command to the videos that they mean."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath

from actionstream.errors import (
    ActionstreamError,
    UnreadableVideoError,
    VideoError,
    VideoNotFoundError,
)
from actionstream.video import VIDEO_EXTENSIONS, find_videos

STDIN = "-"


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
    exist but holds `*`, `?` or `[` is a pattern (`**` goes through folders), sorted by code point.
    `-` stands for a list on stdin, a line an entry (or NUL between them). What cannot be found or
    listed becomes a Source with `error`.

    Raises:
        ActionstreamError: only folders, patterns or an empty list were given and no video is in
            any of them, or `-` is given twice.
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
    content = sys.stdin.buffer.read().removeprefix(b"\xef\xbb\xbf")
    lines = content.split(b"\0") if b"\0" in content else content.splitlines()
    return [os.fsdecode(line) for line in lines if line.strip()]


def _expand_one(word: str) -> Iterator[Source]:
    if _is_folder(word):
        yield from _walk(word)
    elif not os.path.lexists(word) and glob.has_magic(word):
        yield from _match(word)
    else:
        yield Source(word, word, PurePath(PurePath(word).name))


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
    matches = sorted({_posix(path) for path in _glob(pattern)})
    files = [path for path in matches if not _is_folder(path)]
    videos = {path for path in files if path.lower().endswith(VIDEO_EXTENSIONS)} or set(files)
    for path in matches:
        if path in videos:
            yield Source(path, path, PurePath(PurePath(path).name))
        elif _is_folder(path) and "**" not in pattern:
            yield from _walk(path)


def _is_folder(word: str) -> bool:
    return os.path.isdir(word)  # noqa: PTH112  Path("") would be the current folder


def _glob(pattern: str) -> list[str]:
    return glob.glob(pattern, recursive=True)  # noqa: PTH207  Path.glob takes no absolute pattern


def _posix(path: str) -> str:
    return path.replace(os.sep, "/")


def _failed(name: str, error: VideoError) -> Source:
    return Source(name, None, PurePath(PurePath(name).name), error)

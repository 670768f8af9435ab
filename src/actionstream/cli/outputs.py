"""What `predict` writes: the results' stream and the annotated videos, nothing replaced unasked."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from actionstream.cli.sources import Source
from actionstream.errors import ActionstreamError, VideoWriteError

_NAMED = 3  # files that a refusal lists


@contextlib.contextmanager
def opened(output: str | None) -> Iterator[TextIO]:
    """Where results go: stdout, or the file. UTF-8, so that JSON is JSON in every locale.

    A file name that is no text becomes \\udcXX escapes, which JSON reads back as the same name.

    Raises:
        VideoWriteError: the file cannot be opened for writing.
    """
    if output is None:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
        yield sys.stdout
        return
    try:
        stream = open(  # noqa: SIM115, PTH123  closed below; the path is the user's words
            output, "w", encoding="utf-8", errors="backslashreplace", newline="\n"
        )
    except OSError as error:
        raise VideoWriteError(f"--output: {output}: {error.strerror or error}") from None
    with stream:
        yield stream


def annotation_targets(out: str | None, sources: Sequence[Source]) -> list[Path | None]:
    """The file that each source's annotated video goes to.

    OUT is a file if it ends in .mp4 and is no folder; that needs a single source. Without an
    ending, with a slash behind it, or if it is there, it is a folder that mirrors the sources'
    folders; names that would meet get -2, -3 ...

    Raises:
        ActionstreamError: OUT is neither.
    """
    if out is None:
        return [None] * len(sources)
    ending = Path(out).suffix
    if not ending or out.endswith(("/", os.sep)) or Path(out).is_dir():
        return list(_mirrored(Path(out), sources))
    if ending.lower() != ".mp4":
        raise ActionstreamError(
            f"--annotate {out}: annotated videos are MP4: name it {Path(out).with_suffix('.mp4')}, "
            f"or {out}/ if it is to be a folder"
        )
    if len(sources) > 1:
        raise ActionstreamError(
            f"--annotate {out}: {len(sources)} videos need a folder, name one without .mp4"
        )
    return [Path(out)]


def _mirrored(folder: Path, sources: Sequence[Source]) -> Iterator[Path]:
    taken: set[Path] = set()
    for source in sources:
        first = (folder / source.inside).with_suffix(".mp4")
        target, number = first, 1
        while target in taken:
            number += 1
            target = first.with_name(f"{first.stem}-{number}.mp4")
        taken.add(target)
        yield target


def refuse_overwriting(
    output: str | None, sources: Sequence[Source], targets: Sequence[Path | None], allowed: bool
) -> None:
    """Nothing that is written may replace a video that is read; older results, only if `allowed`.

    Raises:
        ActionstreamError: something would be replaced.
    """
    written = [*([] if output is None else [Path(output)]), *filter(None, targets)]
    places = [_resolved(path) for path in written]
    read = {_resolved(Path(source.path)) for source in sources if source.path is not None}
    for path, place in zip(written, places, strict=True):
        if place in read:
            raise ActionstreamError(f"{path} is one of the sources and would be overwritten")
    if output is not None and places[0] in places[1:]:
        raise ActionstreamError(f"--output and --annotate both name {output}")
    there = [path for path in written if os.path.isfile(path)]  # noqa: PTH113  no name is too long
    if there and not allowed:
        more = f" and {len(there) - _NAMED} more" if len(there) > _NAMED else ""
        names = ", ".join(map(str, there[:_NAMED]))
        raise ActionstreamError(f"{names}{more} would be overwritten; --overwrite allows it")


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # links that lead round in a circle
        return path

"""What `predict` writes: the results' stream and the annotated videos, nothing replaced unasked."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from actionstream.batch.output import SegmentsFile
from actionstream.cli.sources import Source
from actionstream.concurrency import Closing
from actionstream.errors import ActionstreamError

if TYPE_CHECKING:
    from actionstream.cli.results import Layout
    from actionstream.progress import ProgressBar
    from actionstream.results import Answer

Format = Literal["table", "json", "csv", "parquet"]

_NAMED = 3  # files that a refusal lists


_FORMATS: dict[str, Format] = {
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "json"),
    **{".csv": "csv", ".parquet": "parquet"},
}


def choose_format(asked: Format | None, output: str | None) -> Format:
    """What was asked for, else what the output's ending says, else a table for people.

    Raises:
        ActionstreamError: a .parquet that is to hold something else.
    """
    by_ending = None if output is None else _FORMATS.get(Path(output).suffix.lower())
    if asked is not None and by_ending == "parquet":
        raise ActionstreamError(f"--output {output}: Parquet is neither --json nor --csv")
    return asked or by_ending or "table"


class Printer(Closing):
    """Answers on stdout, off which `bar` steps meanwhile, perhaps with a file of segments.

    UTF-8, so that JSON is JSON in every locale: a file name that is no text becomes \\udcXX
    escapes, which JSON reads back as the same name.
    """

    def __init__(self, layout: Layout, bar: ProgressBar, segments: str | None) -> None:
        self._layout, self._bar = layout, bar
        self._segments = None if segments is None else SegmentsFile(Path(segments), new=True)
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
        self._print(layout.header())

    def add(self, answer: Answer) -> None:
        """Print its row and flush: what is finished is there even if the next one never is."""
        if self._segments is not None:
            self._segments.add(answer)
        self._print(self._layout.row(answer))

    def _print(self, text: str) -> None:
        with self._bar.paused():
            sys.stdout.write(text)
            sys.stdout.flush()

    def finish(self) -> None:
        """All sources are answered."""

    def close(self) -> None:
        """Close the file of segments."""
        if self._segments is not None:
            self._segments.close()


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


def refuse_overwriting(written: Sequence[Path], read: Sequence[Path], *, allowed: bool) -> None:
    """Nothing that is written may replace a video that is read; older results, only if `allowed`.

    Raises:
        ActionstreamError: something would be replaced, or would be written twice.
    """
    places = [_resolved(path) for path in written]
    sources = {_resolved(path) for path in read}
    for path, place in zip(written, places, strict=True):
        if place in sources:
            raise ActionstreamError(f"{path} is one of the sources and would be overwritten")
    for place, times in Counter(places).items():
        if times > 1:
            raise ActionstreamError(f"{place} is named for two outputs")
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

"""Files of answers that grow by whole rows, and that a later run goes on with.

::

    answers.jsonl            one row a source, in the order of the sources
    answers.jsonl.run.json   which model and which options made it: a run that goes on compares
    answers.parquet.jsonl    the answers so far, until all are there and answers.parquet is written

A row is written and flushed whole. A process that is killed leaves at most a torn last row, which
the next run cuts off; all rows before it are answered sources.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TextIO

from actionstream.batch.resume import (
    Row,
    RowFormat,
    check_record,
    csv_text,
    cut_torn_row,
    keep_segments,
    read_rows,
    write_record,
)
from actionstream.concurrency import Closing
from actionstream.errors import ActionstreamError, VideoWriteError
from actionstream.results import Answer, Segment

SEGMENT_COLUMNS = ("source", "start_seconds", "end_seconds", "label", "confidence")


class GrowingFile(Closing):
    """A text file that grows by whole rows; no other run may write it meanwhile.

    Raises:
        VideoWriteError: it cannot be written, or another run writes it.
    """

    def __init__(self, path: Path, *, option: str, new: bool = False) -> None:
        self.path, self._option = path, option
        try:
            self._stream = path.open("a", encoding="utf-8", errors="backslashreplace", newline="\n")
        except OSError as error:
            raise self._cannot(error) from None
        try:
            _lock(self._stream)
            if new and path.is_file():
                os.truncate(path, 0)
        except BlockingIOError:
            self._stream.close()
            raise VideoWriteError(f"{option}: {path}: another run is writing it") from None

    def append(self, text: str) -> None:
        """Write whole rows and flush: what is finished is there even if the next one never is."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError as error:
            raise self._cannot(error) from None

    def _cannot(self, error: OSError) -> VideoWriteError:
        return VideoWriteError(f"{self._option}: {self.path}: {error.strerror or error}")

    def close(self) -> None:
        """Close it. What a full disk did not take has been told by `append`."""
        with contextlib.suppress(OSError):
            self._stream.close()


def _lock(stream: TextIO) -> None:
    """BlockingIOError if another process holds the file; none where there are no such locks."""
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # no plain file, or a file system without locks
        return


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """Where the answers of a run go.

    path:     what `--output` names.
    kind:     the format; a "table" cannot be gone on with.
    settings: what decides the answers: the model and the options.
    segments: the file of segments, None for none.
    """

    path: Path
    kind: Literal["table", "json", "csv", "parquet"]
    settings: Mapping[str, Any]
    segments: Path | None = None

    @property
    def rows_path(self) -> Path:
        """The file that grows row by row."""
        if self.kind == "parquet":
            return self.path.with_name(f"{self.path.name}.jsonl")
        return self.path

    def earlier(self) -> Counter[Row]:
        """The rows of an earlier run, counted; its torn end is cut off.

        Raises:
            ActionstreamError: what is there was made otherwise, or is something else.
        """
        if self.kind == "table":
            raise ActionstreamError(
                f"--resume: {self.path} is a table for people; it goes on with .jsonl, .csv or "
                ".parquet (or --json, --csv)"
            )
        if not (self.rows_path.exists() or self.path.exists()):
            return Counter()
        check_record(self.path, self.settings)
        if not self.rows_path.exists():
            from actionstream.batch.parquet import parquet_to_lines

            parquet_to_lines(self.path, self.rows_path)
        kind: RowFormat = "csv" if self.kind == "csv" else "json"
        cut_torn_row(self.rows_path, kind)
        if self.segments is not None:
            keep_segments(self.segments, read_rows(self.rows_path, kind))
        return Counter(read_rows(self.rows_path, kind))


class Layout(Protocol):
    """Turns answers into rows of text."""

    def header(self) -> str: ...
    def row(self, answer: Answer) -> str: ...


class Output(Closing):
    """The answers' file and the segments', while a run writes them.

    Args:
        new: begin them anew; else they are as `OutputPlan.earlier` left them, and begun anew where
            that run did not get as far as its header.
    """

    def __init__(self, plan: OutputPlan, layout: Layout, *, new: bool) -> None:
        self._plan, self._layout = plan, layout
        new = new or not plan.rows_path.exists() or plan.rows_path.stat().st_size == 0
        self._segments: SegmentsFile | None = None
        with contextlib.ExitStack() as opening:
            self._rows = opening.enter_context(
                GrowingFile(plan.rows_path, option="--output", new=new)
            )
            if plan.segments is not None:
                self._segments = opening.enter_context(SegmentsFile(plan.segments, new=new))
            if new:
                self._begin()
            self._files = opening.pop_all()

    def _begin(self) -> None:
        if self._plan.kind == "parquet":
            self._plan.path.unlink(missing_ok=True)
        if self._plan.rows_path.is_file() and self._plan.kind != "table":
            write_record(self._plan.path, self._plan.settings)
        self._rows.append(self._layout.header())

    def add(self, answer: Answer) -> None:
        """Add what an answer says: its segments first, so that a row means that they are there."""
        if self._segments is not None:
            self._segments.add(answer)
        self._rows.append(self._layout.row(answer))

    def finish(self) -> None:
        """All sources are answered: write the Parquet table, if that is what was asked for."""
        if self._plan.kind == "parquet":
            from actionstream.batch.parquet import lines_to_parquet

            lines_to_parquet(self._plan.rows_path, self._plan.path)
            self._plan.rows_path.unlink()

    def close(self) -> None:
        """Close the files."""
        self._files.close()


class SegmentsFile(GrowingFile):
    """What was seen when: CSV with SEGMENT_COLUMNS, a row a segment.

    The label is empty where no known action was seen.
    """

    def __init__(self, path: Path, *, new: bool) -> None:
        super().__init__(path, option="--segments", new=new)
        if new:
            self.append(csv_line(SEGMENT_COLUMNS))

    def add(self, answer: Answer) -> None:
        """Add the segments of an answer."""
        self.append(segment_lines(answer.source, answer.segments))


def segment_lines(source: str, segments: Sequence[Segment]) -> str:
    """A row with SEGMENT_COLUMNS for each segment."""
    rows = []
    for one in segments:
        confidence = "" if one.confidence is None else repr(one.confidence)
        times = (repr(one.start_seconds), repr(one.end_seconds))
        rows.append(csv_line((source, *times, one.label or "", confidence)))
    return "".join(rows)


def csv_line(fields: Sequence[str]) -> str:
    """One row of a CSV file, with its newline; see `csv_text` for what is done to its texts."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(map(csv_text, fields))
    return text.getvalue()

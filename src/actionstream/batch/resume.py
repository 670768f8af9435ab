"""Where an earlier run ended: which sources have a row, and whether it was made the same way."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO, TypeVar

from actionstream import __version__
from actionstream.errors import ActionstreamError, VideoWriteError

Item = TypeVar("Item")
RowFormat = Literal["json", "csv"]


def in_file(text: str) -> str:
    """The text as it reads in these files: a name that is no text becomes \\udcXX escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def csv_text(text: str) -> str:
    """The text as a CSV file holds it: no formula for a spreadsheet, no command for a terminal.

    Control characters become \\xNN escapes; an apostrophe stands before = + - and @ in front.
    """
    shown = _CONTROL.sub(lambda one: f"\\x{ord(one[0]):02x}", text)
    return f"'{shown}" if shown.startswith(tuple("=+-@\t")) else shown


@dataclass(frozen=True, slots=True)
class Row:
    """What a row of an output says of its source."""

    source: str
    answered: bool  # not an error


def read_rows(path: Path, kind: RowFormat) -> Iterator[Row]:
    """The rows of an output without a torn end.

    Raises:
        ActionstreamError: something else stands in it.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            yield from (_json_rows if kind == "json" else _csv_rows)(stream)
    except (ValueError, KeyError, TypeError, IndexError, csv.Error):
        raise ActionstreamError(
            f"{path}: holds something else than the answers of an earlier run"
        ) from None


def _json_rows(stream: TextIO) -> Iterator[Row]:
    for line in stream:
        entry = json.loads(line)
        yield Row(in_file(entry["source"]), entry["status"] == "ok")


def _csv_rows(stream: TextIO) -> Iterator[Row]:
    rows = csv.reader(stream)
    next(rows, None)
    for row in rows:
        yield Row(row[0], row[1] == "ok")


def cut_torn_row(path: Path, kind: RowFormat) -> None:
    """Cut off what stands behind the last whole row."""
    whole, position, quotes = 0, 0, 0
    with path.open("r+b") as stream:
        for line in stream:
            position += len(line)
            quotes += line.count(b'"') if kind == "csv" else 0  # a quoted name may hold newlines
            if line.endswith(b"\n") and quotes % 2 == 0:
                whole = position
        stream.truncate(whole)


def keep_segments(path: Path, rows: Iterable[Row]) -> None:
    """Cut a file of segments to those of the sources that have a row: it is written before that.

    Raises:
        ActionstreamError: the segments of one of them are missing.
    """
    cut_torn_row(path, "csv")
    answered = sum(row.answered for row in rows)
    seen, lines = 0, _Counting(path)
    with contextlib.closing(lines):
        rows_of_file = csv.reader(lines)
        next(rows_of_file, None)
        kept = lines.position
        for row in rows_of_file:
            seen += float(row[1]) == 0  # the first segment of a source begins at 0
            if seen > answered:
                break
            kept = lines.position
    if seen < answered:
        raise ActionstreamError(f"{path}: the segments of answered sources are missing from it")
    os.truncate(path, kept)


class _Counting:
    """The lines of a file, and how many bytes those are that were taken."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("rb")
        self.position = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._stream:
            self.position += len(line)
            yield line.decode()

    def close(self) -> None:
        self._stream.close()


def record_of(path: Path) -> Path:
    """Where the record of an output stands."""
    return path.with_name(f"{path.name}.run.json")


def write_record(path: Path, settings: Mapping[str, Any]) -> None:
    """Say beside the output what makes it: whole or not at all."""
    record = record_of(path)
    partial = record.with_name(f".{secrets.token_hex(6)}.part.json")
    content = json.dumps({"actionstream": __version__, **settings}, indent=2, ensure_ascii=False)
    try:
        partial.write_text(content + "\n", encoding="utf-8", errors="backslashreplace")
        partial.replace(record)
    except OSError as error:
        raise VideoWriteError(f"--output: {record}: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)


def check_record(path: Path, settings: Mapping[str, Any]) -> None:
    """Refuse to go on with an output of another model or of other options.

    Raises:
        ActionstreamError: it says what differs, or there is no record.
    """
    record = record_of(path)
    try:
        before = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ActionstreamError(
            f"--resume: {path} has no record beside it ({record.name}) that says what made it; "
            "--overwrite replaces both"
        ) from None
    normal = json.loads(json.dumps(settings))
    other = [
        f"{name} was {_said(before.get(name))} and is {_said(value)}"
        for name, value in normal.items()
        if before.get(name) != value
    ]
    if other:
        raise ActionstreamError(f"--resume: {path} was made with other options: {'; '.join(other)}")


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(map(str, value.values()))
    return "not given" if value is None else str(value)


def unanswered(
    sources: Iterable[Item], earlier: Counter[Row], name: Callable[[Item], str]
) -> list[Item]:
    """The sources without a row of theirs, in their order; one named twice has two rows."""
    left, found = Counter[str](), []
    for row, times in earlier.items():
        left[row.source] += times
    for source in sources:
        key = in_file(name(source))
        if left[key] > 0:
            left[key] -= 1
        else:
            found.append(source)
    return found

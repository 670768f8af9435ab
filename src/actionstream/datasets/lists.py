"""Reading list files line by line, so that an error can name file and line."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from actionstream.errors import DatasetError


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

"""Reading list files line by line, so that an error can name file and line."""

from __future__ import annotations

from pathlib import Path

from actionstream.errors import DatasetError


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a UTF-8 text file that are not blank, stripped, each with its number from 1.

    Raises:
        DatasetError: the file is absent, unreadable or not UTF-8 text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not a UTF-8 text file") from error
    numbered = enumerate((line.strip() for line in text.split("\n")), start=1)
    return [(number, line) for number, line in numbered if line]


def line_error(path: Path, number: int, problem: str) -> DatasetError:
    """The error for one bad line: `file:line: problem`."""
    return DatasetError(f"{path}:{number}: {problem}")

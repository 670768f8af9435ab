"""Answers as a Parquet table, made from the JSON Lines that a run has written.

The columns are the keys of the JSON object; lists and objects in it are lists and structs.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from actionstream.batch.resume import in_file
from actionstream.errors import ActionstreamError, MissingExtraError, VideoWriteError

ROWS_AT_ONCE = 1000

_MOMENT = {"start_seconds": "double", "end_seconds": "double"}
_CANDIDATE = {"label": "string", "confidence": "double"}
_SHAPE: dict[str, Any] = {
    **{"source": "string", "status": "string", "label": "string", "confidence": "double"},
    **{"known": "bool", "known_score": "double"},
    "top": [_CANDIDATE],
    "segments": [{**_MOMENT, **_CANDIDATE}],
    "video": {
        **{"duration_seconds": "double", "frame_rate": "double", "width": "int32"},
        **{"height": "int32", "frames_read": "int64", "frames_encoded": "int64"},
        **{"corrupt_packets": "int64", "truncated": "bool"},
    },
    "timing": dict.fromkeys(("total_seconds", "decode_seconds", "encode_seconds"), "double"),
    "model": {"name": "string", "fingerprint": "string"},
    "several": "bool",
    "warnings": [{"kind": "string", "message": "string"}],
    "error": {"kind": "string", "message": "string"},
}


def check_parquet() -> None:
    """Raises:
    MissingExtraError: pyarrow is not installed.
    """
    if find_spec("pyarrow") is None:
        raise MissingExtraError("a .parquet output", "parquet")


def lines_to_parquet(lines: Path, target: Path) -> None:
    """Write `target`, whole or not at all, from a file of JSON Lines; a thousand rows in memory.

    Raises:
        VideoWriteError: it cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(list(_type(_SHAPE)))
    partial = target.with_name(f".{secrets.token_hex(6)}.part.parquet")
    try:
        with lines.open("rb") as stream, pq.ParquetWriter(partial, schema) as writer:
            rows = (json.loads(line) for line in stream)
            while some := list(islice(rows, ROWS_AT_ONCE)):
                for row in some:  # Arrow's text is UTF-8
                    row["source"] = in_file(row["source"])
                    if "error" in row:
                        row["error"]["message"] = in_file(row["error"]["message"])
                writer.write_table(pa.Table.from_pylist(some, schema=schema))
        partial.replace(target)
    except OSError as error:
        raise VideoWriteError(f"--output: {target}: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)


def _type(shape: Any) -> Any:
    """The Arrow type of a shape above."""
    import pyarrow as pa

    if isinstance(shape, dict):
        return pa.struct([pa.field(name, _type(inner)) for name, inner in shape.items()])
    if isinstance(shape, list):
        return pa.list_(_type(shape[0]))
    return pa.type_for_alias(shape)


def parquet_to_lines(table: Path, target: Path) -> None:
    """The other way round, so that a finished table can be gone on with.

    Raises:
        ActionstreamError: it is no table of answers.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    partial = target.with_name(f".{secrets.token_hex(6)}.part.jsonl")
    try:
        with pq.ParquetFile(table) as source, partial.open("w", encoding="utf-8") as stream:
            for row in _rows(source):
                line = {key: value for key, value in row.items() if value is not None}
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
        partial.replace(target)
    except (OSError, pa.ArrowException) as error:
        raise ActionstreamError(f"--resume: {table}: {error}") from None
    finally:
        partial.unlink(missing_ok=True)


def _rows(source: Any) -> Iterator[dict[str, Any]]:
    for batch in source.iter_batches(batch_size=ROWS_AT_ONCE):
        yield from batch.to_pylist()

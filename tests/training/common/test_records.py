"""Records: one line a run, appended."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from actionstream.training.common.checkpoint import append_record


def test_lines_are_appended_with_the_time_in_front(tmp_path: Path) -> None:
    path = tmp_path / "new" / "records.jsonl"
    append_record(path, {"kind": "train", "name": "Übung"})
    append_record(path, {"kind": "experiment"})
    first, second = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert list(first) == ["time", "kind", "name"]
    assert first["name"] == "Übung"
    assert second["kind"] == "experiment"
    told = datetime.strptime(first["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - told) < timedelta(minutes=5)

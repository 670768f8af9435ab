"""Records: one line of JSON a run, appended; what research is decided on."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any


def append_record(path: Path, record: dict[str, Any]) -> None:
    """Append one line with the time (UTC, ISO 8601) in front. The folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stamped = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **record}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(stamped, ensure_ascii=False) + "\n")

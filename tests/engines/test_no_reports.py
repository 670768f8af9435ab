"""ONNX Runtime keeps what it sees to itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src"


def test_loading_a_model_leaves_no_trace_of_telemetry(tmp_path: Path) -> None:
    """Its telemetry keeps a session file in the temporary folder as soon as it is imported."""
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    environment |= {"TMPDIR": str(tmp_path), "PYTHONPATH": str(SOURCE)}
    code = "import actionstream; actionstream.load(threads=1)"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=120)
    assert list(tmp_path.iterdir()) == []

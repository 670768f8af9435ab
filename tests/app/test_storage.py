"""What a killed server has left is removed by the next one; what living ones hold is not."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cli_process import environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX locks and signals")

SERVER = """
from actionstream.app.storage import Storage
with Storage() as storage:
    (storage.root / "video.mp4").write_text("a visitor's")
    print(storage.root, flush=True)
    input()
"""


def start(place: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that holds a storage, and the folder of its visitors."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        env=environment() | {"TMPDIR": str(place)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_the_next_server_clears_what_a_killed_one_left(tmp_path: Path) -> None:
    foreign = tmp_path / "actionstream-app-foreign"
    foreign.mkdir()
    killed, left = start(tmp_path)
    living, kept = start(tmp_path)
    assert (left / "video.mp4").is_file()
    killed.kill()
    killed.wait()
    assert (left / "video.mp4").is_file()
    third, own = start(tmp_path)
    assert not left.parent.exists()
    assert (kept / "video.mp4").is_file()
    assert own.is_dir()
    assert foreign.is_dir(), "nothing says that it is a server's"
    assert stat.S_IMODE(own.parent.stat().st_mode) == 0o700
    for process in (living, third):
        process.communicate("\n", timeout=60)
    assert list(tmp_path.iterdir()) == [foreign]

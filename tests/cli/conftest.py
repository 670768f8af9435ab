"""Clips for the command line, and the command line itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_process import Result, Run, run_process
from clips import make_clip, make_sound


@pytest.fixture
def run_cli(tmp_path: Path) -> Run:
    """Run `actionstream WORDS` in an empty folder (or `cwd`) and wait."""

    def run(*words: str | Path, stdin: bytes = b"", cwd: Path = tmp_path) -> Result:
        return run_process([str(word) for word in words], stdin=stdin, cwd=cwd)

    return run


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder of two clips, one in a subfolder, and files that are none."""
    folder = tmp_path / "videos"
    (folder / "b").mkdir(parents=True)
    make_clip(folder / "b" / "one.mp4", frames=30)
    make_clip(folder / "a.avi", codec="mpeg4", frames=30)
    (folder / "notes.txt").write_text("not a video")
    (folder / ".hidden.mp4").write_text("not a video")
    return folder


@pytest.fixture
def bad(tmp_path: Path) -> dict[str, str]:
    """Files that cannot be answered, by the kind of error; names relative to the empty folder."""
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video\n" * 50)
    make_sound(tmp_path / "sound.mp4")
    return {
        "not_found": "nowhere.mp4",
        "empty": "empty.mp4",
        "unreadable": "text.mp4",
        "no_video": "sound.mp4",
    }

"""A test on real clips that skips is a failure where clips are required."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")

TESTS = """
import pytest

def test_asks_for_the_folder(data_dir): ...

@pytest.mark.clips
def test_is_marked(): pytest.skip("no clip of that name")

def test_has_another_reason(): pytest.skip("not on this system")
"""


def run(folder: Path, **settings: str) -> str:
    """The closing line of a pytest run of TESTS where no clips are."""
    (folder / "conftest.py").write_text(CONFTEST.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "test_some.py").write_text(TESTS, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = clips\n", encoding="utf-8")
    kept = {key: value for key, value in os.environ.items() if key != "CI"}
    kept.pop("ACTIONSTREAM_REQUIRE_DATA", None)
    kept["PYTHONPATH"] = str(CONFTEST.parent.parent / "src")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=kept | {"ACTIONSTREAM_DATA": str(folder / "nowhere")} | settings,
        timeout=60,
    )
    return done.stdout.strip().splitlines()[-1]


def test_at_home_they_skip(tmp_path: Path) -> None:
    assert run(tmp_path).startswith("3 skipped")


@pytest.mark.parametrize("setting", [{"CI": "true"}, {"ACTIONSTREAM_REQUIRE_DATA": "1"}])
def test_where_clips_are_required_they_fail(tmp_path: Path, setting: dict[str, str]) -> None:
    assert run(tmp_path, **setting).startswith("1 failed, 1 skipped, 1 error")


def test_the_clips_are_of_the_training_list(ucf101_clip) -> None:
    clips = [ucf101_clip(label) for label in ("PushUps", "JumpRope", "HandstandPushups")]
    assert len({*clips, ucf101_clip("PushUps", 1)}) == 4
    assert all(int(clip.stem.split("_g")[1][:2]) >= 8 for clip in clips)

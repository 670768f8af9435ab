"""The readme's commands and code, run as they are written there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from actionstream.cli import parse

REPOSITORY = Path(__file__).resolve().parent.parent
README = (REPOSITORY / "README.md").read_text("utf-8")
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
NOT_THE_SOURCE = (".git", ".venv*", ".cache", ".ruff_cache", ".mypy_cache", "build", "dist", "runs")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    """The lines of all shell blocks, without their comments and prompts."""
    lines = "\n".join(blocks(text, "sh") + blocks(text, "")).replace("\\\n", " ").splitlines()
    return [re.sub(r"\s+#.*$", "", line).removeprefix("$ ").strip() for line in lines]


CLASSIC, ONE_LINER = blocks(README, "sh")[:2]


def written(page: Path) -> list[str]:
    """The commands of actionstream on a page that can be typed as they are."""
    found = [line for line in commands(page.read_text("utf-8")) if line.startswith("actionstream ")]
    return [line for line in found if "..." not in line and "[" not in line]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_one_that_the_program_takes(page: Path) -> None:
    for line in written(page):
        words = shlex.split(line)[1:]
        assert callable(parse(words).run), line


def test_commands_are_found_at_all() -> None:
    assert "actionstream predict clip.mp4" in written(REPOSITORY / "README.md")
    assert sum(len(written(page)) for page in PAGES) > 15


def test_ci_runs_the_test_command() -> None:
    assert "scripts/check" in commands(README)
    last = (REPOSITORY / ".ci" / "run").read_text("utf-8").splitlines()[-1]
    assert last == 'exec "$(dirname "${BASH_SOURCE[0]}")/../scripts/check" "$@"'


def run_python(code: str, folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.clips
def test_the_python_example(ucf101_clip: Callable[..., Path], tmp_path: Path) -> None:
    example, _ = blocks(README, "python")
    (tmp_path / "clip.mp4").symlink_to(ucf101_clip("PlayingPiano"))
    before = "import numpy as np\nrgb, time_seconds = np.zeros((240, 320, 3), np.uint8), 0.0\n"
    first, *segments, status = run_python(before + example + "print(reading.status)", tmp_path)
    assert re.fullmatch(r"PlayingPiano 0\.\d+ True", first)
    assert segments[0].startswith("0.0 ")
    assert status == "warming_up"


@pytest.mark.clips
def test_the_opencv_loop(ucf101_clip: Callable[..., Path], tmp_path: Path) -> None:
    """A file stands for the camera, and its own times for the clock."""
    _, example = blocks(README, "python")
    (tmp_path / "clip.mp4").symlink_to(ucf101_clip("PlayingPiano"))
    example = example.replace("VideoCapture(0)", "VideoCapture('clip.mp4')")
    example = example.replace("time.monotonic()", "camera.get(cv2.CAP_PROP_POS_MSEC) / 1000")
    assert re.fullmatch(r"PlayingPiano 0\.\d+", run_python(example, tmp_path)[-1])


@pytest.mark.e2e
@pytest.mark.clips
@pytest.mark.timeout(900)
def test_a_new_machine(ucf101_clip: Callable[..., Path], tmp_path: Path) -> None:
    """One command to set up and recognise; then the three classic ones, in the same environment.

    The third, `streamlit run app.py`, is what tests/e2e/test_script.py opens in a browser.
    """
    clone = tmp_path / "clone"
    shutil.copytree(REPOSITORY, clone, ignore=shutil.ignore_patterns(*NOT_THE_SOURCE))
    (clone / "clip.mp4").symlink_to(ucf101_clip("PushUps"))
    unwanted = {"PYTHONPATH", "VIRTUAL_ENV", "ACTIONSTREAM_TEST_BUNDLE"}
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    environment["PIP_CONSTRAINT"] = str(REPOSITORY / "constraints.txt")
    python = Path(sys.executable).parent  # `python3` is the interpreter under test

    def typed(line: str, path: Path) -> str:
        path_variable = f"{path}{os.pathsep}{environment['PATH']}"
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=clone,
            env=environment | {"PATH": path_variable},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    setup, _, start = ONE_LINER.strip().rpartition(" ")
    assert start == "app"
    assert "Push Ups" in typed(f"{setup} predict clip.mp4", python)
    installed = clone / ".venv" / "bin"
    first, second, third = commands(f"```sh\n{CLASSIC}```\n")
    typed(first, installed)
    assert "Push Ups" in typed(second, installed)
    assert third == "streamlit run app.py"

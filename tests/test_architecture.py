"""What costs nothing to import, and what is short enough to read.

Who may import whom and who owns which library stands in pyproject.toml: `lint-imports` checks it,
ruff checks the rest of the habits.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "actionstream"

HEAVY = {
    *("aiortc", "av", "cv2", "matplotlib", "numpy", "onnx", "onnxruntime", "pandas", "pydantic"),
    *("safetensors", "streamlit", "streamlit_webrtc", "timm", "torch", "torchvision"),
}
EXTRAS = {"aiortc", "cryptography", "matplotlib", "qrcode", "streamlit", "timm", "torch"}
ROOMS_OF_EXTRAS = ("app", "networks", "training", "engines/torch.py")
HELP = (
    "import sys; sys.argv = ['actionstream', '--help']; from actionstream.cli import main; main()"
)


def run(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
        timeout=120,
    )


def loaded_by(code: str) -> set[str]:
    """Top-level names of all modules that a fresh interpreter loads to run `code`."""
    lines = run(code, "-X", "importtime").stderr.splitlines()
    names = {line.rpartition("|")[2].strip().split(".")[0] for line in lines}
    assert {"sys", "actionstream"} & names, "no import times were printed"
    return names


def test_import_loads_nothing_heavy() -> None:
    assert loaded_by("import actionstream") & HEAVY == set()


def test_values_and_errors_load_numpy_alone() -> None:
    code = "from actionstream import ActionstreamError, Answer, VideoNotFoundError"
    assert loaded_by(code) & HEAVY == {"numpy"}


def test_help_loads_nothing_heavy() -> None:
    code = f"try:\n exec({HELP!r})\nexcept SystemExit as end:\n assert not end.code"
    assert loaded_by(code) & (HEAVY - {"numpy"}) == set()


def test_a_plain_install_can_import_every_other_room() -> None:
    """All modules but those of the extras, in one interpreter: no package of an extra comes in."""
    modules = []
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE).as_posix()
        if not inside.startswith(ROOMS_OF_EXTRAS) and path.name != "__main__.py":
            name = inside.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            modules.append("actionstream" if name == "__init__" else f"actionstream.{name}")
    assert len(modules) > 60
    assert loaded_by("import " + ", ".join(modules)) & EXTRAS == set()


@pytest.mark.skipif(sys.platform == "win32", reason="needs the resource module")
def test_help_takes_under_half_a_second() -> None:
    """CPU seconds, the best of three: wall time would measure the neighbours on the machine."""
    import resource

    taken = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(HELP)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(taken) < 0.5


def test_files_are_one_idea() -> None:
    """A file over 400 lines holds more than one idea."""
    lines = {
        path.relative_to(PACKAGE).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    assert len(lines) > 60
    assert {file: count for file, count in lines.items() if count > 400} == {}

"""Where the real clips are, and that nobody skips them unseen.

With CI=true or ACTIONSTREAM_REQUIRE_DATA=1 a test that asks for real clips and skips is a failure.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator
from importlib.util import find_spec
from pathlib import Path

import pytest

from actionstream.bundle.folder import resolve
from actionstream.recognizer import Recognizer, load

REPOSITORY = Path(__file__).resolve().parent.parent
DATA_REQUIRED = os.environ.get("CI") == "true" or os.environ.get("ACTIONSTREAM_REQUIRE_DATA") == "1"
HAS_TORCH = find_spec("torch") is not None

# A shell starts what it puts into the background with Ctrl-C ignored, and that is inherited: no
# command that a test starts could be interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# These folders import torch at the top of their files.
collect_ignore = [] if HAS_TORCH else ["networks", "training"]


def pytest_report_header() -> list[str]:
    """Say at the start what this run cannot do."""
    folder = _data_folder()
    lines = [f"real clips: {folder if folder.is_dir() else f'absent ({folder})'}"]
    return lines if HAS_TORCH else [*lines, "without PyTorch: tests/networks, tests/training left"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a test on real clips into a failure where clips are required."""
    report = yield
    asks = item.get_closest_marker("clips") or "data_dir" in getattr(item, "fixturenames", ())
    if DATA_REQUIRED and asks and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: may not skip here: {report.longrepr}"
    return report


def _data_folder() -> Path:
    named = os.environ.get("ACTIONSTREAM_DATA")
    return Path(named) if named else REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real clips; the test skips, with the reason, where there is none."""
    folder = _data_folder()
    if not (folder / "ucf101").is_dir():
        pytest.skip(f"no real clips: {folder / 'ucf101'} is not there (set ACTIONSTREAM_DATA)")
    return folder


@pytest.fixture(scope="session")
def ucf101_clip(data_dir: Path) -> Callable[..., Path]:
    """`ucf101_clip("PushUps")`: a clip of the training list; `number` chooses another one."""

    def find(label: str, number: int = 0) -> Path:
        found = sorted(
            clip
            for clip in (data_dir / "ucf101" / label).iterdir()
            if clip.suffix == ".mp4" and int(clip.stem.split("_g")[1][:2]) >= 8
        )
        assert len(found) > number, f"{label} has {len(found)} clips of the training list"
        return found[number]

    return find


@pytest.fixture(scope="session")
def model_folder() -> Path:
    """The shipped default bundle, or the one that ACTIONSTREAM_TEST_BUNDLE names."""
    return resolve(os.environ.get("ACTIONSTREAM_TEST_BUNDLE"))


@pytest.fixture(scope="session")
def model(model_folder: Path) -> Recognizer:
    """That bundle on ONNX Runtime with one thread."""
    return load(model_folder, threads=1)

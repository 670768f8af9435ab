"""`demo`, `verify` and `data check` as their users run them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli_process import Run
from conftest import HAS_TORCH
from tiny import tiny_model

from actionstream import cli, datasets
from actionstream.cli import data
from actionstream.datasets.check import check_dataset
from actionstream.evaluation import demo
from actionstream.video import VideoReader


def test_demo_says_that_all_is_well(run_cli: Run, model_folder: Path, tmp_path: Path) -> None:
    done = run_cli("demo", "--model", model_folder)
    assert (done.code, done.err) == (0, "")
    names = [line.split()[0] for line in done.lines[:7]]
    facts = ["machine", "versions", "engine", "model", "speed", "latency", "answer"]
    assert names == facts
    assert [line.split()[0] for line in done.lines[7:12]] == ["ok"] * 5
    assert done.lines[12:] == ["All is well."]
    assert list(tmp_path.iterdir()) == []


def test_demo_measures_what_it_says() -> None:
    model = tiny_model()
    report = demo.run_demo(model)
    assert report.ok
    assert len(report.checks) == 5
    assert report.speed.looks == 30  # 6 s, a look every 0.2 s
    assert 0 < report.speed.median_seconds <= report.speed.p95_seconds < 0.3
    assert report.versions["actionstream"] == cli.__version__


def test_the_demo_clip_moves_and_is_a_video(tmp_path: Path) -> None:
    assert demo.make_clip(tmp_path / "figure.mp4") == 180
    with VideoReader(tmp_path / "figure.mp4") as reader:
        pictures = [frame.to_rgb().astype(int) for frame in reader]
    assert len(pictures) == 180
    half_a_jump = np.abs(pictures[0] - pictures[15]).max(axis=2)
    assert 0.02 < (half_a_jump > 60).mean() < 0.5


class Shifty:
    """The tiny model's engine; its head says something else every time."""

    def __init__(self) -> None:
        self._real, self._calls = tiny_model().engine, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def read(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self._calls += 1
        logits, known = self._real.read(features)
        return logits + np.float32(self._calls % 2) * np.eye(3, dtype=np.float32)[0], known


def test_demo_says_what_is_not_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = replace(tiny_model(), engine=Shifty())  # type: ignore[arg-type]
    monkeypatch.setattr("actionstream.cli.demo.load_model", lambda args: damaged)
    monkeypatch.setattr(demo, "MOST_AGE_SECONDS", -1.0)
    assert cli.main(["demo"]) == 1
    lines = capsys.readouterr().out.splitlines()
    wrong = [line for line in lines if line.startswith("NOT WELL")]
    assert len(wrong) == 2
    assert "file and live stream differ at reading" in wrong[0]
    assert lines[-1].startswith("Not all is well")


@pytest.mark.clips
def test_verify_a_real_clip(
    run_cli: Run, model_folder: Path, ucf101_clip: Callable[..., Path]
) -> None:
    done = run_cli("verify", ucf101_clip("JumpRope", 1), "--model", model_folder)
    assert (done.code, done.err) == (0, "")
    same = [line for line in done.lines if line.startswith("same: ")]
    assert len(same) == 1 + HAS_TORCH
    assert all(" readings; largest: time 0.0e+00, probability " in line for line in same)
    assert any("not compared" in line for line in done.lines) != HAS_TORCH
    assert done.lines[-1] == "same to 0.0001"


def test_verify_without_pytorch_says_so(
    videos: Path,
    model_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "safetensors.torch", None)  # not importable
    clip = str(videos / "a.avi")
    assert cli.main(["verify", clip, "--model", str(model_folder)]) == 0
    out = capsys.readouterr().out
    assert "not compared with the other engine: the torch engine needs packages" in out
    assert "pip install 'actionstream[train]'" in out


def test_verify_names_the_first_difference_and_ends_with_1(
    videos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = replace(tiny_model(), engine=Shifty())  # type: ignore[arg-type]
    monkeypatch.setattr("actionstream.cli.verify.load_model", lambda args, **_: damaged)
    assert cli.main(["verify", str(videos / "a.avi")]) == 1
    out = capsys.readouterr().out
    assert "DIFFERENT: live stream, frame by frame: reading " in out
    assert " s: probability of " in out
    assert " apart" in out


def test_verify_of_a_bad_file_is_one_line(run_cli: Run, model_folder: Path) -> None:
    done = run_cli("verify", "nowhere.mp4", "--model", model_folder)
    assert (done.code, done.out) == (1, "")
    assert done.err == "actionstream: nowhere.mp4: no such file\n"


def test_export_without_pytorch_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("actionstream.cli.export.find_spec", lambda name: None)
    assert cli.main(["export", "final.ckpt", "--to", "bundle"]) == 2
    assert "pip install 'actionstream[train]'" in capsys.readouterr().err


def test_data_check_prints_the_report(run_cli: Run, videos: Path, tmp_path: Path) -> None:
    for label in ("run", "walk"):
        for number in range(6):
            place = tmp_path / "set" / label / f"{label}{number}.mp4"
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(videos / "b" / "one.mp4", place)
            place.write_bytes(place.read_bytes() + bytes([number, len(label)]))
    (tmp_path / "set" / "run" / "broken.mp4").write_bytes(b"no video")
    done = run_cli("data", "check", "set", "--layout", "folder")
    report = check_dataset(tmp_path / "set", "folder")
    expected = report.to_text().replace(str(tmp_path / "set"), "set")
    assert done.out.splitlines() == expected.splitlines()
    assert (done.code, report.ok) == (1, False)
    fields = json.loads(run_cli("data", "check", "set", "--layout", "folder", "--json").out)
    assert fields["ok"] is False
    assert [Path(entry["path"]).name for entry in fields["unreadable"]] == ["broken.mp4"]
    assert sum(fields["counts"]["walk"].values()) == 6
    without = run_cli("data", "check", "set", "--layout", "folder", "--no-open", "--json")
    assert (without.code, json.loads(without.out)["opened"]) == (0, 0)


def test_data_check_of_nothing_is_one_line(run_cli: Run) -> None:
    done = run_cli("data", "check", "nowhere")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("actionstream: ")
    assert done.err.count("\n") == 1


def test_the_layouts_are_those_of_the_library() -> None:
    assert data.LAYOUTS == datasets.LAYOUTS

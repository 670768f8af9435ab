"""`actionstream models` as its users run it."""

from __future__ import annotations

import json
from pathlib import Path

from cli_process import Run

from actionstream.bundle.folder import resolve, shipped


def test_the_list_names_every_shipped_model_and_the_default(run_cli: Run) -> None:
    done = run_cli("models")
    assert (done.code, done.err) == (0, "")
    header, *rows = done.lines
    assert header.split() == ["MODEL", "ACTIONS", "RIGHT", "CLIPS", "LOOKS"]
    assert [row.split()[0] for row in rows] == list(shipped())
    (default,) = [row for row in rows if "(default)" in row]
    assert default.startswith(f"{resolve().name} ")


def test_one_model_says_what_it_knows(run_cli: Run, model_folder: Path) -> None:
    done = run_cli("models", model_folder)
    assert (done.code, done.err) == (0, "")
    labels = json.loads((model_folder / "card.json").read_text())["labels"]
    assert f", {len(labels)} actions" in done.lines[0]
    start = next(i for i, line in enumerate(done.lines) if line.startswith("ACTION "))
    rows = done.lines[start + 1 : start + 1 + len(labels)]
    assert [label for label, row in zip(labels, rows, strict=True) if f" {label} " in row] == labels


def test_json_is_the_card(run_cli: Run, model_folder: Path) -> None:
    card = json.loads((model_folder / "card.json").read_text())
    printed = json.loads(run_cli("models", model_folder, "--json").out)
    assert printed["path"] == str(model_folder)
    assert {key: printed[key] for key in card} == card


def test_no_such_model_is_one_line(run_cli: Run) -> None:
    done = run_cli("models", "lite9")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("actionstream: lite9: neither a folder nor a shipped variant")

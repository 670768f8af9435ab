"""Wrong use, help and the ways in which the program ends."""

from __future__ import annotations

import importlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from cli_process import COMMAND, Run, environment

from actionstream import __version__
from actionstream.cli import VERBS, main, parse
from actionstream.cli.options import EXAMPLES
from actionstream.video import VIDEO_EXTENSIONS


def test_version(run_cli: Run) -> None:
    done = run_cli("--version")
    assert (done.code, done.out, done.err) == (0, f"actionstream {__version__}\n", "")


def test_help_names_every_verb_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    places = [out.index(f"\n    {verb} ") for verb in VERBS]
    assert places == sorted(places)
    assert set(VERBS) == set(EXAMPLES)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(importlib.import_module(f"actionstream.cli.{verb}").run)
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert f"usage: actionstream {verb}" in out
    assert out.rstrip().endswith("\n".join(f"  {line}" for line in EXAMPLES[verb]))


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_every_example_is_one_that_the_program_takes(line: str) -> None:
    words = shlex.split(line.rpartition(" | ")[2])
    assert callable(parse(words[1:]).run)


@pytest.mark.skipif(sys.platform == "win32", reason="needs file descriptor 8")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [("actionstream mod", "models"), ("actionstream predict --ann", "--annotate")],
)
def test_a_shell_can_complete(typed: str, offered: str, tmp_path: Path) -> None:
    """Asked as argcomplete's shell function does: variables in, the answer on descriptor 8."""
    asked = environment() | {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "COMP_LINE": typed,
        "COMP_POINT": str(len(typed)),
    }
    command = f"{shlex.join(COMMAND)} 8>answer 9>/dev/null"
    subprocess.run(["bash", "-c", command], env=asked, cwd=tmp_path, check=True, timeout=60)
    assert (tmp_path / "answer").read_text().split() == [offered]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "usage: actionstream"),
        (["predikt"], "invalid choice: 'predikt'"),
        (["predict"], "required: SOURCE"),
        (["predict", "a.mp4", "--top", "0"], "must be a whole number from 1 on, got '0'"),
        (["predict", "a.mp4", "--top", "many"], "must be a whole number from 1 on, got 'many'"),
        (["predict", "a.mp4", "--threads", "-1"], "must be a whole number from 1 on"),
        (["predict", "a.mp4", "--json", "--csv"], "not allowed with argument"),
        (["predict", "a.mp4", "--engine", "tf"], "invalid choice: 'tf'"),
        (["predict", "a.mp4", "--js"], "unrecognized arguments: --js"),
        (["data"], "required: ACTION"),
    ],
)
def test_wrong_use_is_2_and_says_why(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err


def test_an_error_is_one_line_on_stderr_and_2(run_cli: Run) -> None:
    done = run_cli("predict", "a.mp4", "--model", "no-such-variant")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("actionstream: no-such-variant: neither a folder nor a shipped")
    assert done.err.count("\n") == 1


def test_a_reader_that_goes_away_is_no_news(videos: Path, model_folder: Path) -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "predict", str(videos), "--json", "--model", str(model_folder)],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    os.close(writing)
    os.close(reading)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told(videos: Path, model_folder: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "predict", str(videos), "--model", str(model_folder)],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert b"No space left" in done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_the_page_about_the_command_line_states_what_counts_as_a_video() -> None:
    page = Path(__file__).resolve().parent.parent.parent / "docs" / "cli.md"
    assert f"`{' '.join(VIDEO_EXTENSIONS)}`" in page.read_text(encoding="utf-8")

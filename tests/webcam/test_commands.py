"""Commands that events start: their environment, their number, their failures."""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from streams import PATIENCE_SECONDS, eventually

from actionstream.errors import ActionstreamError
from actionstream.webcam.events import ActionEvent, CommandRunner, parse_command

BEGIN = ActionEvent("begin", "Run; rm -rf $HOME", 1.25, None, 0.5, "")
END = ActionEvent("end", "Run", 1.25, 3.5, 0.75, "")

WRITE_ENVIRONMENT = (
    "import json, os, sys; open(sys.argv[1], 'w').write(json.dumps("
    "{k: v for k, v in os.environ.items() if k.startswith('ACTIONSTREAM_')}))"
)


def test_a_command_finds_the_event_in_its_environment(tmp_path: Path) -> None:
    runner = None
    for event, expected in (
        (BEGIN, ("begin", "Run; rm -rf $HOME", "1.250", "", "0.5000")),
        (END, ("end", "Run", "1.250", "3.500", "0.7500")),
    ):
        place = tmp_path / f"{event.kind} of $(it).json"
        runner = CommandRunner([sys.executable, "-c", WRITE_ENVIRONMENT, str(place)])
        assert runner.start(event)
        runner.close(PATIENCE_SECONDS)
        found = json.loads(place.read_text())
        names = ("EVENT", "LABEL", "START_SECONDS", "END_SECONDS", "CONFIDENCE")
        assert tuple(found[f"ACTIONSTREAM_{name}"] for name in names) == expected
        assert runner.running() == 0


# Writes down its event; then a "begin" waits for the file `gate`.
LAMP = """
import os, pathlib, time
folder = pathlib.Path({folder!r})
kind = os.environ["ACTIONSTREAM_EVENT"]
with open(folder / "told", "a") as told:
    told.write(kind + " " + os.environ["ACTIONSTREAM_LABEL"] + chr(10))
while kind == "begin" and not (folder / "gate").exists():
    time.sleep(0.01)
"""


def told(folder: Path) -> list[str]:
    path = folder / "told"
    return path.read_text().splitlines() if path.exists() else []


def test_commands_are_bounded_and_hold_nobody_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The commands wait for the gate, which opens after all events were handed over."""
    runner = CommandRunner([sys.executable, "-c", LAMP.format(folder=str(tmp_path))], most=2)
    with caplog.at_level(logging.WARNING):
        started = [runner.start(BEGIN) for _ in range(5)]
    assert started == [True, True, False, False, False]
    assert [record.getMessage().count("still run") for record in caplog.records] == [1]
    assert runner.running() == 2
    runner.close(0.0)  # does not wait for them
    assert runner.running() >= 2
    (tmp_path / "gate").touch()
    runner.close(PATIENCE_SECONDS)
    assert runner.running() == 0


def test_the_newest_event_of_each_kind_waits_for_a_place(tmp_path: Path) -> None:
    """So that what a beginning switched on is switched off, however busy the commands are."""
    runner = CommandRunner([sys.executable, "-c", LAMP.format(folder=str(tmp_path))], most=1)
    assert runner.start(replace(BEGIN, label="A"))
    eventually(lambda: told(tmp_path) == ["begin A"])
    for label in "ABC":
        assert not runner.start(replace(END, label=label))
        assert not runner.start(replace(BEGIN, label=label))
    assert not runner.start(replace(END, label="D"))
    assert runner.running() == 1
    (tmp_path / "gate").touch()
    runner.close(PATIENCE_SECONDS)
    assert told(tmp_path) == ["begin A", "begin C", "end D"]
    assert runner.running() == 0


def test_the_last_word_is_said_beside_commands_that_hang(tmp_path: Path) -> None:
    runner = CommandRunner([sys.executable, "-c", LAMP.format(folder=str(tmp_path))], most=1)
    try:
        assert runner.start(BEGIN)
        assert not runner.start(BEGIN)
        assert not runner.start(END)
        runner.close(0.1)
        eventually(lambda: told(tmp_path)[-1:] == ["end Run"])
        assert len(told(tmp_path)) == 2
    finally:
        (tmp_path / "gate").touch()
    runner.close(PATIENCE_SECONDS)
    assert runner.running() == 0


def test_a_label_that_no_environment_takes_is_a_logged_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runner = CommandRunner([sys.executable, "-c", ""])
    with caplog.at_level(logging.WARNING):
        assert not runner.start(replace(END, label="nul\0"))
        assert not runner.start(replace(END, label="half a pair \ud800"))
    assert [r.getMessage().count("cannot be started") for r in caplog.records] == [1]
    assert runner.start(END), "the next one is run"
    runner.close(PATIENCE_SECONDS)


def test_failures_are_logged_once_a_kind(caplog: pytest.LogCaptureFixture) -> None:
    failing = CommandRunner([sys.executable, "-c", "raise SystemExit(3)"])
    missing = CommandRunner(["/no/such/program"])
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert failing.start(END)
            failing.close(PATIENCE_SECONDS)
            eventually(lambda: failing.running() == 0)
            assert not missing.start(END)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert any("exit code 3" in message for message in messages)
    assert any("cannot be started" in message for message in messages)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_no_zombies_stay() -> None:
    runner = CommandRunner([sys.executable, "-c", ""], most=3)
    for _ in range(6):
        runner.start(END)
        runner.close(PATIENCE_SECONDS)
    eventually(lambda: runner.running() == 0)
    states = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(after_name[1]) == os.getpid():
            states.append(after_name[0])
    assert "Z" not in states


def test_a_command_is_split_like_a_shells_but_never_given_to_one() -> None:
    words = parse_command(f"'{sys.executable}' -c 'a b' \"c  d\" $HOME | x")
    assert words == (sys.executable, "-c", "a b", "c  d", "$HOME", "|", "x")
    for wrong, why in (
        ("", "empty"),
        ("  ", "empty"),
        ("say 'hi", "cannot be split"),
        ("no-such-program-here", "no program"),
    ):
        with pytest.raises(ActionstreamError, match=why):
            parse_command(wrong)

"""`predict` over many videos: processes, limits, shards, runs that are killed and gone on with."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from cli_process import COMMAND, Result, Run, environment
from clips import make_clip

from actionstream.video import VideoReader

plain_bundle = pytest.importorskip("plain_bundle", reason="needs the extra 'test'").plain_bundle

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and limits")

CLIPS = 24
SEED = 19

Predict = Callable[..., Result]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a quick bundle and `clips/`, of which two are no videos."""
    folder = tmp_path_factory.mktemp("many")
    plain_bundle(folder / "bundle")
    (folder / "clips").mkdir()
    for number in range(CLIPS):
        make_clip(folder / "clips" / f"{number:02}.mp4", frames=12 + number)
    (folder / "clips" / "07.mp4").write_text("no video")
    (folder / "clips" / "15.mp4").write_bytes(b"")
    return folder


@pytest.fixture
def predict(run_cli: Run, place: Path) -> Predict:
    def run(*words: str | Path, cwd: Path = place, **how: Any) -> Result:
        return run_cli("predict", *words, "--model", place / "bundle", cwd=cwd, **how)

    return run


def without_timing(lines: list[str]) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in lines]
    return [{key: entry[key] for key in entry if key != "timing"} for entry in found]


def test_two_jobs_say_what_one_says(predict: Predict) -> None:
    alone = predict("clips", "--json", "--threads", 1)
    for jobs in (1, 2):
        done = predict("clips", "--json", "--threads", jobs, "--jobs", jobs)
        assert (done.code, done.err) == (1, "")
        assert without_timing(done.lines) == without_timing(alone.lines)
    assert len(alone.lines) == CLIPS


def test_shards_are_disjoint_and_complete(predict: Predict) -> None:
    words = ("clips", "--json", "--threads", 1)
    every = without_timing(predict(*words).lines)
    shards = [without_timing(predict(*words, "--shard", f"{i}/3").lines) for i in (1, 2, 3)]
    assert shards == [every[0::3], every[1::3], every[2::3]]


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "1/0", "a/b"])
def test_a_shard_that_is_none(predict: Predict, shard: str) -> None:
    done = predict("clips", "--shard", shard)
    assert (done.code, done.out) == (2, "")
    assert "must be I/N with I from 1 to N" in done.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--resume"], "--resume goes on with --output, which is not given"),
        (["--timeout", "5"], "--timeout is for worker processes: add --jobs N"),
        (["--memory", "5"], "--memory is for worker processes: add --jobs N"),
        (["--segments", "seen.txt"], "segments are CSV: name it .csv"),
        (["--csv", "--output", "a.parquet"], "Parquet is neither --json nor --csv"),
        (["--resume", "--overwrite", "--output", "a.csv"], "not allowed with argument"),
        (["--resume", "--output", "bundle/card.json"], "has no record beside it"),
        (["--output", "a.csv", "--segments", "./a.csv"], "is named for two outputs"),
    ],
)
def test_wrong_use(predict: Predict, place: Path, words: list[str], says: str) -> None:
    before = sorted(place.iterdir())
    done = predict("clips", *words)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert sorted(place.iterdir()) == before


def test_the_ending_says_the_format(predict: Predict, place: Path, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="needs the extra 'parquet'")
    expected = without_timing(predict("clips", "--json", "--threads", 1).lines)
    for name in ("a.jsonl", "a.csv", "a.parquet"):
        words = ("clips", "--threads", 1, "--output", tmp_path / name)
        done = predict(*words, "--segments", tmp_path / f"{name}.csv")
        assert (done.code, done.out) == (1, "")
    assert without_timing((tmp_path / "a.jsonl").read_text().splitlines()) == expected
    rows = list(csv.DictReader((tmp_path / "a.csv").open(newline="")))
    assert [row["source"] for row in rows] == [entry["source"] for entry in expected]
    table = pq.read_table(tmp_path / "a.parquet").to_pylist()
    filled = [{key: value for key, value in row.items() if value is not None} for row in table]
    assert [{**row, "timing": 0} for row in filled] == [
        {**{key: value for key, value in entry.items() if value is not None}, "timing": 0}
        if entry["status"] == "ok"
        else {**entry, "timing": 0}
        for entry in expected
    ]
    seen = list(csv.DictReader((tmp_path / "a.csv.csv").open(newline="")))
    assert seen == list(csv.DictReader((tmp_path / "a.parquet.csv").open(newline="")))
    listed = [
        (entry["source"], segment["start_seconds"], segment["end_seconds"], segment["label"])
        for entry in expected
        for segment in entry.get("segments", ())
    ]
    assert [
        (row["source"], float(row["start_seconds"]), float(row["end_seconds"]), row["label"])
        for row in seen
    ] == [(*row[:3], row[3] or "") for row in listed]


def killed_and_resumed(
    place: Path, words: list[str], delays: Iterator[float], number: int = signal.SIGKILL
) -> tuple[int, list[int]]:
    """Start, end at a random moment, go on, until it is done: how often, and the exit codes."""
    ends = 0
    codes = []
    while True:
        process = subprocess.Popen(
            [*COMMAND, "predict", *words, "--model", "bundle", "--resume"],
            cwd=place,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            _, err = process.communicate(timeout=next(delays))
        except subprocess.TimeoutExpired:
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
            ends += 1
        assert b"Traceback" not in err, err.decode()
        codes.append(process.returncode)
        if process.returncode in (0, 1, 2):
            return ends, codes


@pytest.mark.parametrize("options", [["--jobs", "2"], ["--annotate", "drawn"]])
@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_killed_at_any_moment_every_source_is_answered_once(
    predict: Predict, place: Path, tmp_path: Path, ending: str, options: list[str]
) -> None:
    """kill -9 eight times at random moments from the start of the program on."""
    kinds = dict.fromkeys(options)
    if "--annotate" in kinds:
        options = ["--annotate", str(tmp_path / "drawn")]
    whole, output = tmp_path / f"whole.{ending}", tmp_path / f"killed.{ending}"
    assert predict("clips", "--threads", 1, "--output", whole).code == 1
    chance = random.Random(f"{SEED} {ending} {options[0]}")
    moments = iter([*(chance.uniform(0.3, 1.6) for _ in range(8)), *[60.0] * 2])
    words = ["clips", "--threads", "1", "--output", str(output)]
    words += ["--segments", str(tmp_path / "seen.csv"), *options]
    _, codes = killed_and_resumed(place, words, moments)
    assert codes[-1] == 1
    if ending == "csv":
        assert output.read_text() == whole.read_text()
    else:
        assert without_timing(output.read_text().splitlines()) == without_timing(
            whole.read_text().splitlines()
        )
    seen = list(csv.DictReader((tmp_path / "seen.csv").open(newline="")))
    starts = [row["source"] for row in seen if float(row["start_seconds"]) == 0]
    answered = [f"clips/{i:02}.mp4" for i in range(CLIPS) if i not in (7, 15)]
    assert starts == answered
    if "--annotate" in kinds:
        drawn = [f"{i:02}.mp4" for i in range(CLIPS) if i not in (7, 15)]
        videos = sorted(p.name for p in (tmp_path / "drawn").iterdir() if p.name[0] != ".")
        assert videos == drawn
        for name in drawn:
            with VideoReader(tmp_path / "drawn" / name) as reader:
                assert len(list(reader)) == 12 + int(name[:2])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_with_jobs_nothing_is_left_running(
    place: Path, tmp_path: Path, number: int, code: int
) -> None:
    words = ["clips", "--jobs", "2", "--output", str(tmp_path / "a.jsonl")]
    words += ["--annotate", str(tmp_path / "drawn")]
    process = start(place, words)
    wait_for(lambda: rows(tmp_path / "a.jsonl") > 2)
    workers = workers_of(process)
    assert len(workers) == 2
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert b"Traceback" not in err
    psutil.wait_procs(workers, timeout=10)
    assert not any(one.is_running() for one in workers)
    assert [p.name for p in (tmp_path / "drawn").iterdir() if p.name.startswith(".")] == []
    assert all(json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines())


def test_workers_end_with_a_parent_that_is_killed(place: Path, tmp_path: Path) -> None:
    process = start(place, ["clips", "--jobs", "2", "--output", str(tmp_path / "a.jsonl")])
    wait_for(lambda: rows(tmp_path / "a.jsonl") > 0)
    workers = workers_of(process)
    process.kill()
    process.wait()
    gone, alive = psutil.wait_procs(workers, timeout=15)
    assert (len(gone), alive) == (2, [])


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGKILL, "crashed"), (signal.SIGSTOP, "timeout")]
)
def test_a_worker_that_crashes_or_hangs_costs_its_video(
    place: Path, tmp_path: Path, number: int, kind: str
) -> None:
    """The long clip's decoder is killed, or stopped, from outside; the others are answered."""
    long = make_clip(tmp_path / "long.mp4", frames=4000)
    output = tmp_path / "a.jsonl"
    words = ["clips/00.mp4", str(long), "clips/01.mp4", "clips/02.mp4"]
    process = start(place, [*words, "--jobs", "1", "--output", str(output), "--timeout", "6"])
    wait_for(lambda: rows(output) == 1)
    (worker,) = workers_of(process)
    time.sleep(0.1)
    worker.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, b"Traceback" in err) == (1, False)
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert [entry["source"] for entry in found] == words
    assert [entry["status"] for entry in found] == ["ok", "error", "ok", "ok"]
    assert found[1]["error"]["kind"] == kind
    assert found[1]["error"]["message"].startswith(f"{long}: ")


def test_a_video_that_takes_too_much_memory_costs_itself(predict: Predict, tmp_path: Path) -> None:
    """A picture of 50 megapixels takes 75 MB decoded and 150 MB as RGB.

    Where it is the decoder that has no room, H.264's calls that damage. The next video finds the
    room whole again.
    """
    large = make_clip(tmp_path / "large.mp4", size=(8192, 6144), frames=2)
    words = ("clips/00.mp4", large, "clips/01.mp4", large, "clips/02.mp4", "--json")
    done = predict(*words, "--threads", 1, "--jobs", 1, "--memory", 150)
    found = [json.loads(line) for line in done.lines]
    assert [entry["status"] for entry in found] == ["ok", "error", "ok", "error", "ok"], done.out
    assert found[1]["error"]["kind"] in ("too_large", "no_frames")
    assert "Traceback" not in done.err
    assert predict(large, "--threads", 1, "--jobs", 1).code == 0


def test_a_pipe_that_nobody_writes_to_does_not_hang(predict: Predict, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    done = predict(tmp_path / "pipe.mp4", "clips/00.mp4", "--json", "--jobs", 1)
    found = [json.loads(line) for line in done.lines]
    assert found[0]["error"]["kind"] == "unsupported"
    assert found[1]["status"] == "ok"


def test_a_run_goes_on_with_new_sources(predict: Predict, tmp_path: Path) -> None:
    output = tmp_path / "a.csv"
    assert predict("clips/00.mp4", "clips/01.mp4", "--output", output).code == 0
    done = predict("clips/02.mp4", "clips/01.mp4", "clips/01.mp4", "--output", output, "--resume")
    assert (done.code, "wrote 2 results" in done.err, "1 were" in done.err) == (0, True, True)
    sources = [row["source"] for row in csv.DictReader(output.open(newline=""))]
    assert sources == [f"clips/0{number}.mp4" for number in (0, 1, 2, 1)]


def test_a_csv_file_is_harmless_and_is_gone_on_with(predict: Predict, tmp_path: Path) -> None:
    """A name may not be a formula for a spreadsheet nor a command for a terminal."""
    clips, output = tmp_path / "c", tmp_path / "out.csv"
    clips.mkdir()
    names = ["=1+1.mp4", "@x.mp4", "red\x1b[31m.mp4", "plain.mp4"]
    for name in names:
        make_clip(clips / name, frames=12)
    run = partial(predict, *names, "--output", output, cwd=clips)
    assert run().code == 0
    with output.open(newline="") as stream:
        sources = [row["source"] for row in csv.DictReader(stream)]
    assert sources == ["'=1+1.mp4", "'@x.mp4", "red\\x1b[31m.mp4", "plain.mp4"]
    before = output.read_bytes()
    again = run("--resume")
    assert again.code == 0
    assert output.read_bytes() == before


def test_another_model_is_not_mixed_in(predict: Predict, place: Path, tmp_path: Path) -> None:
    output = tmp_path / "a.csv"
    assert predict("clips/00.mp4", "--output", output).code == 0
    before = output.read_text()
    done = predict("clips", "--output", output, "--resume", "--top", 2)
    assert (done.code, "top was 3 and is 2" in done.err) == (2, True)
    plain_bundle(place / "other", temperature=2.0)
    refused = subprocess.run(
        [*COMMAND, "predict", "clips", "--output", output, "--resume", "--model", "other"],
        cwd=place,
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert (refused.returncode, b"model was plain " in refused.stderr) == (2, True)
    assert output.read_text() == before


def test_a_model_that_gives_no_numbers_is_told_as_such(
    run_cli: Run, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import plain_bundle as plain

    numbers = plain.numbers
    monkeypatch.setattr(
        plain, "numbers", lambda *shape, **how: numbers(*shape, **how) * float("nan")
    )
    plain.plain_bundle(tmp_path / "nan")
    for jobs in ([], ["--jobs", "1"]):
        done = run_cli("predict", place / "clips", "--json", "--model", tmp_path / "nan", *jobs)
        assert (done.code, done.out) == (2, "")
        assert done.err == "actionstream: head.onnx: gives numbers that are not finite\n"


def test_a_file_of_a_bundle_that_is_far_too_large_is_not_read(
    run_cli: Run, place: Path, tmp_path: Path
) -> None:
    plain_bundle(tmp_path / "vast")
    os.truncate(tmp_path / "vast" / "head.onnx", 3 << 30)  # without a byte on the disk
    done = run_cli("predict", place / "clips", "--model", tmp_path / "vast")
    assert (done.code, "head.onnx: larger than 500000000 bytes" in done.err) == (2, True)


def start(place: Path, words: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, "predict", *words, "--model", "bundle"],
        cwd=place,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def rows(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]

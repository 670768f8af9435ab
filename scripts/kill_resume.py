"""Kill `predict --resume` at random moments again and again, and count what was lost or doubled.

    scripts/kill_resume.py [--kills 2000] [--seconds 600] [--jobs N] [--seed 0]

Makes 40 short clips, then runs `predict CLIPS --output FILE --segments FILE --resume`, ends it by
SIGKILL after a random time, and goes on until it is done; then the next round with a new output
(JSON Lines, CSV and Parquet in turn). After each round every source must have exactly one row, in
the order of the sources, equal to that of a run that nobody killed, and one set of segments. Prints
one JSON object; exit code 1 if anything was lost, doubled or changed.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]

from clips import make_clip  # noqa: E402  found through the line above
from plain_bundle import plain_bundle  # noqa: E402

CLIPS = 40
ENDINGS = ("jsonl", "csv", "parquet")
SHORTEST, LONGEST = 0.1, 1.1  # until a kill, as a part of what a whole run takes
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=600, help="stop after so long")
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    began, chance = time.monotonic(), random.Random(args.seed)
    kills = rounds = 0
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="kill-resume-") as name:
        place = Path(name)
        plain_bundle(place / "bundle")
        (place / "clips").mkdir()
        for number in range(CLIPS):
            make_clip(place / "clips" / f"{number:02}.mp4", frames=10 + number)
        (place / "clips" / "11.mp4").write_text("no video")
        jobs = [] if args.jobs is None else ["--jobs", str(args.jobs)]
        started = time.monotonic()
        assert run(place, [*jobs, "--output", "whole.jsonl", "--segments", "whole.csv"]) == 1
        takes = time.monotonic() - started
        while kills < args.kills and time.monotonic() - began < args.seconds:
            ending = ENDINGS[rounds % len(ENDINGS)]
            output = place / f"round{rounds}.{ending}"
            words = [*jobs, "--resume", "--output", output.name]
            words += ["--segments", f"segments{rounds}.csv"]
            while run(place, words, seconds=takes * chance.uniform(SHORTEST, LONGEST)) is None:
                kills += 1
            seen = (place / f"segments{rounds}.csv").read_text()
            if rows(output) != rows(place / "whole.jsonl"):
                wrong.append(f"round {rounds}: the rows of {output.name}")
            if seen != (place / "whole.csv").read_text():
                wrong.append(f"round {rounds}: the segments")
            rounds += 1
    done = {"kills": kills, "rounds": rounds, "sources_each": CLIPS, "jobs": args.jobs}
    done |= {"seed": args.seed, "seconds": round(time.monotonic() - began), "wrong": wrong}
    print(json.dumps(done))
    return 1 if wrong else 0


def run(place: Path, words: list[str], *, seconds: float | None = None) -> int | None:
    """The exit code; None if it had to be killed."""
    command = [sys.executable, "-m", "actionstream", "predict", "clips", "--model", "bundle"]
    process = subprocess.Popen(
        [*command, "--threads", "1", *words],
        cwd=place,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        _, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    if process.returncode not in (0, 1):
        raise SystemExit(f"exit code {process.returncode}: {said.decode()}")
    return process.returncode


def rows(file: Path) -> list[tuple[Any, ...]]:
    """Source, status and confidence of each row, in their order."""
    ending = file.suffix[1:]
    if ending == "csv":
        with file.open(newline="") as stream:
            found = list(csv.DictReader(stream))
    elif ending == "parquet":
        import pyarrow.parquet as pq

        found = pq.read_table(file).to_pylist()
    else:
        found = [json.loads(line) for line in file.read_text().splitlines()]
    return [
        (row["source"], row["status"], float(row.get("confidence") or 0), row["label"] or None)
        if row["status"] == "ok"
        else (row["source"], row["status"])
        for row in found
    ]


if __name__ == "__main__":
    sys.exit(main())

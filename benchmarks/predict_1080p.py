"""How long `actionstream predict` takes for a 10 s clip in 1080p, as a user waits for it.

    python benchmarks/predict_1080p.py [--model DIR|VARIANT] [--threads N] [--clip REAL.mp4]

Each run is a whole process: Python, imports, loading the model, decoding, recognising, printing.
The clip (H.264, 30 frames a second, 8 Mb/s) is made first, from the pictures of --clip or else
from drifting waves with grain. `actionstream --help` is timed beside it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from common import machine, verdict
from footage import describe, make_footage
from processes import ACTIONSTREAM, Ran, run

PREDICT_BAR_SECONDS = 4.0
HELP_BAR_SECONDS = 0.5


def measure(name: str, command: Sequence[str | Path], runs: int) -> tuple[float, Ran]:
    """Median seconds after one run that fills the system's cache of files, and the last run."""
    first, *rest = [run(command) for _ in range(1 + runs)]
    seconds = [ran.seconds for ran in rest]
    processor = statistics.median(ran.processor_seconds for ran in rest)
    print(
        f"  {name}: median {statistics.median(seconds):.2f} s of {runs} "
        f"({min(seconds):.2f} to {max(seconds):.2f}), first {first.seconds:.2f} s, "
        f"processor {processor:.2f} s"
    )
    return statistics.median(seconds), rest[-1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--clip", type=Path, help="a real clip, enlarged to 1080p")
    parser.add_argument("--file", type=Path, help="a file to recognise as it is, none is made")
    args = parser.parse_args()
    options = [*(["--model", args.model] if args.model else [])]
    options += ["--threads", str(args.threads)] if args.threads else []
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        clip = args.file or make_footage(
            Path(folder, "clip.mp4"), (1920, 1080), seconds=10, megabits=8, source=args.clip
        )
        print(describe(clip))
        command = (*ACTIONSTREAM, "predict", "--json", *options, clip)
        predict, ran = measure("predict --json", command, args.runs)
    answer = json.loads(ran.output)
    print(f"  model {answer['model']}, {answer['timing']}, {answer['video']}")
    print(f"  peak memory {ran.peak_megabytes:.0f} MB")
    shown, _ = measure("--help", (*ACTIONSTREAM, "--help"), args.runs)
    reached = [
        verdict("predict", predict, PREDICT_BAR_SECONDS, at_most=True, unit="s"),
        verdict("--help", shown, HELP_BAR_SECONDS, at_most=True, unit="s"),
    ]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())

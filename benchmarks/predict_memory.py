"""Whether `actionstream predict` stays small on long files: its peak memory on one-hour 720p.

    python benchmarks/predict_memory.py [--model DIR|VARIANT] [--minutes 60] [--clip REAL.mp4]

A 30 s clip in 720p is made and its packets are written again and again into one long file. Several
lengths (`--minutes 10,20`) show what a minute more costs; it ought to be next to nothing. An hour
takes a few hundred MB of disk space and several minutes of time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from common import machine, verdict
from footage import describe, make_footage, make_loop
from processes import ACTIONSTREAM, Ran, run

PEAK_BAR_MEGABYTES = 700.0
CLIP_SECONDS = 30.0
MEGABITS = 1.5


def course(ran: Ran) -> str:
    """Memory at tenths of the run, to see whether it climbs."""
    picked = [ran.memory[len(ran.memory) * tenth // 10][1] for tenth in range(1, 10)]
    return " ".join(f"{megabytes:.0f}" for megabytes in picked)


def measure(folder: Path, clip: Path, minutes: float, options: list[str]) -> Ran:
    long = make_loop(clip, folder / "long.mp4", seconds=60 * minutes)
    print(f"{minutes:g} minutes: {describe(long)}", flush=True)
    ran = run((*ACTIONSTREAM, "predict", "--json", *options, long))
    long.unlink()
    answer = json.loads(ran.output)
    print(
        f"  {ran.seconds:.0f} s, processor {ran.processor_seconds:.0f} s, "
        f"{answer['video']['frames_encoded']} looks of {answer['video']['frames_read']} frames\n"
        f"  MB at tenths of the run: {course(ran)}; peak {ran.peak_megabytes:.0f}"
    )
    return ran


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--minutes", default="60", help="lengths, with commas between")
    parser.add_argument("--clip", type=Path, help="a real clip, enlarged to 720p")
    args = parser.parse_args()
    lengths = [float(word) for word in args.minutes.split(",")]
    options = [*(["--model", args.model] if args.model else [])]
    options += ["--threads", str(args.threads)] if args.threads else []
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = make_footage(
            folder / "clip.mp4",
            (1280, 720),
            seconds=CLIP_SECONDS,
            megabits=MEGABITS,
            source=args.clip,
        )
        peaks = [measure(folder, clip, length, options).peak_megabytes for length in lengths]
    for length, peak in zip(lengths[1:], peaks[1:], strict=True):
        each = (peak - peaks[0]) / (length - lengths[0])
        print(f"from {lengths[0]:g} to {length:g} minutes: {each:+.2f} MB a minute")
    bar = PEAK_BAR_MEGABYTES
    return 0 if verdict("peak memory", max(peaks), bar, at_most=True, unit="MB") else 1


if __name__ == "__main__":
    sys.exit(main())

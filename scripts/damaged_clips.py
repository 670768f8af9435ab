"""Do clips whose times are damaged keep their answers?

Takes 25 clips of UCF101's training list, damages the times of each in five ways (the pictures stay
as they are), and counts how many keep the answer of the whole clip; at least 24 of 25 should.

    python scripts/damaged_clips.py DATA [--model lite0] [--clips 25]

DATA holds <class>/v_<class>_gNN_cNN.mp4 with H.264.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from damage import ahead, decode_order, no_times, patched, right

import actionstream

SEED, AT_LEAST = 0, 0.96
FIRST_TRAINING_GROUP = 8  # of split 1
JUMP_AT, JUMP_SECONDS = 60, 5000.0  # packets; where the clock restarts or jumps


def restart(clip: Path, folder: Path) -> Path:
    """A transport stream whose clock begins again at its 60th frame."""
    whole = right(clip, folder / "whole.ts")
    return patched(whole, folder / "restart.ts", lambda i: -JUMP_AT / 25 if i >= JUMP_AT else 0)


FORMS: dict[str, Callable[[Path, Path], Path]] = {
    "decode order (MP4)": lambda clip, folder: decode_order(clip, folder / "a.mp4"),
    "decode order (MKV)": lambda clip, folder: decode_order(clip, folder / "a.mkv"),
    "restart (TS)": restart,
    "jump ahead (MKV)": lambda clip, folder: ahead(
        clip, folder / "ahead.mkv", JUMP_SECONDS, JUMP_AT
    ),
    "no times (MKV)": lambda clip, folder: no_times(clip, folder / "none.mkv"),
    "1000 fps (MP4)": lambda clip, folder: right(clip, folder / "fast.mp4", rate=1000),
}


def training_clips(data: Path, labels: tuple[str, ...], count: int) -> list[Path]:
    """`count` clips, drawn by SEED from the classes that the model knows."""
    found = [clip for label in labels for clip in sorted((data / label).glob("*.mp4"))]
    training = [
        clip
        for clip in found
        if (group := re.search(r"_g(\d\d)_", clip.name)) and int(group[1]) >= FIRST_TRAINING_GROUP
    ]
    return random.Random(SEED).sample(training, count)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="lite0")
    parser.add_argument("--clips", type=int, default=25)
    wanted = parser.parse_args()
    model = actionstream.load(wanted.model)
    clips = training_clips(wanted.data, model.labels, wanted.clips)
    kept = dict.fromkeys(FORMS, 0)
    for clip in clips:
        whole = model.recognize(clip)
        for form, damage in FORMS.items():
            with tempfile.TemporaryDirectory() as folder:
                answer = model.recognize(damage(clip, Path(folder)))
            kept[form] += answer.label == whole.label
            if answer.label != whole.label:
                print(f"{clip.name}: {whole.label}, {form}: {answer.label}", file=sys.stderr)
    for form, count in kept.items():
        print(f"{form:20} {count} of {len(clips)}")
    return 0 if min(kept.values()) >= AT_LEAST * len(clips) else 1


if __name__ == "__main__":
    sys.exit(main())

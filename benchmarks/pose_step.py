"""What a live step costs with the pose, beside models without it, in one process.

    python benchmarks/pose_step.py MODEL... --video CLIP [--against lite2] [--threads N]

Every step pushes a frame that is due. Once the frames are those of CLIP, in which somebody should
be seen all the time (the person is followed), once they show nobody (who is then searched for now
and then, so that the mean counts). Models take turns, frame by frame.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
from collections.abc import Callable, Sequence

from common import alternate, machine, moving_pictures

import actionstream
from actionstream.inference.preprocess import resize
from actionstream.recognizer import Recognizer
from actionstream.results import Pixels

SIZES = ((320, 240), (640, 480))
LOOKS = 24
"""Before the clock starts: the ring is full, and a search that is in vain has become seldom."""


def step_of(model: Recognizer, frames: Sequence[Pixels]) -> Callable[[], object]:
    """A live step on a warm stream; the frames go to and fro, so that nobody jumps."""
    stream, ticks = model.live(keep_readings=False), itertools.count()
    shown = itertools.cycle([*frames, *frames[-2:0:-1]])

    def step() -> object:
        return stream.push(next(shown), next(ticks) * model.card.spacing_seconds)

    for _ in range(LOOKS):
        step()
    return step


def clip_frames(video: str, size: tuple[int, int], spacing: float) -> list[Pixels]:
    """The frames of a clip at this size, one a look."""
    frames: list[Pixels] = []
    with actionstream.VideoReader(video) as reader:
        for frame in reader:
            if frame.time_seconds >= len(frames) * spacing - 0.001:
                frames.append(resize(frame.to_rgb(), *size))
    return frames


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--video", required=True, metavar="CLIP")
    parser.add_argument("--against", default="lite2")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=200)
    args = parser.parse_args()
    models = {
        name: actionstream.load(name, threads=args.threads) for name in (args.against, *args.models)
    }
    print(machine())
    spacing = models[args.against].card.spacing_seconds
    for size in SIZES:
        for what, frames in (
            ("somebody", clip_frames(args.video, size, spacing)),
            ("nobody", moving_pictures(*size)),
        ):
            steps = {name: step_of(model, frames) for name, model in models.items()}
            measured = alternate(steps, rounds=args.rounds)
            base = measured[args.against]
            for side in measured.values():
                median = side.median / base.median
                mean = statistics.mean(side.seconds) / statistics.mean(base.seconds)
                print(f"  {size[0]}x{size[1]} {what}: {side}; {median:.2f} (mean {mean:.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())

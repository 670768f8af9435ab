"""A folder of clips through `recognize_many` against the classic way of answering as often.

    python benchmarks/folder_vs_classic.py --data FOLDER [--model DIR|VARIANT] [--threads N]

Three sides take turns in one process, block by block of the same clips:
(1) actionstream, one answer a look; (2) the classic way with the same number of answers: OpenCV
decodes, and each answer sends 16 frames through PIL transforms and ResNet18 in eager PyTorch;
(3) the classic way with one answer a clip, from 16 frames spread over it: less work, less known.
Models are loaded before. Side 2 takes minutes, so it does one clip in ten (`--classic-clips`) and
times are compared per answer; `--full` does all. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from classic import ClassicNetwork, answer_each_tick, answer_once
from common import machine, verdict

import actionstream
from actionstream.recognizer import Recognizer
from actionstream.video import find_videos

BARS = {"efficientnet_lite0": 8.0, "efficientnet_lite2": 5.0}  # times faster than side 2
BLOCKS = 10

Paths = Sequence[Path]


@dataclass(slots=True)
class Totals:
    """What one side did: seconds, clips and answers of each block."""

    name: str
    seconds: list[float] = field(default_factory=list)
    clips: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def time(self, work: Callable[[Paths], int], paths: Paths) -> None:
        began = time.perf_counter()
        answers = work(paths)
        self.seconds.append(time.perf_counter() - began)
        self.clips.append(len(paths))
        self.answers.append(answers)

    @property
    def milliseconds(self) -> float:
        """Median over the blocks of the time for an answer."""
        pairs = zip(self.seconds, self.answers, strict=True)
        return 1000 * statistics.median(seconds / answers for seconds, answers in pairs)

    @property
    def seconds_a_clip(self) -> float:
        return sum(self.seconds) / sum(self.clips)

    def __str__(self) -> str:
        return (
            f"{self.name}: {sum(self.clips)} clips, {sum(self.answers)} answers in "
            f"{sum(self.seconds):.1f} s; {self.milliseconds:.1f} ms an answer "
            f"(median of {len(self.seconds)} blocks), {self.seconds_a_clip:.3f} s a clip"
        )


def recognise(model: Recognizer, paths: Paths) -> int:
    """Answers given: the readings that are ready."""
    answers = 0
    for answer in model.recognize_many(paths):
        if answer.error is not None:
            sys.exit(answer.error.message)
        answers += sum(reading.status == "ready" for reading in answer.readings)
    return answers


def chosen_clips(data: Path, count: int) -> list[Path]:
    """`count` clips spread evenly over the folder in its order."""
    found = find_videos(data)
    if len(found) < count:
        sys.exit(f"{data}: {len(found)} videos, {count} asked for")
    return evenly(found, count)


def evenly(paths: list[Path], count: int) -> list[Path]:
    count = min(count, len(paths))
    return [paths[index * len(paths) // count] for index in range(count)]


def compare(model: Recognizer, clips: list[Path], classic_clips: int) -> bool:
    card = model.card
    network = ClassicNetwork(model.threads)
    ours = Totals("actionstream")
    often = Totals("classic, as many answers")
    once = Totals("classic, one answer a clip")
    few = set(evenly(clips, classic_clips))
    size = -(-len(clips) // BLOCKS)
    blocks = [clips[start : start + size] for start in range(0, len(clips), size)]

    def each_tick(paths: Paths) -> int:
        return sum(answer_each_tick(network, p, card.sampling, card.ready_after) for p in paths)

    def once_each(paths: Paths) -> int:
        return sum(answer_once(network, path) for path in paths)

    recognise(model, clips[:1])  # caches and lazy imports
    once_each(clips[:1])
    for number, block in enumerate(blocks, 1):
        subset = [path for path in block if path in few]
        ours.time(lambda paths: recognise(model, paths), block)
        once.time(once_each, block)
        if subset:
            often.time(each_tick, subset)
        print(f"  block {number} of {len(blocks)}", file=sys.stderr, flush=True)
    return report(model, ours, often, once)


def report(model: Recognizer, ours: Totals, often: Totals, once: Totals) -> bool:
    for totals in (ours, often, once):
        print(f"  {totals}")
    if sum(often.clips) < sum(ours.clips):
        needed = often.milliseconds * sum(ours.answers) / 1000
        print(
            f"  the classic way was timed on {sum(often.clips)} of the {sum(ours.clips)} clips; "
            f"for all {sum(ours.answers)} answers it would take about {needed:.0f} s"
        )
    single = once.seconds_a_clip / ours.seconds_a_clip
    print(f"  against one classic answer a clip: {single:.2f} times as fast a clip")
    times = often.milliseconds / ours.milliseconds
    bar = BARS.get(model.card.encoder.name.removesuffix("_bands"))
    if bar is None:
        print(f"  as many answers: {times:.1f} times faster")
        return True
    return verdict("faster for as many answers", times, bar, at_most=False, unit="times")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder with videos")
    parser.add_argument("--model")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--classic-clips", type=int, default=10)
    parser.add_argument("--full", action="store_true", help="the classic way on all clips")
    args = parser.parse_args()
    model = actionstream.load(args.model, threads=args.threads)
    print(machine())
    print(f"{model.card.name} ({model.fingerprint}), {model.engine.describe()}")
    clips = chosen_clips(args.data, args.clips)
    return 0 if compare(model, clips, len(clips) if args.full else args.classic_clips) else 1


if __name__ == "__main__":
    sys.exit(main())

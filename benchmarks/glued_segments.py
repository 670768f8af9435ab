"""How well the segments of a file find where one action ends and the next begins.

Clips of the training list (groups 8 and up), of at least 5 s and of different actions, are played
one after the other as one stream of frames, and the segments are compared with where they were
glued::

    python benchmarks/glued_segments.py shared/data/ucf101 --files 60 --model lite0

Printed: the median distance of a true boundary from the nearest found one, the share of files
without an invented segment (a known action that is in no clip of the file, or more segments than
clips), and how often a single clip is called several actions.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import actionstream
from actionstream.results import Answer, RGBFrame
from actionstream.video import VideoReader

SHORTEST_SECONDS, FIRST_TRAINING_GROUP = 5.0, 8


@dataclass(frozen=True)
class Part:
    """A clip, how long it is, and what is done in it."""

    path: Path
    seconds: float

    @property
    def label(self) -> str:
        return self.path.parent.name


def long_clips(folder: Path, labels: tuple[str, ...]) -> list[Part]:
    """One clip of each group of the training list that is long enough."""
    found: dict[tuple[str, str], Part] = {}
    for path in sorted(folder.glob("*/*_g*_c*.*")):
        group = path.stem.split("_g")[1][:2]
        key = (path.parent.name, group)
        if key[0] not in labels or int(group) < FIRST_TRAINING_GROUP or key in found:
            continue
        with VideoReader(path, threads=1) as reader:
            seconds = reader.probe.duration_seconds or 0.0
        if seconds >= SHORTEST_SECONDS:
            found[key] = Part(path, seconds)
    return list(found.values())


def chosen(parts: list[Part], count: int, chance: random.Random) -> Iterator[list[Part]]:
    """Files of two or three clips of different actions."""
    while count:
        picked = chance.sample(parts, chance.choice((2, 3)))
        if len({part.label for part in picked}) == len(picked):
            count -= 1
            yield picked


def glued(parts: list[Part]) -> tuple[Iterator[RGBFrame], list[float]]:
    """The frames of the clips as one stream, and the list that the boundaries go into."""
    boundaries: list[float] = []

    def frames() -> Iterator[RGBFrame]:
        start = 0.0
        for part in parts:
            if start:
                boundaries.append(start)
            with VideoReader(part.path, threads=1) as reader:
                for frame in reader:
                    yield RGBFrame(frame.to_rgb(), start + frame.time_seconds)
                start += reader.duration_seconds

    return frames(), boundaries


def errors(answer: Answer, boundaries: list[float]) -> list[float]:
    """Seconds from each true boundary to the nearest found one."""
    starts = [segment.start_seconds for segment in answer.segments[1:]] or [0.0]
    return [min(abs(start - boundary) for start in starts) for boundary in boundaries]


def invents(answer: Answer, parts: list[Part]) -> bool:
    labels = [segment.label for segment in answer.segments]
    strange = set(labels) - {part.label for part in parts} - {None}
    return bool(strange) or len(labels) > len(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--model", default="lite0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="write the answers here (pickle), to tune on")
    options = parser.parse_args()
    model = actionstream.load(options.model)
    chance = random.Random(options.seed)
    clips = long_clips(options.folder, model.labels)
    found = []
    for parts in chosen(clips, options.files, chance):
        frames, boundaries = glued(parts)
        answer = model.recognize(frames)
        found.append((parts, answer, boundaries))
        print(len(found), [part.label for part in parts], errors(answer, boundaries), flush=True)
    singles = [(part, model.recognize(part.path)) for part in chance.sample(clips, 30)]
    if options.keep:
        import pickle

        options.keep.write_bytes(pickle.dumps((found, singles)))
    distances = np.array([e for _, answer, edges in found for e in errors(answer, edges)])
    print(f"{len(found)} files, {len(distances)} boundaries of {len(clips)} clips")
    print(f"median {np.median(distances):.2f} s, 90 % within {np.quantile(distances, 0.9):.2f} s")
    invented = np.mean([invents(answer, parts) for parts, answer, _ in found])
    print(f"without an invented segment: {1 - invented:.3f}")
    print(f"called several: {np.mean([answer.several for _, answer, _ in found]):.3f}")
    print(f"single clips called several: {sum(a.several for _, a in singles)} of {len(singles)}")


if __name__ == "__main__":
    main()

"""Fill the store: features and poses of every look of every clip, and of the made pictures.

    python research/store.py DATA STORE --encoder lite2=encoder.onnx --pose FOLDER \\
        [--part 0 --of 2] [--most 2] [--view 0]

The encoder's weights have to be stored as float16 already, as the bundle will hold them; FOLDER has
pose.onnx and person.onnx of scripts/convert_pose.py. Resumable: what is there is skipped, and
several processes share the clips with --part and --of. --most is how many clips of each of UCF101's
training groups are taken. View 0 is what serving sees; view 1 is mirrored and cut closer, drawn for
each clip, and has no poses of its own: a pose is mirrored by itself. Writes STORE/NAME/vVIEW/ID.npz
(features float16 [n, D], filled int16 [n]), STORE/pose/ID.npz (pose0 float32 [n, 236], filled0
int16 [n]) and STORE/made.json.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from clips import Clip, load, rank
from nothing import Pixels, made_nothing

from actionstream.engines.onnx import OnnxEncoder, OnnxPose, open_encoder, open_session
from actionstream.inference import pose
from actionstream.inference.preprocess import CENTRE, Geometry, Window, preprocess
from actionstream.inference.sampling import Clock, SamplingRule, fill, step
from actionstream.video import VideoReader

SPACING, COUNT = 0.18, 22
RULE = SamplingRule(SPACING, 2.7 - 1e-9)
STILLS = {"train": 44, "test": 12}
"""Stills that also move; the others are only shown still."""

Due = tuple[Pixels, int, bool]
"""A frame that is due, the ticks it fills, and whether the stream was reset before it."""


def due_frames(path: Path) -> Iterator[Due]:
    """The frames of a clip that are looked at."""
    clock = Clock()
    with VideoReader(path, threads=1) as reader:
        for frame in reader:
            clock, moment = step(clock, frame.time_seconds, RULE)
            if moment in ("due", "reset"):
                clock, ticks = fill(clock, frame.time_seconds, RULE)
                yield frame.to_rgb(), ticks, moment == "reset"


def save(path: Path, **arrays: np.ndarray) -> None:
    """Write whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{os.getpid()}.{path.name}")
    with part.open("wb") as stream:
        np.savez(stream, **arrays)
    part.replace(path)


def window(name: str, view: int) -> Window:
    """Where this view of the clip looks."""
    if view == 0:
        return CENTRE
    random = np.random.default_rng([view, *name.encode()])
    shift = random.uniform(-0.6, 0.6, 2)
    return Window(float(random.uniform(0.72, 1.0)), (float(shift[0]), float(shift[1])), flip=True)


class Filler:
    """Looks at clips with the networks that are asked for."""

    def __init__(
        self, store: Path, encoders: dict[str, OnnxEncoder], poses: OnnxPose, view: int
    ) -> None:
        self.store, self.encoders, self.poses, self.view = store, encoders, poses, view

    def paths(self, name: str) -> dict[str, Path]:
        found = {key: self.store / key / f"v{self.view}" / f"{name}.npz" for key in self.encoders}
        return found if self.view else {**found, "pose": self.store / "pose" / f"{name}.npz"}

    def fill(self, name: str, frames: Iterator[Due]) -> None:
        missing = {key: path for key, path in self.paths(name).items() if not path.exists()}
        if not missing:
            return
        state, filled, seen = pose.PoseState(), [], window(name, self.view)
        found: dict[str, list[np.ndarray]] = {key: [] for key in missing}
        for pixels, ticks, reset in frames:
            filled.append(ticks)
            for key in found:
                if key == "pose":
                    before = [pose.PoseState() if reset else state]
                    rows, (state,) = pose.look(self.poses, [pixels], before)
                else:
                    encoder = self.encoders[key]
                    image = preprocess(pixels, Geometry(encoder.input_size), seen)
                    rows = encoder.encode(image[None])
                found[key].append(rows[0])
        ticks = np.array(filled, np.int16)
        for key, path in missing.items():
            if key == "pose":
                save(path, pose0=np.stack(found[key]).astype(np.float32), filled0=ticks)
            else:
                save(path, features=np.stack(found[key]).astype(np.float16), filled=ticks)


def chosen(clips: list[Clip], most: int) -> list[Clip]:
    """The clips to encode: of UCF101's training groups the first `most` each."""
    ranks = rank(clips)
    return [clip for clip in clips if clip.set != "ucf_train" or ranks[clip.id] < most]


def still_of(clip: Clip, at_seconds: float = 1.5) -> Pixels:
    """The picture of a clip at this time, or its last one."""
    with VideoReader(clip.path, threads=1) as reader:
        for frame in reader:
            last = frame
            if frame.time_seconds >= at_seconds:
                break
    return last.to_rgb()


def stills(clips: list[Clip], side: str) -> list[Clip]:
    """Whose pictures are shown as stills: all kinds of clips of that side."""
    random = np.random.default_rng({"train": 0, "test": 1}[side])
    by_set = {name: [clip for clip in clips if clip.set == name] for name in {c.set for c in clips}}
    if side == "train":
        ucf = by_set["ucf_train"]
        one = [[c for c in ucf if c.label == label] for label in sorted({c.label for c in ucf})]
        picked = [random.choice(np.array(own, object)) for own in one]
        sets, replace = (("other_train", 8), ("wild_train", 6)), True
    else:
        picked, sets, replace = [], (("ucf_test", 12), ("wild", 8), ("other_test", 4)), False
    for name, count in sets:
        picked += list(random.choice(np.array(by_set[name], object), count, replace=replace))
    return picked


def fill_made(filler: Filler, clips: list[Clip]) -> None:
    """Pictures of nothing, of both sides; made.json says what each is."""
    listed = {}
    for side in ("train", "test"):
        sources = stills(clips, side)
        for made in made_nothing(side, [still_of(clip) for clip in sources]):
            source = None
            if made.still is not None:
                number = int(made.name.split("-")[-2])
                if number >= STILLS[side] and made.kind not in ("still", "still-held"):
                    continue
                source = sources[number]
            name, group = f"made_{side}/{made.name}", f"made/{made.kind}"
            listed[name] = {"kind": made.kind, "group": source.group if source else group}
            filler.fill(name, ((p, 1, False) for p, _ in made.frames(COUNT, 1 / SPACING)))
    (filler.store / "made.json").write_text(json.dumps(listed, indent=0), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("--encoder", action="append", required=True, metavar="NAME=FILE")
    parser.add_argument("--pose", type=Path, required=True)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--of", type=int, default=1)
    parser.add_argument("--most", type=int, default=2)
    parser.add_argument("--view", type=int, default=0, choices=(0, 1))
    parser.add_argument("--sets", nargs="*", help="of these sets only, without made pictures")
    args = parser.parse_args()
    files = dict(item.split("=", 1) for item in args.encoder)
    encoders = {name: open_encoder(Path(file), threads=1) for name, file in files.items()}
    networks = (
        open_session(args.pose / name, threads=1, device="cpu")
        for name in ("pose.onnx", "person.onnx")
    )
    filler = Filler(args.store, encoders, OnnxPose(*networks), args.view)
    clips = chosen(load(args.data), args.most)
    if args.sets:
        clips = [clip for clip in clips if clip.set in args.sets]
    for clip in clips[args.part :: args.of]:
        filler.fill(clip.id, due_frames(clip.path))
    if args.part == 0 and args.view == 0 and not args.sets:
        fill_made(filler, clips)


if __name__ == "__main__":
    main()

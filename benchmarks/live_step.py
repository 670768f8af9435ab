"""What one live step costs, and how many answers a second it gives beside two other ways.

    python benchmarks/live_step.py [--model DIR|VARIANT] [--threads N] [--rounds N]

Part 1: a step (`Stream.push` of a frame that is due: resize, encoder, LSTM, decision) beyond the
bare encoder call of the same engine. Part 2: answers a second of one live stream against
(a) the classic way: all 16 frames of the window through PIL transforms and ResNet18 at 112 pixels
in eager PyTorch at each step, then an LSTM of 256; (b) torchvision's r2plus1d_18 at 16x112x112,
without its preprocessing. Random weights: time does not depend on them. Sides take turns in one
process. Part 2 needs the extra `train`.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable

import numpy as np
from common import alternate, difference, machine, moving_pictures, verdict

import actionstream
from actionstream.inference.preprocess import preprocess
from actionstream.recognizer import Recognizer

OVERHEAD_BARS = {(320, 240): 1.5, (640, 480): 2.5}  # milliseconds by frame size
CLASSIC_BARS = {"efficientnet_lite0": 15.0, "efficientnet_lite2": 7.0}  # times as many answers
VIDEO_NETWORK_BAR = 40.0  # times as many answers, for the faster encoder
CLASSIC_SIZE = 112
LOOKS = 16


def step_of(model: Recognizer, size: tuple[int, int]) -> Callable[[], object]:
    """A live step: each call pushes one frame that is due, on a stream that is warm."""
    stream = model.live(keep_readings=False)
    frames = itertools.cycle(moving_pictures(*size))
    ticks = itertools.count()

    def step() -> object:
        return stream.push(next(frames), next(ticks) * model.card.spacing_seconds)

    for _ in range(LOOKS):
        step()
    return step


def bare_encoder(model: Recognizer, size: tuple[int, int]) -> Callable[[], object]:
    geometry = model.card.input_geometry
    images = [preprocess(frame, geometry)[None] for frame in moving_pictures(*size)]
    turns = itertools.cycle(images)
    return lambda: model.engine.encode(next(turns))


def classic_way(size: tuple[int, int]) -> Callable[[], object]:
    """Recompute the window: 16 frames through PIL, ResNet18 and an LSTM."""
    from classic import ClassicNetwork

    network = ClassicNetwork()
    frames = moving_pictures(*size, count=LOOKS)
    return lambda: network.answer(frames)


def video_network() -> Callable[[], object]:
    import torch
    from torchvision.models.video import r2plus1d_18

    network = r2plus1d_18(weights=None).eval()
    clip = torch.from_numpy(
        np.random.default_rng(0).random((1, 3, LOOKS, CLASSIC_SIZE, CLASSIC_SIZE), np.float32)
    )

    @torch.inference_mode()
    def answer() -> object:
        return network(clip).softmax(-1)

    return answer


def measure_overhead(model: Recognizer, rounds: int) -> list[bool]:
    reached = []
    for size, bar in OVERHEAD_BARS.items():
        name = f"{size[0]}x{size[1]}"
        sides = {"step": step_of(model, size), "encoder": bare_encoder(model, size)}
        measured = alternate(sides, rounds=rounds)
        for side in measured.values():
            print(f"  {name} {side}")
        beyond = 1000 * difference(measured["step"], measured["encoder"])
        reached.append(verdict(f"overhead at {name}", beyond, bar, at_most=True, unit="ms"))
    return reached


BLOCKS = {"live step": 60, "classic way": 6, "r2plus1d_18": 1}
"""Steps in a row: about 0.4 s a side. A stream answers step after step."""


def measure_answers(model: Recognizer, rounds: int) -> list[bool]:
    size = (320, 240)
    sides = {
        "live step": step_of(model, size),
        "classic way": classic_way(size),
        "r2plus1d_18": video_network(),
    }
    measured = alternate(sides, rounds=rounds, warm_up=2, steps=BLOCKS)
    for side in measured.values():
        print(f"  {side}; {1 / side.median:.1f} answers a second")
    step = measured["live step"].median
    reached = []
    encoder = model.card.encoder.name.removesuffix("_bands")
    if encoder in CLASSIC_BARS:
        bar = CLASSIC_BARS[encoder]
        times = measured["classic way"].median / step
        reached.append(verdict("answers against classic", times, bar, at_most=False, unit="times"))
    times = measured["r2plus1d_18"].median / step
    if encoder == "efficientnet_lite0":
        bar = VIDEO_NETWORK_BAR
        reached.append(verdict("against r2plus1d_18", times, bar, at_most=False, unit="times"))
    else:
        print(f"  against r2plus1d_18: {times:.1f} times")
    return reached


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--slow-rounds", type=int, default=10, help="rounds of part 2")
    args = parser.parse_args()
    model = actionstream.load(args.model, threads=args.threads)
    print(machine())
    print(f"{model.card.name} ({model.fingerprint}), {model.engine.describe()}")
    reached = measure_overhead(model, args.rounds)
    try:
        reached += measure_answers(model, args.slow_rounds)
    except ImportError as error:
        print(f"part 2 left out: {error}")
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())

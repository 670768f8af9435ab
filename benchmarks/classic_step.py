"""The same ResNet18 + LSTM live in two ways: the classic step, and this package's.

    python benchmarks/classic_step.py [--threads N] [--rounds N]

The classic step sends all 16 frames of the window through PIL transforms and the network in eager
PyTorch. Ours is `Stream.push` of one frame of a bundle that holds the very same weights, imported
as `actionstream export --recipe classic` does: each frame is encoded once. Random weights: time
does not depend on them. Both take turns in one process on 320x240 frames; on frames of 112 pixels,
which neither resizes, their probabilities are compared first. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from classic import LABELS, LOOKS, SIZE, ClassicNetwork
from common import alternate, machine, moving_pictures
from live_step import step_of

import actionstream
from actionstream.recognizer import Recognizer
from actionstream.training.import_classic import import_classic

FRAME_SIZE = (320, 240)
LARGEST_DIFFERENCE = 1e-4
"""Of probabilities, between the two ways on the same pictures."""


def same_network(network: ClassicNetwork, folder: Path, threads: int | None) -> Recognizer:
    """The network as a bundle, opened."""
    weights = folder / "action_recognition_model.pth"
    torch.save(network.state_dict(), weights)
    labels = [f"action {number}" for number in range(LABELS)]
    bundle = import_classic(weights, labels, folder / "bundle")
    return actionstream.load(bundle.path, threads=threads)


def difference_of_answers(model: Recognizer, network: ClassicNetwork) -> float:
    """Largest difference of a probability on one window of pictures that need no resizing."""
    window = moving_pictures(SIZE, SIZE, count=LOOKS)
    expected = network.answer(window).numpy()
    backwards = network.answer(window[::-1]).numpy()
    assert np.abs(backwards - expected).max() > 100 * LARGEST_DIFFERENCE, (
        "says the same to any window"
    )
    stream = model.live()
    for tick, picture in enumerate(window):
        reading = stream.push(picture, tick * model.card.spacing_seconds)
    assert reading is not None
    ours = {one.label: one.confidence for one in reading.top(LABELS)}
    return float(np.abs(np.array([ours[label] for label in model.labels]) - expected).max())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, help="of both ways")
    parser.add_argument("--rounds", type=int, default=30)
    args = parser.parse_args()
    torch.manual_seed(0)
    network = ClassicNetwork(args.threads)
    network.state_dict()["fc.weight"].normal_()  # the usual ones say nearly the same to all
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        model = same_network(network, Path(folder), args.threads)
        print(
            f"ours: {model.engine.describe()}; classic: PyTorch, {torch.get_num_threads()} threads"
        )
        apart = difference_of_answers(model, network)
        frames = moving_pictures(*FRAME_SIZE, count=LOOKS)
        turns = itertools.cycle(range(LOOKS))

        def classic_step() -> object:
            start = next(turns)
            return network.answer([*frames[start:], *frames[:start]])

        sides = {"classic step": classic_step, "this package's step": step_of(model, FRAME_SIZE)}
        measured = alternate(sides, rounds=args.rounds)
    for side in measured.values():
        print(f"  {side}; {1 / side.median:.1f} answers a second")
    times = measured["classic step"].median / measured["this package's step"].median
    print(
        f"the same network answers {times:.1f} times as often; probabilities differ by {apart:.1g}"
    )
    return 0 if apart <= LARGEST_DIFFERENCE else 1


if __name__ == "__main__":
    sys.exit(main())

"""Trains on tiny clips until it is killed: `python end_to_end_training.py CLIPS_ROOT FOLDER`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import moving
import torch

from actionstream.training.common.recipe import CLASSIC, EndToEndRecipe, Phase, Settings
from actionstream.training.end_to_end.fit_networks import train_networks
from actionstream.training.end_to_end.train import hold_out

TINY: EndToEndRecipe = replace(
    CLASSIC,
    name="tiny",
    input_size=24,
    spacing_seconds=0.1,
    options={**CLASSIC.options, "hidden": 64, "dropout": 0.2},
    batch_size=2,
    label_smoothing=0.0,
    validation_fraction=0.25,
    phases=(
        Phase(epochs=1, learning_rate=5e-3),
        Phase(epochs=1, learning_rate=3e-3, encoder_learning_rate=1e-4, trains="last_stage"),
    ),
)
"""`classic` with fewer pixels, a smaller LSTM and one epoch a phase."""

LEARNING: EndToEndRecipe = replace(
    TINY,
    name="learning",
    encoder="efficientnet_lite0",  # its ImageNet weights come with a package
    input_size=48,
    phases=(replace(TINY.phases[0], epochs=6), replace(TINY.phases[1], epochs=2)),
)
"""Enough to learn the colours of `moving.colour_split`."""


def main() -> None:
    root, folder, weights = map(Path, sys.argv[1:])
    torch.set_num_threads(1)
    endless = replace(TINY, phases=(Phase(epochs=10_000, learning_rate=1e-3),))

    def report(done: float, total: float | None, what: str) -> None:
        print(what, flush=True)

    split = moving.colour_split(root)
    settings = Settings(folder, folder, weights=weights)
    clips = hold_out(split, (), endless, 0).train
    train_networks(clips, split.labels, endless, settings, report)


if __name__ == "__main__":
    main()

"""`actionstream train --data DIR`: train a bundle on clips."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionstream.cli.data import add_data_options, load_no_action, load_split
from actionstream.cli.options import at_least_one, option
from actionstream.errors import MissingExtraError, TrainingError
from actionstream.progress import ProgressBar

if TYPE_CHECKING:
    from actionstream.datasets.split import Split


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "train",
        help="train a model on UCF101 or on one's own clips",
        description="Encode every clip once, cross-validate by group, calibrate, train the head "
        "on the whole training list and write a bundle to OUT/bundle. The test list is not read. "
        "A killed run goes on with --resume.",
    )
    add_data_options(parser)
    group = parser.add_argument_group("training")
    option(
        group,
        "--extra DIR",
        "further clips of the same labels to train on, in a folder with a labels.csv (columns "
        "file, label, source); may be given several times",
        action="append",
        default=[],
    )
    option(group, "--recipe NAME", "lite2, lite0 or classic (default: lite2)", default="lite2")
    field = "change a field of the recipe (JSON value), such as epochs=40 or options.hidden=64"
    option(group, "--set FIELD=VALUE", field, action="append", default=[])
    option(group, "--init BUNDLE", "start from the weights of a bundle or shipped variant")
    option(group, "--weights FILE", "ImageNet weights of the encoder")
    option(
        group,
        "--seed SEED",
        "of folds, first weights, order and windows; the stored views, and test clips that "
        "are drawn, are the same for every seed (default: 0)",
        type=int,
        default=0,
    )
    option(group, "--out DIR", "the run's folder (default: runs/RECIPE)")
    option(group, "--store DIR", "feature store (default: runs/store)")
    option(group, "--name NAME", "the model's name on its card")
    option(group, "--resume", "go on with the run in OUT")
    records = "only cross-validate: prints one JSON line and appends it to OUT/records.jsonl"
    option(group, "--experiment", records)
    option(group, "--workers N", "encoding threads (default: 2)", type=at_least_one, default=2)
    devices = ("cpu", "cuda")
    option(group, "--device", "for recipe classic (default: cpu)", choices=devices, default="cpu")


def run(args: argparse.Namespace) -> int:
    """Train; prints the bundle's folder."""
    if find_spec("torch") is None or find_spec("timm") is None:
        raise MissingExtraError("training", "train")
    from actionstream.bundle.folder import resolve
    from actionstream.training.common.recipe import FeatureRecipe, Settings, find_recipe

    recipe = find_recipe(args.recipe, dict(_change(one) for one in args.set))
    settings = Settings(
        folder=Path(args.out or f"runs/{args.recipe}"),
        store=Path(args.store or "runs/store"),
        seed=args.seed,
        resume=args.resume,
        weights=Path(args.weights) if args.weights else None,
        init=resolve(args.init) if args.init else None,
        workers=args.workers,
        device=args.device,
        name=args.name,
        command=shlex.join(["actionstream", *_portable(sys.argv[1:])]),
    )
    split, negatives = _load(args), load_no_action(args)
    with _Stages() as stages:
        if isinstance(recipe, FeatureRecipe):
            from actionstream.training.features.train import experiment, train

            if args.experiment:
                print(json.dumps(experiment(split, negatives, recipe, settings, stages)))
                return 0
            bundle = train(split, negatives, recipe, settings, stages)
        else:
            from actionstream.training.end_to_end import train as end_to_end

            if args.init or args.experiment:
                raise TrainingError(f"--init and --experiment are not for {args.recipe}")
            bundle = end_to_end.train(split, negatives, recipe, settings, stages)
    print(bundle.path)
    return 0


def _load(args: argparse.Namespace) -> Split:
    """The split with the clips of every --extra among its training clips."""
    from actionstream.datasets import add_clips, load_labelled

    split = load_split(args)
    for folder in args.extra:
        split = add_clips(split, load_labelled(folder))
    return split


def _change(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator:
        raise TrainingError(f"--set takes FIELD=VALUE, got {text!r}")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def _portable(words: list[str]) -> list[str]:
    """The command as a card may carry it: absolute paths are cut to their last part, and a resumed
    run is the same run."""
    return [_without_folder(word) for word in words if word != "--resume"]


def _without_folder(word: str) -> str:
    option, sign, value = word.partition("=") if word.startswith("-") else ("", "", word)
    return option + sign + (Path(value).name if Path(value).is_absolute() else value)


class _Stages(ProgressBar):
    """The bar; where stderr is no terminal, a plain line when a stage begins, every 100 steps and
    at its end.
    """

    def __call__(self, done: float, total: float | None, what: str, /) -> None:
        super().__call__(done, total, what)
        if not sys.stderr.isatty() and (done in (0, total) or done % 100 == 0):
            print(f"{what}: {done:.0f}/{total or 0:.0f}", file=sys.stderr, flush=True)

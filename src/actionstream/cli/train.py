"""`actionstream train --data DIR`: train a bundle on clips."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionstream.cli.data import LAYOUTS
from actionstream.cli.options import at_least_one
from actionstream.errors import MissingExtraError, TrainingError

if TYPE_CHECKING:
    from actionstream.datasets.clips import Clip, Split

CLASSIC = "classic"


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """`--data`, `--layout`, `--lists`, `--split`, `--labels`, `--others`."""
    group = parser.add_argument_group("data")
    group.add_argument("--data", required=True, metavar="DIR", help="the data set's folder")
    group.add_argument(
        "--layout", choices=LAYOUTS, default="ucf101", help="how it is laid out (default: ucf101)"
    )
    group.add_argument("--lists", metavar="PATH", help="folder of the official lists, or the CSV")
    group.add_argument(
        "--split", type=int, choices=(1, 2, 3), default=1, help="official split (default: 1)"
    )
    group.add_argument(
        "--labels", metavar="A,B,...", help="only these classes (default: all at hand)"
    )
    group.add_argument(
        "--others",
        metavar="DIR",
        help="folder of clips of other actions or none, with or without a labels.csv: "
        '"no known action" is fitted (train) or measured (evaluate) on them',
    )


def load_split(args: argparse.Namespace) -> Split:
    """The split that the options name.

    A test side that has to be drawn is the same for every --seed of `train`, and for `evaluate`.
    """
    from actionstream.datasets import load_dataset

    labels = args.labels.split(",") if args.labels else None
    return load_dataset(
        args.data, args.layout, split=args.split, lists=args.lists, labels=labels, seed=0
    )


def load_no_action(args: argparse.Namespace) -> tuple[Clip, ...]:
    """The clips of --others, without labels; none if it is not given.

    Groups are the column `shows` of its labels.csv, or else `source`; the first folder below it,
    or the clip itself, where there is no labels.csv.
    """
    if args.others is None:
        return ()
    from actionstream.datasets import load_others

    return load_others(args.others, group=("shows", "source"))


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "train",
        help="train a model on UCF101 or on one's own clips",
        description="Encode every clip once, cross-validate by group, calibrate, train the head "
        "on the whole training list and write a bundle to OUT/bundle. The test list is not read. "
        "A killed run goes on with --resume.",
        allow_abbrev=False,
    )
    add_data_options(parser)
    group = parser.add_argument_group("training")
    group.add_argument(
        "--recipe", default="lite2", metavar="NAME", help="lite2, lite0 or classic (default: lite2)"
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change a field of the recipe (JSON value), such as epochs=40 or options.hidden=64",
    )
    group.add_argument(
        "--init", metavar="BUNDLE", help="start from the weights of a bundle or shipped variant"
    )
    group.add_argument("--weights", metavar="FILE", help="ImageNet weights of the encoder")
    group.add_argument(
        "--seed",
        type=int,
        default=0,
        help="of folds, first weights, order and windows; the stored views, and a test side that "
        "is drawn, are the same for every seed (default: 0)",
    )
    group.add_argument("--out", metavar="DIR", help="the run's folder (default: runs/RECIPE)")
    group.add_argument("--store", metavar="DIR", help="feature store (default: runs/store)")
    group.add_argument("--name", help="the model's name on its card")
    group.add_argument("--resume", action="store_true", help="go on with the run in OUT")
    group.add_argument(
        "--experiment",
        action="store_true",
        help="only cross-validate: prints one JSON line and appends it to OUT/records.jsonl",
    )
    group.add_argument(
        "--workers", type=at_least_one, default=2, metavar="N", help="encoding threads (default: 2)"
    )
    group.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="for recipe classic (default: cpu)"
    )


def run(args: argparse.Namespace) -> int:
    """Train; prints the bundle's folder."""
    if find_spec("torch") is None or find_spec("timm") is None:
        raise MissingExtraError("training", "train")
    return _classic(args) if args.recipe == CLASSIC else _train(args)


def _train(args: argparse.Namespace) -> int:
    from actionstream.bundle.folder import resolve
    from actionstream.training.recipe import find_recipe
    from actionstream.training.run import Settings, experiment, train

    recipe = find_recipe(args.recipe, dict(_change(one) for one in args.set))
    settings = Settings(
        folder=_folder(args),
        store=Path(args.store or "runs/store"),
        seed=args.seed,
        resume=args.resume,
        weights=Path(args.weights) if args.weights else None,
        init=resolve(args.init) if args.init else None,
        workers=args.workers,
        name=args.name,
        command=shlex.join(["actionstream", *_portable(sys.argv[1:])]),
    )
    split, others = load_split(args), load_no_action(args)
    with _Stages() as stages:
        if args.experiment:
            record = experiment(split, others, recipe, settings, stages)
            print(json.dumps(record))
            return 0
        bundle = train(split, others, recipe, settings, stages)
    print(bundle.path)
    return 0


def _classic(args: argparse.Namespace) -> int:
    from actionstream.training.finetune import train_frames_command

    if args.set or args.init or args.experiment:
        raise TrainingError("--set, --init and --experiment are not for the recipe classic")
    with _Stages() as stages:
        bundle = train_frames_command(
            load_split(args),
            CLASSIC,
            _folder(args),
            weights=Path(args.weights) if args.weights else None,
            seed=args.seed,
            resume=args.resume,
            device=args.device,
            report=stages,
            others=load_no_action(args),
            workers=args.workers,
            command=shlex.join(["actionstream", *_portable(sys.argv[1:])]),
            name=args.name,
        )
    print(bundle.path)
    return 0


def _folder(args: argparse.Namespace) -> Path:
    return Path(args.out or f"runs/{args.recipe}")


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


class _Stages:
    """Progress with the time left, a line a stage, on stderr; plain lines where nobody watches."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._terminal = console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> _Stages:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, what: str, done: float, total: float) -> None:
        name = what.split(",")[0]
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[name], completed=done, total=total, description=what)
        if not self._terminal and (done == total or done % 100 == 0):
            print(f"{what}: {done:.0f}/{total:.0f}", file=sys.stderr, flush=True)

"""`actionstream evaluate BUNDLE --data DIR`: how good is a model on clips that it never saw?"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionstream.cli.options import at_least_one
from actionstream.cli.train import add_data_options, load_no_action, load_split
from actionstream.errors import DatasetError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actionstream.bundle.card import TrainingCard
    from actionstream.datasets.clips import Clip, Split

SIDES = ("test", "validation", "train", "all")


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure a model on the test list",
        description="Recognise every clip of the test list as `predict` does, and print top-1 with "
        "its 95 % interval (whole groups are drawn), per class, calibration, and how well other "
        "actions are refused.",
        allow_abbrev=False,
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="a bundle's folder or a shipped variant")
    add_data_options(parser)
    parser.add_argument(
        "--side", choices=SIDES, default="test", help="which clips of the split (default: test)"
    )
    parser.add_argument("--report", metavar="DIR", help="write JSON, CSV and a confusion matrix")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    parser.add_argument(
        "--write-card", action="store_true", help="put the figures into the bundle's card"
    )
    parser.add_argument(
        "--threads", type=at_least_one, metavar="N", help="threads (default: one a core)"
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate and print."""
    try:
        from actionstream.evaluation.evaluate import evaluate, write_report
    except ImportError:
        raise MissingExtraError("evaluation", "train") from None
    from actionstream.bundle.folder import open_bundle, resolve
    from actionstream.progress import ProgressBar
    from actionstream.recognizer import load

    if args.write_card and args.side != "test":
        raise DatasetError("--write-card is for the test list: leave --side away")
    split, others = load_split(args), load_no_action(args)
    clips = _clips(split, args.side)
    model = load(args.bundle, threads=args.threads)
    doubt = _doubt(model.card.training, split, args.side)
    _warn(doubt, refuse=args.write_card)
    _check_leaks(split, args.side, model.labels, others)
    with ProgressBar() as bar:
        found = evaluate(
            model,
            [clip for clip in clips if clip.label in model.labels],
            listed=sum(
                split.listed_of(side, model.labels)
                for side in split.sides
                if args.side in (side, "all")
            ),
            others=others,
            comparable=not doubt,
            progress=bar,
        )
    print(json.dumps(found.to_dict()) if args.json else found.to_text())
    if args.report:
        write_report(found, Path(args.report))
    if args.write_card:
        from actionstream.training.measure import write_figures

        write_figures(open_bundle(resolve(args.bundle)), found, split.name)
    return 1 if found.failed else 0


def _doubt(trained: TrainingCard, split: Split, side: str) -> str:
    """Why the figures would not be what they look like; "" if they are."""
    if trained.split != split.name:
        return (
            f"the model was trained on {trained.split!r} and this is {split.name!r}: the clips "
            "may be ones that it has seen"
        )
    if split.leaking or not trained.comparable:
        return f"clips of one source are on both sides of {split.name!r}"
    if side in ("train", "all"):
        return "the model was trained on clips of this side"
    return ""


def _warn(doubt: str, *, refuse: bool) -> None:
    """Say it; on a card such figures may not stand at all."""
    if not doubt:
        return
    message = f"{doubt}, so the figures are not comparable"
    if refuse:
        raise DatasetError(message)
    print(f"actionstream: {message}", file=sys.stderr)


def _check_leaks(split: Split, side: str, labels: Sequence[str], others: Sequence[Clip]) -> None:
    """The guard, for the clips that matter: with "all" the sides are one, nothing is compared."""
    from actionstream.datasets import check_leaks

    if split.leaking:
        return
    sides = {"all": split.clips} if side == "all" else split.sides
    known = {name: [c for c in clips if c.label in labels] for name, clips in sides.items()}
    there = {name: clips for name, clips in {**known, "others": others}.items() if clips}
    if len(there) > 1:
        check_leaks(there)


def _clips(split: Split, side: str) -> tuple[Clip, ...]:
    clips = split.clips if side == "all" else getattr(split, side)
    if not clips:
        raise DatasetError(f"{split.name}: there is no clip on the side {side!r}")
    return tuple(clips)

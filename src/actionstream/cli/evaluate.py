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
        from actionstream.training.evaluate import evaluate, write_report
    except ImportError:
        raise MissingExtraError("evaluation", "train") from None
    from actionstream.bundle import open_bundle, resolve
    from actionstream.cli.progress import ProgressLine
    from actionstream.recognizer import load

    if args.write_card and args.side != "test":
        raise DatasetError("--write-card is for the test list: leave --side away")
    split = load_split(args)
    clips = _clips(split, args.side)
    model = load(args.bundle, threads=args.threads)
    _warn(model.card.training.split, split, refuse=args.write_card)
    with ProgressLine(1.0) as line:
        found = evaluate(
            model,
            [clip for clip in clips if clip.label in model.labels],
            listed=split.listed.get(args.side),
            others=load_no_action(args),
            progress=lambda done, total: line.show(done / total, f"clip {done}/{total}"),
        )
    print(json.dumps(found.to_dict()) if args.json else found.to_text())
    if args.report:
        write_report(found, Path(args.report))
    if args.write_card:
        from actionstream.training.measure import write_figures

        write_figures(open_bundle(resolve(args.bundle)), found, split.name)
    return 1 if found.failed else 0


def _warn(trained_on: str, split: Split, *, refuse: bool) -> None:
    """Say it when a figure would not be what it looks like; on a card it may not stand at all."""
    if trained_on == split.name and not split.leaking:
        return
    message = (
        f"the model was trained on {trained_on!r} and this is {split.name!r}: the clips may be "
        "ones that it has seen, so the figures are not comparable"
    )
    if refuse:
        raise DatasetError(message)
    print(f"actionstream: {message}", file=sys.stderr)


def _clips(split: Split, side: str) -> tuple[Clip, ...]:
    clips = split.clips if side == "all" else getattr(split, side)
    if not clips:
        raise DatasetError(f"{split.name}: there is no clip on the side {side!r}")
    return tuple(clips)

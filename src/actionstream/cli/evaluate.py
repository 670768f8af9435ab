"""`actionstream evaluate BUNDLE --data DIR`: how good is a model on clips that it never saw?"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionstream.cli.data import add_data_options, load_no_action, load_split
from actionstream.cli.options import at_least_one, option
from actionstream.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actionstream.bundle.card import TrainingCard
    from actionstream.datasets.split import Clip, Split
    from actionstream.evaluation.evaluate import Evaluation

SUBSETS = ("test", "validation", "train", "all")


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure a model on the test list",
        description="Recognise every clip of the test list as `predict` does, and print top-1 with "
        "its 95 % interval (whole groups are drawn), per class, calibration, and how well other "
        "actions are refused.",
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="a bundle's folder or a shipped variant")
    add_data_options(parser)
    which = "which clips of the split (default: test)"
    option(parser, "--subset", which, choices=SUBSETS, default="test")
    parser.add_argument(
        "--side", dest="subset", choices=SUBSETS, default="test", help=argparse.SUPPRESS
    )
    report = "write JSON, CSV and a confusion matrix (drawn where matplotlib is installed)"
    option(parser, "--report DIR", report)
    option(parser, "--json", "print the figures as one JSON object")
    option(parser, "--write-card", "put the figures into the bundle's card")
    option(parser, "--threads N", "threads (default: one a core)", type=at_least_one)


def run(args: argparse.Namespace) -> int:
    """Evaluate and print."""
    from actionstream.evaluation.evaluate import evaluate
    from actionstream.evaluation.report import to_text, write_report
    from actionstream.progress import ProgressBar
    from actionstream.recognizer import load

    if args.write_card and args.subset != "test":
        raise DatasetError("--write-card is for the test list: leave --subset away")
    split, negatives = load_split(args), load_no_action(args)
    model = load(args.bundle, threads=args.threads)
    doubt = _doubt(model.card.training, split, args.subset)
    _warn(doubt, refuse=args.write_card)
    _check_leaks(split, args.subset, model.labels, negatives)
    asked = split.subsets if args.subset == "all" else (args.subset,)
    with ProgressBar() as bar:
        found = evaluate(
            model,
            _clips(split, args.subset),
            listed=sum(split.listed_of(subset, model.labels) for subset in asked),
            negatives=negatives,
            comparable=not doubt,
            progress=bar,
        )
    print(json.dumps(found.to_dict()) if args.json else to_text(found))
    if args.report:
        write_report(found, Path(args.report))
    if args.write_card:
        _write_card(args.bundle, found, split)
    return 1 if found.failed else 0


def _write_card(bundle: str, found: Evaluation, split: Split) -> None:
    from actionstream.bundle.folder import open_bundle, resolve
    from actionstream.evaluation.report import write_figures

    write_figures(open_bundle(resolve(bundle)), found, split.name)


def _doubt(trained: TrainingCard, split: Split, subset: str) -> str:
    """Why the figures would not be what they look like; "" if they are."""
    if trained.split != split.name:
        return (
            f"the model was trained on {trained.split!r} and this is {split.name!r}: the clips "
            "may be ones that it has seen"
        )
    if split.leaking or not trained.comparable:
        return f"clips of one source are in several subsets of {split.name!r}"
    if subset in ("train", "all"):
        return "the model was trained on clips of this subset"
    return ""


def _warn(doubt: str, *, refuse: bool) -> None:
    """Say it; on a card such figures may not stand at all."""
    if not doubt:
        return
    message = f"{doubt}, so the figures are not comparable"
    if refuse:
        raise DatasetError(message)
    print(f"actionstream: {message}", file=sys.stderr)


def _check_leaks(
    split: Split, subset: str, labels: Sequence[str], negatives: Sequence[Clip]
) -> None:
    """The guard, for the clips that matter: with "all" the subsets are one, nothing is compared."""
    from actionstream.datasets import check_leaks
    from actionstream.evaluation.evaluate import match_labels

    if split.leaking:
        return
    subsets = {"all": split.clips} if subset == "all" else split.subsets
    known = {name: match_labels(clips, labels)[0] for name, clips in subsets.items()}
    there = {name: clips for name, clips in {**known, "negatives": negatives}.items() if clips}
    if len(there) > 1:
        check_leaks(there)


def _clips(split: Split, subset: str) -> tuple[Clip, ...]:
    clips = split.clips if subset == "all" else split.subsets[subset]
    if not clips:
        raise DatasetError(f"{split.name}: there is no clip in the subset {subset!r}")
    return tuple(clips)

"""`actionstream data check DIR`: is this data set fit for training? Options of data sets."""

from __future__ import annotations

import argparse
import csv
import json
from typing import TYPE_CHECKING, Any

from actionstream.cli.options import option

if TYPE_CHECKING:
    from actionstream.datasets.check import CheckReport
    from actionstream.datasets.split import Clip, Split

# datasets.LAYOUTS, which costs NumPy and PyAV to import; a test keeps the two alike.
LAYOUTS = ("ucf101", "kaggle", "hmdb51", "csv", "folder")


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser("data", help="look at a data set before training on it")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check",
        help="counts, missing and broken clips, leaks",
        description="Load a data set as training would, open every clip, and report counts, "
        "missing, broken and duplicate clips, leaks between the subsets, and what `train` will "
        "refuse. Exit code 1 if it is not fit for training.",
        allow_abbrev=False,
    )
    check.add_argument("dir", metavar="DIR", help="the data set's folder")
    _add_layout(check)
    option(check, "--no-open", "do not decode the first frame of every clip")
    option(check, "--json", "print one JSON object")


def _add_layout(group: argparse._ActionsContainer) -> None:
    how = "how it is laid out (default: ucf101)"
    option(group, "--layout", how, choices=LAYOUTS, default="ucf101")
    option(group, "--lists PATH", "folder of the official lists, or the CSV")
    option(group, "--split", "official split (default: 1)", type=int, choices=(1, 2, 3), default=1)


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """What `train` and `evaluate` share: `--data`, `--layout`, `--labels`, `--negatives`, ..."""
    group = parser.add_argument_group("data")
    option(group, "--data DIR", "the data set's folder", required=True)
    _add_layout(group)
    option(
        group,
        "--labels A,B,...",
        "only these classes (default: all at hand); one with a comma in quotes of its own: "
        """'A,"B, C"'; may be given several times""",
        action="append",
    )
    option(
        group,
        "--negatives DIR",
        "folder of clips of other actions or none, with or without a labels.csv: "
        '"no known action" is fitted (train) or measured (evaluate) on them',
    )
    group.add_argument("--others", dest="negatives", help=argparse.SUPPRESS)  # until 0.1


def load_split(args: argparse.Namespace) -> Split:
    """The split that the options name.

    Test clips that have to be drawn are the same for every --seed of `train`, and for `evaluate`.
    """
    from actionstream.datasets import load_dataset

    labels = [label.strip() for row in csv.reader(args.labels or ()) for label in row]
    return load_dataset(
        args.data, args.layout, split=args.split, lists=args.lists, labels=labels or None, seed=0
    )


def load_no_action(args: argparse.Namespace) -> tuple[Clip, ...]:
    """The clips of --negatives, without labels; none if it is not given.

    Groups are the column `shows` of its labels.csv, or else `source`; the first folder below it,
    or the clip itself, where there is no labels.csv.
    """
    from actionstream.datasets import load_negatives

    if args.negatives is None:
        return ()
    return load_negatives(args.negatives, group=("shows", "source"))


def run(args: argparse.Namespace) -> int:
    """Check and print; 0 if training may start, else 1."""
    from actionstream.datasets.check import check_dataset
    from actionstream.progress import ProgressBar

    with ProgressBar() as bar:
        report = check_dataset(
            args.dir,
            args.layout,
            split=args.split,
            lists=args.lists,
            open_clips=not args.no_open,
            progress=bar,
        )
    print(_as_json(report) if args.json else report.to_text())
    return 0 if report.ok else 1


def _as_json(report: CheckReport) -> str:
    """The report as one line. Paths and sentences as strings."""
    split = report.split
    fields = {
        "root": str(report.root),
        "layout": report.layout,
        "split": split.name,
        "ok": report.ok,
        "counts": {label: dict(found) for label, found in report.counts.items()},
        "listed": dict(split.listed),
        "absent_labels": list(split.absent_labels),
        "missing": {subset: list(stems) for subset, stems in split.missing.items()},
        "unused": [str(path) for path in report.unused],
        "opened": report.opened,
        "unreadable": [{"path": str(u.path), "cause": u.cause} for u in report.unreadable],
        "duplicates": [{"side": d.subset, "stems": list(d.stems)} for d in report.duplicates],
        "leaks": list(report.leaks),
        "folders": list(report.folders),
        "unread": [str(path) for path in report.unread],
        "refused": list(report.refused),
        "unmeasured": list(report.unmeasured),
        "notes": list(split.notes),
    }
    return json.dumps(fields, ensure_ascii=False)

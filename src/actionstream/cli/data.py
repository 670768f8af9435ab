"""`actionstream data check DIR`: is this data set fit for training?"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actionstream.datasets.report import CheckReport

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
        "missing, broken and duplicate clips and leaks between the sides. Exit code 1 if it is "
        "not fit for training.",
        allow_abbrev=False,
    )
    check.add_argument("dir", metavar="DIR", help="the data set's folder")
    check.add_argument(
        "--layout", choices=LAYOUTS, default="ucf101", help="how it is laid out (default: ucf101)"
    )
    check.add_argument("--lists", metavar="PATH", help="folder of the official lists, or the CSV")
    check.add_argument(
        "--split", type=int, choices=(1, 2, 3), default=1, help="official split (default: 1)"
    )
    check.add_argument(
        "--no-open", action="store_true", help="do not decode the first frame of every clip"
    )
    check.add_argument("--json", action="store_true", help="print one JSON object")


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
        "counts": {label: dict(sides) for label, sides in report.counts.items()},
        "listed": dict(split.listed),
        "absent_labels": list(split.absent_labels),
        "missing": {side: list(stems) for side, stems in split.missing.items()},
        "unused": [str(path) for path in report.unused],
        "opened": report.opened,
        "unreadable": [{"path": str(u.path), "cause": u.cause} for u in report.unreadable],
        "duplicates": [{"side": d.side, "stems": list(d.stems)} for d in report.duplicates],
        "leaks": list(report.leaks),
        "folders": list(report.folders),
        "notes": list(split.notes),
    }
    return json.dumps(fields, ensure_ascii=False)

"""`actionstream export CHECKPOINT --to DIR`: a checkpoint as a bundle."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from actionstream.cli.options import option
from actionstream.errors import MissingExtraError, TrainingError


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "export",
        help="write a bundle from a checkpoint",
        description="Write a bundle from a run's last checkpoint (RUN/final.ckpt), or from the "
        "classic project's action_recognition_model.pth (ResNet18 + LSTM; weights only) with "
        "--recipe classic --labels FILE, one label a line in the order of its outputs.",
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="final.ckpt of a run, or a .pth")
    option(parser, "--to DIR", "the bundle's folder", required=True)
    option(parser, "--recipe", "the classic project's file", choices=("classic",))
    option(parser, "--labels FILE", "its labels, one a line")
    spacing = "seconds between looks for the classic file, which does not say (default: 0.4)"
    option(parser, "--spacing SECONDS", spacing, type=float, default=0.4)
    option(parser, "--overwrite", "replace a bundle that is there")


def run(args: argparse.Namespace) -> int:
    """Export; prints the bundle's folder."""
    if find_spec("torch") is None:
        raise MissingExtraError("export", "train")
    if args.recipe is None:
        return _export_run(args)
    from actionstream.training.import_classic import import_classic, read_labels

    if args.labels is None:
        raise TrainingError("--recipe classic needs --labels FILE, one label a line")
    bundle = import_classic(
        Path(args.checkpoint),
        read_labels(Path(args.labels)),
        Path(args.to),
        spacing_seconds=args.spacing,
        overwrite=args.overwrite,
    )
    print(bundle.path)
    return 0


def _export_run(args: argparse.Namespace) -> int:
    from actionstream.training.common.export import export_checkpoint

    print(export_checkpoint(Path(args.checkpoint), Path(args.to), overwrite=args.overwrite).path)
    return 0

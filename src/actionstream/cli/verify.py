"""`actionstream verify CLIP`: file = live = PyTorch, on anybody's clip."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from actionstream.cli import DONE, SOME_FAILED
from actionstream.cli.options import add_model_options, load_model
from actionstream.errors import MissingExtraError, VideoError

if TYPE_CHECKING:
    from actionstream.evaluation.verify import Verification
    from actionstream.recognizer import Recognizer


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "verify",
        help="prove that file, live stream and PyTorch give the same readings",
        description="Recognise a clip as a file, as a live stream frame by frame, and with the "
        "other engine (PyTorch, from the extra [train]), and compare every reading. The first "
        "difference over 1e-4 is named, with exit code 1.",
    )
    parser.add_argument("clip", metavar="CLIP", help="a video file")
    add_model_options(parser)


def run(args: argparse.Namespace) -> int:
    """Compare and print; 0 if all is alike, 1 if not or if the clip cannot be read."""
    try:
        return _verify(args)
    except VideoError as error:
        print(f"actionstream: {error}", file=sys.stderr)
        return SOME_FAILED


def _verify(args: argparse.Namespace) -> int:
    from actionstream.evaluation.verify import verify_clip
    from actionstream.progress import ProgressBar
    from actionstream.video import probe

    probe(args.clip)  # a bad clip is told before PyTorch is loaded
    model = load_model(args)
    other, skipped = _other(args)
    with ProgressBar() as bar:
        found = verify_clip(args.clip, model, other=other, skipped=skipped, progress=bar)
    _print(found, model)
    return DONE if found.ok else SOME_FAILED


def _other(args: argparse.Namespace) -> tuple[Recognizer | None, str | None]:
    """The same bundle on the other engine, or why there is none."""
    try:
        return load_model(args, engine="torch" if args.engine == "onnx" else "onnx"), None
    except MissingExtraError as error:
        return None, str(error)


def _print(found: Verification, model: Recognizer) -> None:
    from actionstream.draw import display_name

    answer = found.answer
    print(f"{answer.source}: {display_name(answer.label)}, {len(answer.readings)} readings")
    print(f"model {model.card.name} ({model.fingerprint}) on {model.engine.describe()}")
    for comparison in found.comparisons:
        if comparison.first is None:
            largest = ", ".join(f"{what} {by:.1e}" for what, by in comparison.largest.items())
            print(f"same: {comparison.name}: {comparison.readings} readings; largest: {largest}")
        else:
            print(f"DIFFERENT: {comparison.name}: {comparison.first}")
    if found.skipped:
        print(f"not compared with the other engine: {found.skipped}")
    print(f"{'same' if found.ok else 'DIFFERENT'} to {found.tolerance:g}")

"""`actionstream teach DIR --to BUNDLE`: new actions from a few clips, without PyTorch."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from actionstream.cli.options import at_least_one, option
from actionstream.errors import ActionstreamError
from actionstream.progress import ProgressBar

if TYPE_CHECKING:
    from actionstream.bundle.folder import Bundle
    from actionstream.teaching.estimate import Estimate
    from actionstream.teaching.taught import Taught

_MOST_CONFUSIONS = 8


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "teach",
        help="teach a model your own actions from a few clips each",
        description="Teach a model new actions. DIR holds one folder an action with three clips "
        "or more, and may hold a folder _nothing with clips of none. The actions known before "
        "stay. Prints what to expect on clips of other places, found by leaving each place out.",
    )
    parser.add_argument("folder", nargs="?", metavar="DIR", help="one folder of clips an action")
    option(parser, "--to BUNDLE", "the new bundle's folder", required=True)
    base = "the model to teach: a shipped variant or a bundle (default: the shipped one)"
    option(parser, "--from VARIANT|BUNDLE", base, dest="model")
    option(parser, "--only", "know the new actions alone")
    option(parser, "--forget LABEL", "take an action out", action="append", default=[])
    option(parser, "--rename OLD=NEW", "give an action a name", action="append", default=[])
    option(parser, "--name NAME", "the model's name on its card (default: BUNDLE's)")
    option(parser, "--json", "print one JSON object")
    option(parser, "--overwrite", "replace a bundle that is there")
    threads = "threads for the network and for decoding (default: one a core)"
    option(parser, "--threads N", threads, type=at_least_one)


def run(args: argparse.Namespace) -> int:
    """Teach; prints the estimate and the bundle's folder."""
    if args.folder is None and not (args.forget or args.rename):
        raise ActionstreamError("nothing to do: name a folder of clips, --forget or --rename")
    taught = _taught(args)
    bundle = taught.save(args.to, name=args.name, overwrite=args.overwrite)
    if args.json:
        print(json.dumps(_facts(taught, bundle)))
    else:
        print("\n".join(_lines(taught, bundle)))
    return 0


def _taught(args: argparse.Namespace) -> Taught:
    from actionstream.bundle.folder import open_bundle, resolve
    from actionstream.recognizer import load
    from actionstream.teaching.taught import Taught, teach
    from actionstream.teaching.windows import find_clips

    names = dict(_pair(one) for one in args.rename)
    if args.folder is None:
        changed = Taught.of(open_bundle(resolve(args.model)))
        changed = changed.forget(args.forget) if args.forget else changed
        return changed.rename(names) if names else changed
    if names:
        raise ActionstreamError("--rename goes without DIR: rename the folder, or rename later")
    clips = find_clips(args.folder)
    model = load(args.model, threads=args.threads)
    with ProgressBar() as bar:
        return teach(model, clips, only=args.only, forget=args.forget, progress=bar)


def _pair(text: str) -> tuple[str, str]:
    old, separator, new = text.partition("=")
    if not (old and separator and new):
        raise ActionstreamError(f"--rename takes OLD=NEW, got {text!r}")
    return old, new


def _facts(taught: Taught, bundle: Bundle) -> dict[str, Any]:
    encoding, rest = taught.seconds
    return {
        "bundle": str(bundle.path),
        "name": bundle.card.name,
        "fingerprint": bundle.fingerprint,
        "labels": list(taught.labels),
        "estimate": None if taught.estimate is None else taught.estimate.to_dict(),
        "timing": {"encode_seconds": encoding, "teach_seconds": rest},
    }


def _lines(taught: Taught, bundle: Bundle) -> Iterator[str]:
    if taught.estimate is not None:
        yield from _table(taught.estimate)
        encoding, rest = taught.seconds
        yield f"{encoding:.1f} s to look at the clips, {rest:.1f} s to learn from them"
    yield f"{bundle.path}: {bundle.card.name}, {len(bundle.card.labels)} actions"


def _table(found: Estimate) -> Iterator[str]:
    yield "expected on clips of places that were not taught (each place left out once):"
    width = max(len(label) for label in found.recall)
    for label, share in found.recall.items():
        rests = f"{found.clips[label]} clips of {found.sources[label]} places"
        refused = f", {found.refused[label]:.0%} refused as no known action"
        yield f"  {label:<{width}}  {share:4.0%}  {rests}{refused if found.refused[label] else ''}"
    yield f"  {'mean':<{width}}  {found.mean_recall:4.0%}"
    if found.nothing_refused is not None:
        yield f"clips of nothing: {found.nothing_refused:.0%} refused as no known action"
    if found.old_before is not None and found.old_after is not None:
        yield f"actions known before: {found.old_before:.1%} before, {found.old_after:.1%} now"
    for one in found.confusions[:_MOST_CONFUSIONS]:
        yield f"  {one.share:.0%} of {one.label} taken for {one.said}"
    for warning in found.warnings:
        yield f"warning: {warning}"

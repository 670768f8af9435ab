"""Options that several verbs share, and examples of every verb."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actionstream.engines import EngineName
    from actionstream.recognizer import Recognizer

EXAMPLES: dict[str, tuple[str, ...]] = {
    "predict": (
        "actionstream predict clip.mp4",
        "actionstream predict holiday/ 'gym/**/*.mov' --csv --output answers.csv",
        "actionstream predict clip.mp4 --annotate clip-annotated.mp4",
        "ls *.avi | actionstream predict - --json",
        "actionstream predict archive/ --jobs 4 --output answers.parquet --resume",
    ),
    "webcam": (
        "actionstream webcam",
        "actionstream webcam 1 --size 640x480 --rate 30",
        "actionstream webcam rtsp://camera.local/stream --text --events seen.jsonl",
    ),
    "app": (
        "actionstream app",
        "actionstream app --https",
        "actionstream app --models bundles/ --max-upload 500",
    ),
    "demo": ("actionstream demo", "actionstream demo --model lite0"),
    "verify": ("actionstream verify clip.mp4",),
    "teach": (
        "actionstream teach clips/ --to my-actions",
        "actionstream teach clips/ --to small --from lite0 --only",
        "actionstream teach --from my-actions --forget wave --to fewer",
    ),
    "train": (
        "actionstream train --data clips/ --layout folder --out runs/mine",
        "actionstream train --data UCF-101/ --lists ucfTrainTestlist/ --recipe lite0",
        "actionstream train --data clips/ --layout folder --out runs/mine --resume",
    ),
    "evaluate": (
        "actionstream evaluate lite2 --data UCF-101/ --lists ucfTrainTestlist/",
        "actionstream evaluate runs/mine/bundle --data clips/ --layout folder --report report/",
    ),
    "export": ("actionstream export runs/mine/final.ckpt --to bundle/",),
    "data": (
        "actionstream data check clips/ --layout folder",
        "actionstream data check UCF-101/ --lists ucfTrainTestlist/ --json",
    ),
    "models": ("actionstream models", "actionstream models lite2"),
}


def option(group: argparse._ActionsContainer, words: str, meaning: str, **how: Any) -> None:
    """Add an option: "--size WxH" takes a value, "--json" is a flag unless `how` says more."""
    name, _, value = words.partition(" ")
    how |= {"metavar": value} if value else {} if how else {"action": "store_true"}
    group.add_argument(name, help=meaning, **how)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """`--model`, `--engine`, `--device`, `--threads`."""
    group = parser.add_argument_group("model")
    option(
        group,
        "--model DIR|VARIANT",
        "a bundle's folder or the name of a shipped variant (default: the shipped one)",
    )
    engine = "what computes: ONNX Runtime, or PyTorch from the extra [train] (default: onnx)"
    option(group, "--engine", engine, choices=("onnx", "torch"), default="onnx")
    option(group, "--device", "where the engine computes (default: cpu)", choices=("cpu", "cuda"))
    threads = "threads for the network and for decoding (default: one a core)"
    option(group, "--threads N", threads, type=at_least_one)


def at_least_one(text: str) -> int:
    """A whole number from 1 on, for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, got {text!r}")
    return value


def load_model(args: argparse.Namespace, *, engine: EngineName | None = None) -> Recognizer:
    """The model that the options ask for; `engine` overrides theirs."""
    from actionstream.recognizer import load

    chosen: EngineName = engine or args.engine
    return load(args.model, engine=chosen, threads=args.threads, device=args.device)


def needs_pose(model: Recognizer) -> None:
    """`--skeleton` asks for what the model does not have: say so, before the work.

    Raises:
        ActionstreamError: the model has no pose.
    """
    from actionstream.errors import ActionstreamError

    if model.card.pose is None:
        raise ActionstreamError(f"--skeleton: the model {model.card.name} reads no pose")


def epilog(verb: str) -> str:
    """The examples of a verb, as --help prints them."""
    return "\n".join(["examples:", *(f"  {line}" for line in EXAMPLES[verb])])

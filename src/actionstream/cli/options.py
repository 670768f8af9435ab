"""Options that several verbs share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actionstream.engines import EngineName
    from actionstream.recognizer import Recognizer


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """`--model`, `--engine`, `--device`, `--threads`."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        metavar="DIR|VARIANT",
        help="a bundle's folder or the name of a shipped variant (default: the shipped one)",
    )
    group.add_argument(
        "--engine",
        choices=("onnx", "torch"),
        default="onnx",
        help="what computes: ONNX Runtime, or PyTorch from the extra [train] (default: onnx)",
    )
    group.add_argument(
        "--device", choices=("cpu", "cuda"), help="where the engine computes (default: cpu)"
    )
    group.add_argument(
        "--threads",
        type=at_least_one,
        metavar="N",
        help="threads for the network and for decoding (default: one a core)",
    )


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

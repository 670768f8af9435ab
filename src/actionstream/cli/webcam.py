"""`actionstream webcam`: name the action in front of a camera, as it happens."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionstream.cli import DONE, INTERRUPTED, SOME_FAILED
from actionstream.cli.options import add_model_options, load_model, needs_pose, option
from actionstream.errors import ActionstreamError

if TYPE_CHECKING:
    from actionstream.webcam.watch import WatchOptions

DEFAULT_PORT = 8600


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "webcam",
        help="name the action in front of a camera or in a network stream",
        description="Name the action in front of a camera or in a network stream, as it happens. "
        "Shows the picture on a page of this machine, or text in the terminal. Ctrl-C ends it "
        "and prints what was seen.",
    )
    parser.add_argument(
        "source",
        nargs="?",
        default="0",
        metavar="SOURCE",
        help="a camera (0, 1, /dev/video0) or a stream (rtsp://, http://, ...); default: 0",
    )
    shown = parser.add_mutually_exclusive_group()
    option(shown, "--page", "show a page on 127.0.0.1 (this is the default)")
    option(shown, "--text", "print a line whenever the action changes instead")
    port = f"the page's port, 0 for any that is free (default: {DEFAULT_PORT})"
    option(parser, "--port N", port, type=_port, default=DEFAULT_PORT)
    option(parser, "--events FILE.jsonl", "append each begin and end to this file", type=Path)
    option(
        parser,
        "--on-action COMMAND",
        "run this, without a shell, at each begin and end; it finds them in the environment "
        "(ACTIONSTREAM_EVENT, _LABEL, _START_SECONDS, _END_SECONDS, _CONFIDENCE)",
    )
    option(parser, "--record OUT.mp4", "keep the pictures with the answer on them", type=Path)
    option(parser, "--overwrite", "replace the file of --record if it exists")
    option(parser, "--skeleton", "draw the person's pose on the picture, too")
    option(parser, "--seconds N", "end after this long", type=_positive)
    option(parser, "--size WxH", "picture size to ask the camera for", type=_size)
    option(parser, "--rate R", "frames a second to ask the camera for", type=_positive)
    add_model_options(parser)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a port, 0 to 65535, got {text!r}")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return value


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"must be WIDTHxHEIGHT such as 640x480, got {text!r}")
    return int(match[1]), int(match[2])


def run(args: argparse.Namespace) -> int:
    """Watch until Ctrl-C, `--seconds` or an error, then say what was seen."""
    from actionstream.errors import VideoError
    from actionstream.webcam.watch import CameraWatch

    watch = CameraWatch(_options(args))
    code = DONE
    try:
        model = load_model(args)
        if args.skeleton:
            needs_pose(model)
        watch.run(model)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except VideoError as error:
        print(f"actionstream: {error}", file=sys.stderr)
        code = SOME_FAILED
    watch.summarise()
    return code


def _options(args: argparse.Namespace) -> WatchOptions:
    """The options, looked at so far as that goes without the model: it takes a while to load."""
    from actionstream.video.address import parse_address
    from actionstream.webcam.events import parse_command
    from actionstream.webcam.watch import WatchOptions

    if Path(args.source).is_file():
        raise ActionstreamError(
            f"{args.source} is a file, not a camera: actionstream predict {args.source}"
        )
    parse_address(args.source)
    _check_recording(args.record, overwrite=args.overwrite)
    return WatchOptions(
        source=args.source,
        port=None if args.text else args.port,
        size=args.size,
        frame_rate=args.rate,
        threads=args.threads,
        events=args.events,
        command=None if args.on_action is None else parse_command(args.on_action),
        record=args.record,
        seconds=args.seconds,
        skeleton=args.skeleton,
    )


def _check_recording(path: Path | None, *, overwrite: bool) -> None:
    if path is None:
        return
    if path.suffix.lower() != ".mp4":
        raise ActionstreamError(f"--record: {path}: a recording is an MP4, name it so")
    if not path.parent.is_dir():
        raise ActionstreamError(f"--record: {path}: there is no folder {path.parent}")
    if path.exists() and not overwrite:
        raise ActionstreamError(f"--record: {path} exists; --overwrite replaces it")

"""The command line: `actionstream VERB ...`. One file a verb; each parses, calls and prints.

A verb's module offers `add_parser(subparsers)` and `run(args) -> exit code`; its examples stand in
`options.py`. It imports what is heavy inside `run`, so that `actionstream --help` is quick. stdout
holds results only; progress and messages go to stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import shutil
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from actionstream import __version__
from actionstream.cli.options import epilog
from actionstream.errors import ActionstreamError, MissingExtraError

VERBS = (
    *("predict", "webcam", "app", "demo", "verify"),
    *("teach", "train", "evaluate", "export", "data", "models"),
)

DONE = 0
SOME_FAILED = 1
WRONG_USE = 2
INTERRUPTED = 130
BROKEN_PIPE = 141  # 128 + SIGPIPE: what a shell shows for a program whose reader went away
SIGNALLED = 128  # and the signal's number: 143 for SIGTERM, 129 for SIGHUP

# What only an extra brings, and which one.
_EXTRA_OF = {
    **dict.fromkeys(("cryptography", "qrcode", "streamlit", "streamlit_webrtc"), "app"),
    **dict.fromkeys(("matplotlib", "onnxscript", "timm", "torch", "torchvision"), "train"),
}

_EPILOG = """`actionstream VERB --help` shows examples.
exit codes: 0 all done, 1 some source failed or a check did not hold, 2 wrong use,
130 interrupted (what was finished is printed)"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after the program's name; None for those of this process.

    Returns:
        The exit code: 0 all done, 1 some source failed, 2 wrong use, 130 interrupted.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    try:
        with _ending_cleanly():
            args = parse(words)
            code: int = args.run(args)
            sys.stdout.flush()
            return code
    except ActionstreamError as error:
        _complain(str(error))
        return WRONG_USE
    except ModuleNotFoundError as error:
        _complain(str(_missing_extra(error, words[0] if words else "")))
        return WRONG_USE
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _abandon_stdout()
        return BROKEN_PIPE
    except OSError as error:
        _abandon_stdout()
        _complain(str(error))
        return WRONG_USE


def _missing_extra(error: ModuleNotFoundError, verb: str) -> MissingExtraError:
    """What to install for the verb; anything else that is missing is a bug and shows as one."""
    extra = _EXTRA_OF.get((error.name or "").partition(".")[0])
    if extra is None:
        raise error
    return MissingExtraError(f"actionstream {verb}", extra)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The arguments, with `run` set. Leaves with code 2 and a message on stderr if they are wrong.

    A verb that is named is parsed by its own parser alone: the other verbs' modules stay
    unloaded. Options may stand between the sources of `predict` (`a.mp4 --json b.mp4`).
    """
    parser, verbs = _build(words[:1] if words and words[0] in VERBS else VERBS)
    if words and words[0] in verbs.choices:
        verb: argparse.ArgumentParser = verbs.choices[words[0]]
        if words[0] == "predict" and "--" not in words:  # intermixed parsing knows no "--"
            return verb.parse_intermixed_args(words[1:])
        return verb.parse_args(words[1:])
    args = parser.parse_args(words)
    if not hasattr(args, "run"):
        parser.print_help(sys.stderr)
        raise SystemExit(WRONG_USE)
    return args


def _build(names: Sequence[str]) -> tuple[argparse.ArgumentParser, Any]:
    parser = argparse.ArgumentParser(
        prog="actionstream",
        description="Name the human action in a video or in front of a camera.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"actionstream {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB")
    for name in names:
        module = importlib.import_module(f"actionstream.cli.{name}")
        module.add_parser(verbs)
        _finish(verbs.choices[name], name, module.run)
    return parser, verbs


def _finish(verb: argparse.ArgumentParser, name: str, run: Callable[..., int]) -> None:
    """What all verbs have: `run`, options in full, and examples at the end of their --help."""
    verb.set_defaults(run=run)
    verb.allow_abbrev = False
    verb.formatter_class = argparse.RawDescriptionHelpFormatter
    verb.description = textwrap.fill(verb.description or "", shutil.get_terminal_size().columns - 2)
    verb.epilog = "\n\n".join([*filter(None, [verb.epilog]), epilog(name)])


def _complete() -> None:
    """Answer a shell that asks what may come next, and end (argcomplete sets the variable)."""
    import argcomplete

    argcomplete.autocomplete(_build(VERBS)[0])


@contextlib.contextmanager
def _ending_cleanly() -> Iterator[None]:
    """Let SIGTERM, and SIGHUP of a terminal that is closed, unwind the program as Ctrl-C does.

    So half-written files are removed. What nohup has the program ignore stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise SystemExit(SIGNALLED + number)

    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _complain(message: str) -> None:
    with contextlib.suppress(OSError):
        print(f"actionstream: {' '.join(message.split())}", file=sys.stderr, flush=True)


def _abandon_stdout() -> None:
    """Send what is still buffered for stdout nowhere: Python would flush it again at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)

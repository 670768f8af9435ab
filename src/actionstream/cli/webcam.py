"""`actionstream webcam`: name the action in front of a camera, as it happens."""

from __future__ import annotations

import argparse
import logging
import re
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionstream.cli.options import add_model_options, load_model

if TYPE_CHECKING:
    from actionstream.cli.camera_view import CameraView
    from actionstream.frames import Reading
    from actionstream.live.announcer import Announcer
    from actionstream.live.events import ActionEvent
    from actionstream.live.page import LivePage
    from actionstream.live.session import Session
    from actionstream.recognizer import Recognizer
    from actionstream.video.source import LiveSource

DEFAULT_PORT = 8600
FIRST_TRIES = 3
"""A source that never gave a picture in this many tries is a mistake, not a hiccup."""
MOST_REMEMBERED = 200
"""Actions listed at the end at most: the newest."""

_log = logging.getLogger(__name__)

_DONE, _FAILED, _INTERRUPTED = 0, 1, 130


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
    shown.add_argument(
        "--page", action="store_true", help="show a page on 127.0.0.1 (this is the default)"
    )
    shown.add_argument(
        "--text", action="store_true", help="print a line whenever the action changes instead"
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=DEFAULT_PORT,
        metavar="N",
        help=f"the page's port, 0 for any that is free (default: {DEFAULT_PORT})",
    )
    parser.add_argument(
        "--events", type=Path, metavar="FILE.jsonl", help="append each begin and end to this file"
    )
    parser.add_argument(
        "--on-action",
        metavar="COMMAND",
        help="run this, without a shell, at each begin and end; it finds them in the environment "
        "(ACTIONSTREAM_EVENT, _LABEL, _START_SECONDS, _END_SECONDS, _CONFIDENCE)",
    )
    parser.add_argument("--seconds", type=_positive, metavar="N", help="end after this long")
    parser.add_argument(
        "--size", type=_size, metavar="WxH", help="picture size to ask the camera for"
    )
    parser.add_argument(
        "--rate", type=_positive, metavar="R", help="frames a second to ask the camera for"
    )
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
    from actionstream.live.events import parse_command
    from actionstream.video.address import parse_address

    parse_address(args.source)  # a slip is told before the model is loaded
    command = None if args.on_action is None else parse_command(args.on_action)
    watch = _Watch(args, command)
    code = _DONE
    try:
        watch.run(load_model(args))
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except VideoError as error:
        _say(f"actionstream: {error}")
        code = _FAILED
    watch.summarise()
    return code


class _Watch:
    """One watching of one source."""

    def __init__(self, args: argparse.Namespace, command: tuple[str, ...] | None) -> None:
        self._args, self._command = args, command
        self._seen: deque[ActionEvent] = deque(maxlen=MOST_REMEMBERED)
        self._count = 0
        self._printed: str | None = None
        self._state = "connecting"
        self._tries = 0
        self._never: str | None = None  # why there was never a picture
        self._source: LiveSource | None = None
        self._figures = ""

    def run(self, model: Recognizer) -> None:
        from actionstream.errors import UnreadableVideoError
        from actionstream.live.worker import Worker

        with ExitStack() as stack:
            page = None if self._args.text else stack.enter_context(_open_page(self._args.port))
            announcer = stack.enter_context(self._announcer(stack))
            worker = stack.enter_context(Worker(model, max_batch=1, max_sessions=1))
            session = stack.enter_context(worker.open(on_reading=announcer.push))
            stack.callback(self._remember_figures, session)
            source = stack.enter_context(self._open_source(announcer))
            stack.enter_context(_end_after(self._args.seconds, source))
            _say(f"watching {source.name}" + (f" on {page.address}" if page else ""))
            _say("Ctrl-C ends")
            self._follow(source, session, announcer, page, model.card.ready_after)
        if self._never is not None:
            raise UnreadableVideoError(source.name, self._never)

    def _announcer(self, stack: ExitStack) -> Announcer:
        """Who hears of events: the summary, and what the options name."""
        from actionstream.live.announcer import Announcer
        from actionstream.live.events import CommandRunner, EventLog

        listeners: list[Callable[[ActionEvent], object]] = [self._hear]
        if self._args.events is not None:
            listeners.append(stack.enter_context(EventLog(self._args.events)).write)
        if self._command is not None:
            runner = CommandRunner(self._command)
            stack.callback(runner.close)
            listeners.append(runner.start)

        def tell(event: ActionEvent) -> None:
            for listener in listeners:
                listener(event)

        return Announcer(see=self._see, tell=tell)

    def _open_source(self, announcer: Announcer) -> LiveSource:
        from actionstream.video.source import LiveSource

        def note(state: str, detail: str) -> None:
            self._note(state, detail)
            if state == "lost":
                announcer.lost()

        self._source = LiveSource(
            self._args.source,
            size=self._args.size,
            frame_rate=self._args.rate,
            threads=self._args.threads,
            on_state=note,
        )
        return self._source

    def _note(self, state: str, detail: str) -> None:
        """The connection changed; called from the source's thread."""
        if state == "closed":
            return
        self._state = f"{state}: {detail}" if detail else state
        _say(self._state)
        source = self._source
        if state == "lost" and source is not None and source.connections == 0:
            self._tries += 1
            if self._tries >= FIRST_TRIES:
                self._never = detail.rpartition("; again in")[0] or detail
                source.close()

    def _follow(
        self,
        source: LiveSource,
        session: Session,
        announcer: Announcer,
        page: LivePage | None,
        looks_needed: int,
    ) -> None:
        from actionstream.cli.camera_view import CameraView, SharedPicture, page_status
        from actionstream.errors import FrameError

        converter = threading.Lock()
        with ExitStack() as stack:
            view: CameraView | None = None
            if page is not None:
                page.tell_by(lambda: page_status(self._state, session, looks_needed))
                view = stack.enter_context(CameraView(page, session, looks_needed))
            for frame in source:
                picture = SharedPicture(frame, converter)
                try:
                    session.offer(picture, frame.time_seconds)
                except FrameError as error:  # one picture that FFmpeg could not convert
                    _log.warning("%s: %s", source.name, error)
                announcer.check()
                if view is not None:
                    view.check()
                    view.offer(picture)

    def _see(self, reading: Reading) -> None:
        """Print a line when what is shown changes (only with --text)."""
        if not self._args.text or reading.status != "ready":
            return
        words = _words(reading.shown)
        if words != self._printed:
            self._printed = words
            share = "" if reading.shown is None else f"  {reading.shown_confidence:.0%}"
            print(f"{reading.time_seconds:8.1f} s  {words}{share}", flush=True)

    def _hear(self, event: ActionEvent) -> None:
        if event.kind == "end":
            self._seen.append(event)
            self._count += 1

    def _remember_figures(self, session: Session) -> None:
        from actionstream.cli.camera_view import figures

        if session.statistics().frames_offered:
            self._figures = figures(session)

    def summarise(self) -> None:
        """What was seen on stdout (with --text it is there already), figures on stderr."""
        if not self._args.text:
            for event in self._seen:
                end = event.start_seconds if event.end_seconds is None else event.end_seconds
                span = f"{event.start_seconds:8.1f} to {end:.1f} s"
                print(f"{span}  {_words(event.label)}  {event.confidence:.0%}")
        if self._figures:
            _say(f"{self._count} action{'' if self._count == 1 else 's'} seen; {self._figures}")


def _words(label: str | None) -> str:
    from actionstream.cli.camera_view import UNKNOWN
    from actionstream.draw import spoken

    return UNKNOWN if label is None else spoken(label)


def _open_page(port: int) -> LivePage:
    from actionstream.errors import ActionstreamError
    from actionstream.live.page import LivePage

    try:
        return LivePage(port)
    except OSError as error:
        raise ActionstreamError(
            f"the page cannot listen on port {port} ({error.strerror}); choose another --port"
        ) from None


@contextmanager
def _end_after(seconds: float | None, source: LiveSource) -> Iterator[None]:
    """Close the source when the time is over."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, source.close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)

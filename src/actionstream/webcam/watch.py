"""One watching of a camera by `actionstream webcam`: connect, show, tell, sum up."""

from __future__ import annotations

import argparse
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from actionstream.bundle.card import Card
from actionstream.draw import percent, spoken
from actionstream.draw.labels import UNKNOWN
from actionstream.errors import ActionstreamError, FrameError, UnreadableVideoError
from actionstream.live.session import Session
from actionstream.live.worker import Worker
from actionstream.recognizer import Recognizer
from actionstream.results import Reading
from actionstream.video.source import LiveSource
from actionstream.webcam.announcer import Announcer
from actionstream.webcam.commands import CommandRunner
from actionstream.webcam.events import ActionEvent, EventLog
from actionstream.webcam.page import LivePage
from actionstream.webcam.view import (
    CameraView,
    SharedPicture,
    figures,
    page_status,
    slow_words,
)

FIRST_TRIES = 3
"""A source that never gave a picture in this many tries is a mistake, not a hiccup."""
MOST_REMEMBERED = 200
"""Actions listed at the end at most: the newest."""

_log = logging.getLogger(__name__)


class CameraWatch:
    """One watching of one source.

    Args:
        args: the verb's.
        command: the words of `--on-action`, if it was given.
    """

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
        self._too_slow = False
        self._zero = time.monotonic()  # of the source's clock, which goes on while it is lost

    def run(self, model: Recognizer) -> None:
        """Watch until the source or the time ends.

        Raises:
            VideoError: there was never a picture, or the source cannot go on.
            ActionstreamError: the page's port is taken.
            OSError: the events' file cannot be written.
        """
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
            self._follow(source, session, announcer, page, model.card)
        if self._never is not None:
            raise UnreadableVideoError(source.name, self._never)

    def _announcer(self, stack: ExitStack) -> Announcer:
        """Who hears of events: the summary, and what the options name."""

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
        source = self._source
        if state == "lost" and source is not None and source.connections == 0:
            self._tries += 1
            if self._tries >= FIRST_TRIES:
                self._never = detail.rpartition("; again in")[0] or detail
                source.close()
                return
        self._state = f"{state}: {detail}" if detail else state
        _say(self._state)

    def _follow(
        self,
        source: LiveSource,
        session: Session,
        announcer: Announcer,
        page: LivePage | None,
        card: Card,
    ) -> None:
        converter = threading.Lock()
        with ExitStack() as stack:
            view: CameraView | None = None
            if page is not None:
                page.tell_by(
                    lambda: page_status(self._state, session, card, time.monotonic() - self._zero)
                )
                view = stack.enter_context(CameraView(page, session, card.ready_after))
            for frame in source:
                picture = SharedPicture(frame, converter)
                try:
                    session.offer(picture, frame.time_seconds)
                except FrameError as error:  # one picture that FFmpeg could not convert
                    _log.warning("%s: %s", source.name, error)
                self._zero = time.monotonic() - frame.time_seconds
                announcer.check()
                self._notice_slowness(session, announcer, card)
                if view is not None:
                    view.check()
                    view.offer(picture)

    def _notice_slowness(self, session: Session, announcer: Announcer, card: Card) -> None:
        """Say it once, whenever it begins; what went on until then is over."""
        too_slow = session.too_slow
        if too_slow and not self._too_slow:
            _say(slow_words(card))
            announcer.lost()
        self._too_slow = too_slow

    def _see(self, reading: Reading) -> None:
        """Print a line when what is shown changes (only with --text)."""
        if not self._args.text or reading.status != "ready":
            return
        words = _words(reading.shown)
        if words != self._printed:
            self._printed = words
            share = "" if reading.shown is None else f"  {percent(reading.shown_confidence)}"
            print(f"{reading.time_seconds:8.1f} s  {words}{share}", flush=True)

    def _hear(self, event: ActionEvent) -> None:
        if event.kind == "end":
            self._seen.append(event)
            self._count += 1

    def _remember_figures(self, session: Session) -> None:
        if session.statistics().frames_offered:
            self._figures = figures(session)

    def summarise(self) -> None:
        """What was seen on stdout (with --text it is there already), figures on stderr."""
        if not self._args.text:
            for event in self._seen:
                end = event.start_seconds if event.end_seconds is None else event.end_seconds
                span = f"{event.start_seconds:8.1f} to {end:.1f} s"
                print(f"{span}  {_words(event.label)}  {percent(event.confidence)}")
        if self._figures:
            _say(f"{self._count} action{'' if self._count == 1 else 's'} seen; {self._figures}")


def _words(label: str | None) -> str:
    return UNKNOWN if label is None else spoken(label)


def _open_page(port: int) -> LivePage:
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

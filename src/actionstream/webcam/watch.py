"""One watching of a camera by `actionstream webcam`: connect, show, tell, sum up."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from actionstream.bundle.card import Card
from actionstream.draw import display_name, percent
from actionstream.errors import ActionstreamError, FrameError, UnreadableVideoError
from actionstream.live import Session, Worker
from actionstream.recognizer import Recognizer
from actionstream.results import Reading
from actionstream.video.source import LiveSource
from actionstream.webcam.events import ActionEvent, Announcer, CommandRunner, EventLog
from actionstream.webcam.page import LivePage
from actionstream.webcam.view import (
    CameraView,
    SharedFrame,
    figures,
    page_status,
    slow_words,
)

FIRST_TRIES = 3
"""A source that never gave a picture in this many tries is a mistake, not a hiccup."""
MOST_REMEMBERED = 200
"""Actions listed at the end at most: the newest."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """What to watch and what to do with it.

    port:    the page's; None for no page, then a line is printed whenever the action changes.
    size, frame_rate: what the camera is asked for.
    events:  a file to which each begin and end is appended.
    command: the words of a program that is run at each begin and end.
    record:  an MP4 of the pictures with the answer on them.
    seconds: how long to watch.
    skeleton: draw the person's pose on the pictures.
    """

    source: str
    port: int | None
    size: tuple[int, int] | None = None
    frame_rate: float | None = None
    threads: int | None = None
    events: Path | None = None
    command: tuple[str, ...] | None = None
    record: Path | None = None
    seconds: float | None = None
    skeleton: bool = False


class CameraWatch:
    """One watching of one source."""

    def __init__(self, options: WatchOptions) -> None:
        self._options = options
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
            ActionstreamError: the page's port is taken, or the recording cannot be written.
            OSError: the events' file cannot be written.
        """
        options, card = self._options, model.card
        with ExitStack() as stack:
            page = None if options.port is None else stack.enter_context(_open_page(options.port))
            announcer = stack.enter_context(self._announcer(stack))
            worker = stack.enter_context(Worker(model, max_batch=1, max_sessions=1))
            session = stack.enter_context(worker.open(on_reading=announcer.push))
            stack.callback(self._remember_figures, session)
            source = stack.enter_context(self._open_source(announcer))
            if options.seconds is not None:
                timer = threading.Timer(options.seconds, source.close)
                timer.daemon = True
                timer.start()
                stack.callback(timer.cancel)
            _say(f"watching {source.name}" + (f" on {page.address}" if page else ""))
            _say("Ctrl-C ends")
            if page is not None:
                page.make_status = lambda: page_status(
                    self._state, session, card, time.monotonic() - self._zero
                )
            view = stack.enter_context(
                CameraView(
                    session,
                    card.ready_after,
                    page=page,
                    recording=options.record,
                    skeleton=options.skeleton,
                )
            )
            self._follow(source, session, announcer, view, card)
        if self._never is not None:
            raise UnreadableVideoError(source.name, self._never)

    def _announcer(self, stack: ExitStack) -> Announcer:
        """Who hears of events: the summary, and what the options name."""
        listeners: list[Callable[[ActionEvent], object]] = [self._hear]
        if self._options.events is not None:
            listeners.append(stack.enter_context(EventLog(self._options.events)).write)
        if self._options.command is not None:
            listeners.append(stack.enter_context(CommandRunner(self._options.command)).start)

        def tell(event: ActionEvent) -> None:
            for listener in listeners:
                listener(event)

        return Announcer(see=self._see, tell=tell)

    def _open_source(self, announcer: Announcer) -> LiveSource:
        self._source = LiveSource(
            self._options.source,
            size=self._options.size,
            frame_rate=self._options.frame_rate,
            threads=self._options.threads,
            on_state=partial(self._note, announcer),
        )
        return self._source

    def _note(self, announcer: Announcer, state: str, detail: str) -> None:
        """The connection changed; called from the source's thread."""
        if state == "closed":
            return
        if state == "lost":
            announcer.lost()
            source = self._source
            self._tries += source is not None and source.connections == 0
            if source is not None and self._tries >= FIRST_TRIES and source.connections == 0:
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
        view: CameraView,
        card: Card,
    ) -> None:
        converter = threading.Lock()
        for decoded in source:
            frame = SharedFrame(decoded, converter)
            try:
                session.offer(frame)
            except FrameError as error:  # one picture that FFmpeg could not convert
                _log.warning("%s: %s", source.name, error)
            self._zero = time.monotonic() - frame.time_seconds
            self._notice_slowness(session, announcer, card)
            announcer.check()
            view.check()
            view.offer(frame)

    def _notice_slowness(self, session: Session, announcer: Announcer, card: Card) -> None:
        """Say it once, whenever it begins; what went on until then is over."""
        too_slow = session.too_slow
        if too_slow and not self._too_slow:
            _say(slow_words(card))
            announcer.lost()
        self._too_slow = too_slow

    def _see(self, reading: Reading) -> None:
        """Print a line when what is shown changes (only where there is no page)."""
        if self._options.port is not None or reading.status != "ready":
            return
        words = display_name(reading.shown)
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
        """What was seen on stdout (without a page it is there already), figures on stderr."""
        if self._options.port is not None:
            for event in self._seen:
                end = event.start_seconds if event.end_seconds is None else event.end_seconds
                span = f"{event.start_seconds:8.1f} to {end:.1f} s"
                print(f"{span}  {display_name(event.label)}  {percent(event.confidence)}")
        if self._figures:
            _say(f"{self._count} action{'' if self._count == 1 else 's'} seen; {self._figures}")
        record = self._options.record
        if record is not None:
            _say(f"recorded in {record}" if record.exists() else "no picture, nothing recorded")


def _open_page(port: int) -> LivePage:
    try:
        return LivePage(port)
    except OSError as error:
        raise ActionstreamError(
            f"the page cannot listen on port {port} ({error.strerror}); choose another --port"
        ) from None


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)

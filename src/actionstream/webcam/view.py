"""The picture and the words that `actionstream webcam` shows on its page."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from actionstream.bundle.card import Card
from actionstream.draw import enlarge, spoken
from actionstream.draw.annotate import draw
from actionstream.draw.labels import UNKNOWN, colour_of
from actionstream.live.session import Session
from actionstream.results import Pixels, Reading, Segment
from actionstream.video.picture import DecodedFrame
from actionstream.video.still import encode_jpeg
from actionstream.webcam.page import LivePage

MOST_PICTURES_PER_SECOND = 25
"""More than this costs processor time that the model can use better."""


MINUTE_SECONDS = 60.0
SLOW, NO_PICTURE = "too slow for an answer", "waiting for a picture"


class SharedPicture:
    """A frame's RGB, made at most once and only when somebody asks, from any thread.

    All frames of a source share `lock`, because they share one converter.
    """

    def __init__(self, frame: DecodedFrame, lock: threading.Lock) -> None:
        self._frame, self._lock = frame, lock
        self._pixels: Pixels | None = None

    def __call__(self) -> Pixels:
        with self._lock:
            if self._pixels is None:
                self._pixels = self._frame.to_rgb()
            return self._pixels


class CameraView:
    """Draws the newest reading on the newest picture, for whoever watches the page.

    In a thread of its own with one slot, so that a large picture holds up nothing but itself.
    What goes wrong in it is raised by `check`.
    """

    def __init__(self, page: LivePage, session: Session, looks_needed: int) -> None:
        self._page, self._session, self._looks_needed = page, session, looks_needed
        self._news = threading.Condition()
        self._slot: Callable[[], Pixels] | None = None
        self._closing = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="actionstream-view", daemon=True)
        self._thread.start()

    def offer(self, picture: Callable[[], Pixels]) -> None:
        """This is the newest picture."""
        if self._page.viewers == 0:
            return
        with self._news:
            self._slot = picture
            self._news.notify()

    def check(self) -> None:
        """Raise what went wrong in the thread."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def close(self) -> None:
        with self._news:
            self._closing = True
            self._news.notify()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        try:
            while self._show_next():
                pass
        except Exception as error:  # noqa: BLE001  handed back by `check`
            self._error = error

    def _show_next(self) -> bool:
        with self._news:
            self._news.wait_for(lambda: self._slot is not None or self._closing)
            picture, self._slot = self._slot, None
            if self._closing or picture is None:
                return False
        began = time.monotonic()
        self._page.show(encode_jpeg(self._annotated(picture())))
        spare = 1 / MOST_PICTURES_PER_SECOND - (time.monotonic() - began)
        if spare > 0:
            time.sleep(spare)
        return True

    def _annotated(self, pixels: Pixels) -> Pixels:
        reading, pixels = self._session.latest, enlarge(pixels)
        if reading is None or self._session.too_slow:
            return pixels
        return draw(pixels, reading, looks_needed=self._looks_needed)


def page_status(state: str, session: Session, card: Card, now_seconds: float) -> dict[str, Any]:
    """What the page says beside the picture, as its script expects it.

    Args:
        state: the connection's, as `CameraWatch` words it: "connected: ..." while pictures come.
        now_seconds: this moment on the clock of the session's stream.
    """
    reading, live = session.latest, state.startswith("connected")
    if session.too_slow:
        headline, state, reading = SLOW, slow_words(card), None
    elif not live:  # an answer to a picture of long ago is none
        headline, reading = NO_PICTURE, None
    else:
        headline = _headline(reading, card.ready_after)
    return {
        "headline": headline,
        "shown": None if reading is None else reading.shown,
        "confidence": 0.0 if reading is None else reading.shown_confidence,
        "top": [
            {
                "label": spoken(candidate.label),
                "confidence": candidate.confidence,
                "shown": candidate.label == (reading.shown if reading else None),
            }
            for candidate in (reading.top(3) if reading else [])
        ],
        "live": live,
        "state": state,
        "figures": _figure_pairs(session),
        "minute": _minute(session.segments(), now_seconds),
    }


def _headline(reading: Reading | None, looks_needed: int) -> str:
    if reading is None:
        return NO_PICTURE
    if reading.status == "warming_up":
        return f"warming up {min(reading.looks_seen, looks_needed)}/{looks_needed}"
    return UNKNOWN if reading.shown is None else spoken(reading.shown)


def _figure_pairs(session: Session) -> list[tuple[str, str]]:
    counts = session.statistics()
    return [
        ("Camera", f"{counts.frames_per_second:.0f}/s"),
        ("Answers", f"{counts.readings_per_second:.1f}/s"),
        ("Age of the answer", f"{1000 * counts.age_p50_seconds:.0f} ms"),
        ("Looks dropped", f"{counts.looks_dropped}"),
    ]


def _minute(segments: Sequence[Segment], now_seconds: float) -> list[dict[str, Any]]:
    """The segments of the last minute as parts of it: 0 is a minute ago, 1 is now."""
    start = now_seconds - MINUTE_SECONDS
    return [
        {
            "label": UNKNOWN if part.label is None else spoken(part.label),
            "colour": "rgb({} {} {})".format(*colour_of(part.label)),
            "from": max((part.start_seconds - start) / MINUTE_SECONDS, 0.0),
            "to": min((part.end_seconds - start) / MINUTE_SECONDS, 1.0),
        }
        for part in segments
        if part.end_seconds > start
    ]


def slow_words(card: Card) -> str:
    """That this computer cannot answer with this model, and what may help."""
    return (
        f"this computer is too slow for the model {card.name}: no look is done within "
        f"{card.reset_after_seconds:.1f} s, so there is no answer; a smaller model (--model) or "
        "fewer programs beside it may help"
    )


def figures(session: Session) -> str:
    """The rates and the age of the answer over the whole session, in one line."""
    counts = session.statistics()
    late = f", reset {counts.late_resets} times for slowness" if counts.late_resets else ""
    return (
        f"camera {counts.mean_frames_per_second:.0f}/s, "
        f"answers {counts.mean_readings_per_second:.1f}/s over {counts.seconds:.0f} s, "
        f"{1000 * counts.age_mean_seconds:.0f} ms old, {counts.looks_dropped} looks dropped{late}"
    )

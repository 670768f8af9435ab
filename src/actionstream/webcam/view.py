"""The picture and the words that `actionstream webcam` shows on its page and records."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actionstream.bundle.card import Card
from actionstream.concurrency import Background, Latest
from actionstream.draw import display_name, enlarge
from actionstream.draw.annotate import Overlay
from actionstream.draw.labels import colour_of
from actionstream.live import Session
from actionstream.results import Pixels, Reading, Segment
from actionstream.video import VideoWriter
from actionstream.video.picture import DecodedFrame, encode_jpeg
from actionstream.webcam.page import LivePage

MOST_PICTURES_PER_SECOND = 25
"""More than this costs processor time that the model can use better."""

MINUTE_SECONDS = 60.0
SLOW, NO_PICTURE = "too slow for an answer", "waiting for a picture"


class SharedFrame:
    """A frame whose RGB is made at most once and only when somebody asks, from any thread.

    All frames of a source share `lock`, because they share one converter.
    """

    def __init__(self, frame: DecodedFrame, lock: threading.Lock) -> None:
        self.time_seconds = frame.time_seconds
        self._frame, self._lock = frame, lock
        self._pixels: Pixels | None = None

    def to_rgb(self) -> Pixels:
        """RGB uint8 [H, W, 3]."""
        with self._lock:
            if self._pixels is None:
                self._pixels = self._frame.to_rgb()
            return self._pixels


class CameraView(Background):
    """Draws the newest reading on the newest picture, for the page's viewers and a recording.

    In a thread of its own with one place for a frame, so that a large picture holds up nothing but
    itself. What goes wrong in it is raised by `check` and by `close`.

    Args:
        page: where pictures are shown; None for nowhere.
        recording: the MP4 to write; None for none. It appears when the view is closed.
        skeleton: draw the person's pose, too.
    """

    def __init__(
        self,
        session: Session,
        looks_needed: int,
        *,
        page: LivePage | None = None,
        recording: Path | None = None,
        skeleton: bool = False,
    ) -> None:
        self._session = session
        self._page, self._recording = page, recording
        self._writer: VideoWriter | None = None
        self._overlay = Overlay(looks_needed, skeleton=skeleton)
        self._frames: Latest[SharedFrame] = Latest()
        super().__init__("actionstream-view")

    def offer(self, frame: SharedFrame) -> None:
        """This is the newest frame."""
        if self._is_watched() or self._recording is not None:
            self._frames.put(frame)

    def _is_watched(self) -> bool:
        return self._page is not None and self._page.viewers > 0

    def close(self) -> None:
        """End the thread and give the recording its name."""
        self._frames.close()
        self._thread.join()
        if self._writer is not None:
            self._writer.close()
        self.check()

    def _work(self) -> None:
        while (frame := self._frames.take()) is not None:
            began = time.monotonic()
            self._show(frame)
            time.sleep(max(1 / MOST_PICTURES_PER_SECOND - (time.monotonic() - began), 0.0))

    def _show(self, frame: SharedFrame) -> None:
        picture = self._annotated(frame.to_rgb())
        if self._recording is not None:
            self._record(picture, frame.time_seconds, self._recording)
        if self._page is not None and self._is_watched():
            self._page.show(encode_jpeg(picture))

    def _record(self, picture: Pixels, time_seconds: float, path: Path) -> None:
        """Add the picture; the first one decides how large the video is."""
        if self._writer is None:
            height, width = picture.shape[:2]
            self._writer = VideoWriter(
                path, width=width, height=height, frame_rate=MOST_PICTURES_PER_SECOND
            )
        self._writer.write(picture, time_seconds)

    def _annotated(self, pixels: Pixels) -> Pixels:
        reading, pixels = self._session.latest, enlarge(pixels)
        if reading is None or self._session.too_slow:
            return pixels
        return self._overlay.draw(pixels, reading)


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
        "top": [] if reading is None else _candidates(reading),
        "live": live,
        "state": state,
        "figures": _figure_pairs(session),
        "minute": _minute(session.segments(), now_seconds),
    }


def _candidates(reading: Reading) -> list[dict[str, Any]]:
    return [
        {
            "label": display_name(candidate.label),
            "confidence": candidate.confidence,
            "shown": candidate.label == reading.shown,
        }
        for candidate in reading.shown_top(3)
    ]


def _headline(reading: Reading | None, looks_needed: int) -> str:
    if reading is None:
        return NO_PICTURE
    if reading.status == "warming_up":
        return f"warming up {min(reading.looks_seen, looks_needed)}/{looks_needed}"
    return display_name(reading.shown)


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
            "label": display_name(part.label),
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

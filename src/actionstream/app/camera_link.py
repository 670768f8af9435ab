"""A visitor's camera: WebRTC frames in, the same frames with the last reading drawn on them out.

The WebRTC thread calls `recv` frame by frame. Nothing here waits for the model: the newest frame
goes to the session's slot, the newest reading comes from it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from streamlit_webrtc import VideoProcessorBase

from actionstream.draw.annotate import Overlay
from actionstream.errors import ActionstreamError, BusyError
from actionstream.live import Session, SessionStatistics
from actionstream.results import Reading, Segment
from actionstream.video import fitted, from_webrtc, to_webrtc

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

LinkState = Literal["waiting", "running", "busy", "failed", "ended"]
"""Before the first frame; being served; no place free; the model failed; the camera is gone."""

BUSY_RETRY_SECONDS = 2.0
"""How often a camera without a place asks for one again."""

SHOWN_SECONDS = 0.5
"""How long a reading is shown at least: page and picture say the same, and figures can be read."""

MOST_PIXELS = 1280 * 720
"""Larger frames are shrunk to this at once; the page asks for 480x360."""

STILL_PIXELS = 160 * 120
STILL_SECONDS = 2.0
"""How small, and for how long the same, the picture is that a camera without a place gets back."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Minute:
    """The last minute of a camera: its readings, what was shown, and when it ended (or now)."""

    readings: tuple[Reading, ...] = ()
    segments: tuple[Segment, ...] = ()
    end_seconds: float = 0.0


class CameraLink:
    """One camera on one model. All methods are safe from any thread.

    The session is opened at the first frame and closed by `end` (the connection is gone) or
    `pause` (the visitor's page is gone, perhaps for a moment).
    """

    def __init__(
        self,
        open_session: Callable[[], Session],
        looks_needed: int,
        *,
        mirror: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open, self._clock = open_session, clock
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._paused = False
        self._state: LinkState = "waiting"
        self._asked = float("-inf")
        self._created = clock()
        self._ended: float | None = None
        self._newest: float | None = None
        self._small: tuple[float, VideoFrame] | None = None
        self._shown: tuple[float, Reading] | None = None
        self._kept = Minute()
        self.overlay = Overlay(looks_needed)
        """How the picture goes back. The model sees it as the camera does, never mirrored."""
        self.overlay.mirror = mirror
        self.size: tuple[int, int] | None = None
        """Width and height of the newest frame in pixels."""

    def recv(self, frame: VideoFrame) -> VideoFrame:
        """Offer one frame and return it with the newest reading drawn on it."""
        self.size, self._newest = (frame.width, frame.height), self.now_seconds
        session = self._serving()
        if session is None:
            return self._still(frame) if self._state == "busy" else frame
        frame = fitted(frame, MOST_PIXELS)
        pixels = from_webrtc(frame)
        try:
            session.offer(pixels, self.now_seconds)
            reading = self._next_shown(session.latest)
            if session.too_slow:  # an older answer would be wrong, "warming up" would not be true
                return frame
        except ActionstreamError:
            _log.exception("a live stream failed")
            self._leave("failed")
            return frame
        return to_webrtc(self.overlay.draw(pixels, reading), frame)

    def _next_shown(self, latest: Reading | None) -> Reading | None:
        """The reading to show: another one after SHOWN_SECONDS, at once if it says something else.

        `latest` is None before the first look and after a reset.
        """
        now, before = self.now_seconds, self._shown
        if latest is None:
            self._shown = None
        elif (
            before is None
            or now - before[0] >= SHOWN_SECONDS
            or (latest.status, latest.shown) != (before[1].status, before[1].shown)
        ):
            self._shown = now, latest
        return None if self._shown is None else self._shown[1]

    def _still(self, frame: VideoFrame) -> VideoFrame:
        """A small picture, a new one now and then: who waits shall cost the others little.

        Something has to go back for each frame, but the same again is almost free to encode.
        """
        if self._small is None or self.now_seconds - self._small[0] >= STILL_SECONDS:
            self._small = self.now_seconds, fitted(frame, STILL_PIXELS)
        return self._small[1]

    def _serving(self) -> Session | None:
        """The open session; opened now if there is none, None if that cannot be."""
        with self._lock:
            if self._paused or self._state in ("ended", "failed"):
                return None
            now = self.now_seconds
            if self._session is None and now - self._asked >= BUSY_RETRY_SECONDS:
                self._asked = now
                try:
                    self._session, self._state = self._open(), "running"
                except BusyError:
                    self._state = "busy"
                except (ActionstreamError, KeyError):  # the owner's bundle broke or went away
                    _log.exception("a live stream could not begin")
                    self._state = "failed"
            return self._session

    @property
    def state(self) -> LinkState:
        with self._lock:
            return self._state

    @property
    def is_serving(self) -> bool:
        """Whether pictures have come and the link is not ended: it has a place or wants one."""
        return self.state in ("running", "busy")

    @property
    def silent_seconds(self) -> float:
        """How long the first frame was, or has been, waited for; 0 once there was one."""
        if self.size is not None:
            return 0.0
        return (self.now_seconds if self._ended is None else self._ended) - self._created

    @property
    def stalled_seconds(self) -> float:
        """How long no frame has come after the newest one; 0 before the first."""
        return 0.0 if self._newest is None else self.now_seconds - self._newest

    @property
    def shown(self) -> Reading | None:
        """The reading that stands on the picture; None before the first one and after the end."""
        return None if self._session is None or self._shown is None else self._shown[1]

    def minute(self) -> Minute:
        """The last minute, in seconds of the camera's own clock; after the end, that before it."""
        session = self._session
        if session is None:
            return self._kept
        return Minute(session.history(), session.segments(), self.now_seconds)

    @property
    def now_seconds(self) -> float:
        """The time of this moment on the camera's own clock."""
        return self._clock()

    def statistics(self) -> SessionStatistics:
        session = self._session
        return SessionStatistics() if session is None else session.statistics()

    @property
    def too_slow(self) -> bool:
        """Whether the model takes so long on this server that there will be no answer."""
        session = self._session
        return session is not None and session.too_slow

    def pause(self) -> None:
        """Give the place back until `resume`; frames pass untouched meanwhile."""
        with self._lock:
            self._paused = True
        self._leave("waiting")

    def resume(self) -> None:
        with self._lock:
            self._paused = False
            self._asked = float("-inf")

    def end(self) -> None:
        """Give the place back for good and keep the last minute. Harmless twice."""
        if self._ended is None:
            self._ended = self.now_seconds
        self._leave("ended")

    def _leave(self, state: LinkState) -> None:
        with self._lock:
            session, self._session = self._session, None
            if self._state != "ended":
                self._state = state
        if session is not None:
            readings, segments = session.history(), session.segments()
            if readings:
                self._kept = Minute(readings, segments, readings[-1].time_seconds)
            self._shown = None
            session.close()


class LinkProcessor(VideoProcessorBase):
    """What streamlit-webrtc asks for: hands frames to the link and never waits."""

    def __init__(self, link: CameraLink) -> None:
        self._link = link

    async def recv_queued(self, frames: list[VideoFrame]) -> list[VideoFrame]:
        """All frames since the last call; exactly one goes back, or frames would pile up."""
        return [self._link.recv(frames[-1])]

    def on_ended(self) -> None:
        """The camera's track has ended."""
        self._link.end()

"""A camera or a network stream: the newest frame, now, and again after it was lost."""

from __future__ import annotations

import errno
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from typing import Literal

import av
from av.container import InputContainer

from actionstream.concurrency import Closing, Latest
from actionstream.errors import (
    NoFramesError,
    UnreadableVideoError,
    UnsupportedVideoError,
    VideoError,
    VideoNotFoundError,
    VideoTimeoutError,
    VideoTooLargeError,
)
from actionstream.video.address import LiveAddress, parse_address
from actionstream.video.decoding import Decoder
from actionstream.video.mjpeg import Pictures
from actionstream.video.opening import Limits, choose_video
from actionstream.video.picture import Converter, DecodedFrame

log = logging.getLogger(__name__)

LiveState = Literal["connecting", "connected", "lost", "closed"]
StateCallback = Callable[[LiveState, str], None]

LIVE_LIMITS = Limits(
    open_timeout_seconds=10.0, read_timeout_seconds=5.0, max_consecutive_read_errors=3
)
CLOSE_PATIENCE_SECONDS = 0.5  # `close` waits this long for the thread; it ends by itself anyway
ANALYSE_MICROSECONDS = "1000000"  # FFmpeg looks at a stream for 5 s before it starts, by default

_CAUSES = {
    errno.ECONNREFUSED: "connection refused: nothing listens there",
    errno.EBUSY: "the camera is busy: another program uses it",
    errno.EHOSTUNREACH: "the host cannot be reached",
    errno.ENETUNREACH: "the network cannot be reached",
}
_REFUSALS = (av.error.InvalidDataError, av.error.ArgumentError)
_REFUSED = (
    "not a stream that is read (playlists such as HLS and DASH, and other formats, are refused)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before the next try: doubled each time, with jitter, never over a cap.

    `max_attempts` failed tries in a row end the source, None: it goes on for ever.
    """

    first_seconds: float = 0.5
    max_seconds: float = 30.0
    jitter: float = 0.2  # share by which a delay is shortened or lengthened at random
    max_attempts: int | None = None

    def delay_seconds(self, attempt: int, chance: float) -> float:
        """Seconds before try number `attempt` (1 is the first repetition); chance is 0 to 1."""
        # The cap is on what comes out; a plain minimum would let half of all tries fall together.
        most = self.max_seconds / (1 + self.jitter)
        delay = min(most, self.first_seconds * 2.0 ** min(attempt - 1, 30))
        return min(self.max_seconds, delay * (1 + self.jitter * (2 * chance - 1)))


class LiveSource(Closing):
    """Iterates over a camera or a stream; always hands out the newest frame.

    ::

        with LiveSource("rtsp://camera.local/stream") as source:
            for frame in source:
                print(frame.time_seconds)

    A thread of its own reads and decodes into one slot: a frame that nobody took before the next
    one came is dropped and counted in `frames_dropped`. `time_seconds` is this machine's
    monotonic clock since the first frame, and goes on through a reconnection. When the stream
    ends or fails it is opened again after a back-off. `on_state` is called from that thread with
    "connecting", "connected", "lost" and, once, "closed", and with words for people.
    `close` may be called from any thread: the iteration ends at once.

    Addresses are those of `parse_address`. User, password and query never show in a message.

    Raises:
        UnsupportedVideoError: at birth, an address of no known kind.
        VideoError: while iterating: the last failure, when `backoff.max_attempts` are used up;
            VideoTooLargeError at once, and UnsupportedVideoError (a playlist, a format or codec
            that is not read) if it never gave a picture.
    """

    def __init__(
        self,
        address: str,
        *,
        size: tuple[int, int] | None = None,
        frame_rate: float | None = None,
        rtsp_transport: Literal["tcp", "udp"] = "tcp",
        backoff: Backoff | None = None,
        limits: Limits = LIVE_LIMITS,
        threads: int | None = None,
        on_state: StateCallback | None = None,
    ) -> None:
        self._address = parse_address(
            address, size=size, frame_rate=frame_rate, rtsp_transport=rtsp_transport
        )
        self.frames_read = 0
        self.frames_dropped = 0
        self.connections = 0
        self.corrupt_packets = 0
        self._backoff = backoff or Backoff()
        self._limits = limits
        self._threads = threads
        self._on_state = on_state
        self._started_at: float | None = None
        self._stop = threading.Event()
        self._newest: Latest[DecodedFrame] = Latest()
        self._as_pictures = False  # whether FFmpeg refused what a browser would show
        self._thread = threading.Thread(
            target=self._run, name=f"live {self._address.shown}", daemon=True
        )

    @property
    def name(self) -> str:
        """The address as it may be shown."""
        return self._address.shown

    def __iter__(self) -> Iterator[DecodedFrame]:
        return self

    def __next__(self) -> DecodedFrame:
        """Wait for a frame that was not handed out yet."""
        if self._thread.ident is None and not self._stop.is_set():
            self._thread.start()
        frame = self._newest.take()
        if frame is None:
            raise StopIteration
        return frame

    def close(self) -> None:
        """End the iteration. The connection is let go of at the latest after the read timeout."""
        self._stop.set()
        self._newest.close()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(CLOSE_PATIENCE_SECONDS)

    def _run(self) -> None:
        """The thread: connect, read, wait, again. Whatever goes wrong in it goes to `__next__`."""
        error: BaseException | None = None
        try:
            error = self._connect_again_and_again()
        except BaseException as surprise:  # noqa: BLE001  handed to the thread that iterates
            error = surprise
        try:
            self._tell("closed", "" if error is None else str(error))
        except BaseException as surprise:  # noqa: BLE001  the callback's; the first error counts
            error = error or surprise
        self._stop.set()
        self._newest.close(error)

    def _connect_again_and_again(self) -> VideoError | None:
        attempts = 0
        while not self._stop.is_set():
            self._tell("connecting", "" if attempts == 0 else f"try {attempts + 1}")
            frames_before = self.frames_read
            failure = self._read_one_connection()
            if self._stop.is_set():
                return None
            if self._is_final(failure):
                return failure
            attempts = 1 if self.frames_read > frames_before else attempts + 1
            if self._backoff.max_attempts is not None and attempts >= self._backoff.max_attempts:
                return failure
            delay = self._backoff.delay_seconds(attempts, random.random())
            self._tell("lost", f"{failure.cause}; again in {delay:.1f} s")
            self._stop.wait(delay)
        return None

    def _is_final(self, failure: VideoError) -> bool:
        """Whether another try would end the same. What once gave pictures may give them again."""
        if isinstance(failure, UnsupportedVideoError):
            return self.connections == 0
        return isinstance(failure, VideoTooLargeError)

    def _read_one_connection(self) -> VideoError:
        """Read until the stream ends, and say why it did."""
        if self._as_pictures:
            return self._read_pictures(None)
        refused = False
        try:
            with self._open() as container:
                failure = self._read(container)
        except VideoError as error:
            return error
        except (av.FFmpegError, OSError, ValueError) as error:
            failure, refused = explain_live(self._address, error), isinstance(error, _REFUSALS)
        # What FFmpeg cannot make a picture of, a browser may.
        refused = refused or isinstance(failure, NoFramesError)
        if refused and self._address.url.lower().startswith("http") and not self._stop.is_set():
            return self._read_pictures(failure)
        return failure

    def _open(self) -> InputContainer:
        options = dict(self._address.options)
        if self._address.kind == "network":
            options["analyzeduration"] = ANALYSE_MICROSECONDS
        return av.open(
            self._address.url,
            mode="r",
            format=self._address.format,
            container_options=options,
            metadata_errors="replace",
            timeout=(self._limits.open_timeout_seconds, self._limits.read_timeout_seconds),
        )

    def _read(self, container: InputContainer) -> VideoError:
        stream = choose_video(self.name, container, self._limits, live=True)
        decoder = Decoder(
            self.name, container, stream, threads=self._threads, limits=self._limits, live=True
        )
        return self._hand_out(decoder, Converter(stream.sample_aspect_ratio), stream.codec.name)

    def _read_pictures(self, failure: VideoError | None) -> VideoError:
        """Read as a browser would; `failure` is what FFmpeg said, if it was asked."""
        pictures = Pictures(self._address, self._limits, self._stop.wait)
        frames_before = self.frames_read
        try:
            ended = self._hand_out(pictures, Converter(), "mjpeg")
        except (UnsupportedVideoError, VideoTooLargeError) as error:
            return error
        except (VideoError, OSError, HTTPException, ValueError) as error:
            ended = explain_live(self._address, error)
        if failure is not None and self.frames_read == frames_before:
            return failure
        self._as_pictures = True
        return ended

    def _hand_out(self, read: Decoder | Pictures, converter: Converter, codec: str) -> VideoError:
        """Hand out frames until they end or it is to stop; why they ended."""
        before, first = self.corrupt_packets, True
        for frame in read.frames():
            if self._stop.is_set():
                break
            self.corrupt_packets = before + read.corrupt_packets
            now = time.monotonic()
            if first:
                self.connections += 1
                self._tell("connected", f"{frame.width}x{frame.height}, {codec}{read.remark}")
            if self._started_at is None:
                self._started_at = now
            first = False
            self.frames_read += 1
            shown = DecodedFrame(now - self._started_at, 0.0, frame, converter)
            self.frames_dropped += self._newest.put(shown)
        if first:
            return NoFramesError(self.name, "no frame could be decoded")
        return UnreadableVideoError(self.name, "the stream ended")

    def _tell(self, state: LiveState, detail: str) -> None:
        detail = self._address.redact(detail)
        log.info("%s: %s %s", self.name, state, detail)
        if self._on_state is not None:
            self._on_state(state, detail)


def explain_live(address: LiveAddress, error: BaseException) -> VideoError:
    """The error of this package for one of FFmpeg, without what must not be printed."""
    if isinstance(error, VideoError):
        return error
    name, code = address.shown, getattr(error, "errno", None)
    if isinstance(error, (av.error.ExitError, TimeoutError)):
        return VideoTimeoutError(name, "did not answer in time")
    if code == errno.ENOENT:
        return VideoNotFoundError(name, "there is no such camera")
    if isinstance(error, av.error.HTTPNotFoundError):
        return VideoNotFoundError(name, "the server knows no such stream")
    if isinstance(error, (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)):
        return UnreadableVideoError(name, "the server refuses this user or password")
    if isinstance(error, PermissionError):
        return UnreadableVideoError(name, "no permission to use it")
    if isinstance(error, av.error.InvalidDataError):
        return UnreadableVideoError(name, "what arrives is no video stream")
    if code == errno.EINVAL and address.kind == "network":  # FFmpeg on what is not whitelisted
        return UnsupportedVideoError(name, _REFUSED)
    words = _CAUSES.get(code or 0) or getattr(error, "strerror", None) or type(error).__name__
    return UnreadableVideoError(name, address.redact(str(words)))

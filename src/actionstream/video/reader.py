"""A video file as a stream of frames with their times."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

from av.video.frame import VideoFrame

from actionstream.errors import NoFramesError
from actionstream.video.decoding import Decoder
from actionstream.video.limits import DEFAULT_LIMITS, Limits
from actionstream.video.opening import choose_video, open_file
from actionstream.video.picture import Converter, DecodedFrame
from actionstream.video.probe import (
    VideoProbe,
    announced_end,
    describe,
    frame_seconds,
)

# How much may be missing at the end before a file counts as truncated: headers round, sound
# tracks run on. The loose pair is for containers that announce only the longest stream.
MISSING_SECONDS, MISSING_SHARE = 0.25, 0.02
MISSING_SECONDS_LOOSE, MISSING_SHARE_LOOSE = 1.0, 0.10
# A time that lies behind the announced end and jumps further than this from the last one is a
# flipped bit. A jump, since a header may announce too little: its later frames come step by step.
# Only where every packet carries its own time and the end is reckoned from all of them.
WILD_SECONDS, WILD_SHARE = 10.0, 0.5
# Matroska tells one time for a cluster of at most so many seconds (16 bits of milliseconds): wild
# times that go on for longer are no damage.
CLUSTER_SECONDS = 33.0
WILD_CONTAINERS = ("matroska", "flv", "mpegts", "mpeg")


class FrameClock:
    """Seconds since the first frame, for decoded frames.

    pts x time_base minus that of the first frame. A stream whose first frame has no pts is
    counted: index / average rate. A later frame without pts, or with one that jumps far behind
    the end that the container announces, comes one period after the last.
    """

    def __init__(
        self, frame_rate: float, time_base: Fraction | None, announced: float | None
    ) -> None:
        self._period = 1.0 / frame_rate
        self._announced = math.inf if announced is None else announced
        self._longest_jump = max(WILD_SECONDS, WILD_SHARE * self._announced)
        self._wild_since: float | None = None
        # The stream's, not the frame's: PyAV leaves it away on frames that a flush brings out.
        self._time_base = time_base
        self._first: int | None = None
        self._index = 0
        self._last = 0.0

    def time(self, frame: VideoFrame) -> float:
        if self._index == 0:
            self._first = frame.pts if self._time_base else None
        elif self._first is None:
            self._last = self._index * self._period
        else:
            self._last = self._stamp(frame)
        self._index += 1
        return self._last

    def _stamp(self, frame: VideoFrame) -> float:
        assert self._first is not None
        assert self._time_base is not None
        if frame.pts is not None:
            seconds = float((frame.pts - self._first) * self._time_base)
            if not self._is_wild(seconds):
                return seconds
        return self._last + self._period

    def _is_wild(self, seconds: float) -> bool:
        """Whether this time is damage, judged by the announced end and the times before it."""
        if seconds <= max(self._announced, self._last) + self._longest_jump:
            self._wild_since = None
            return False
        if self._wild_since is None or seconds < self._wild_since:
            self._wild_since = seconds
        return seconds <= self._wild_since + CLUSTER_SECONDS

    def duration(self, frame: VideoFrame) -> float:
        """Seconds for which the frame is shown; one period where the file does not say."""
        if frame.duration and self._time_base:
            longest = self._announced + self._longest_jump
            return min(float(frame.duration * self._time_base), longest)
        return self._period


class VideoReader:
    """Iterates over the frames of one file, once, in constant memory.

    ::

        with VideoReader("clip.mp4") as reader:
            for frame in reader:
                print(frame.time_seconds, frame.to_rgb().shape)

    `threads` is the number of decoding threads, by default the processors at hand (at most 8).
    Damage is skipped and counted in `corrupt_packets`; `truncated` says that clearly less came
    than the file announces, or that reading broke off. Both are final when the iteration ended,
    as are `frames_read` and `duration_seconds` (end of the last frame).

    Raises:
        VideoError: of the fitting kind, on opening; while iterating NoFramesError (not one frame
            could be decoded), VideoTooLargeError and VideoTimeoutError.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        threads: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.path = path
        self.frames_read = 0
        self.truncated = False
        self.duration_seconds = 0.0
        self._limits = limits
        self._container = open_file(path, limits=limits)
        try:
            self._stream = choose_video(path, self._container, limits)
            self._decoder = Decoder(
                path, self._container, self._stream, threads=threads, limits=limits
            )
        except BaseException:
            self._container.close()
            raise
        self._converter = Converter(self._stream.sample_aspect_ratio)
        self._clock: FrameClock | None = None
        self._end = announced_end(self._container, self._stream)
        self._first_seconds = 0.0  # of the first frame, on the file's own clock
        self._frames = self._decoder.frames()
        self._probe: VideoProbe | None = None
        self._waiting: VideoFrame | None = None  # the first frame, decoded early for the probe
        self._ended = False

    @property
    def probe(self) -> VideoProbe:
        """What the file is; decodes its first frame if that has not happened yet."""
        if self._probe is None:
            self._waiting = self._decode_first()
        assert self._probe is not None
        return self._probe

    @property
    def corrupt_packets(self) -> int:
        """Damaged packets met so far."""
        return self._decoder.corrupt_packets

    def __iter__(self) -> Iterator[DecodedFrame]:
        return self

    def __next__(self) -> DecodedFrame:
        if self._ended:
            raise StopIteration
        frame = self._next_frame()
        if frame is None:
            self._finish()
            raise StopIteration
        assert self._clock is not None
        time_seconds, duration = self._clock.time(frame), self._clock.duration(frame)
        self.frames_read += 1
        self.duration_seconds = max(self.duration_seconds, time_seconds + duration)
        return DecodedFrame(time_seconds, duration, frame, self._converter)

    def _next_frame(self) -> VideoFrame | None:
        if self._probe is None:
            return self._decode_first()
        frame, self._waiting = self._waiting, None
        return frame or next(self._frames, None)

    def _decode_first(self) -> VideoFrame:
        frame = next(self._frames, None)
        if frame is None:
            self._ended = True
            damaged = self.corrupt_packets
            cause = f" ({damaged} damaged packets)" if damaged else ""
            raise NoFramesError(self.path, f"no frame could be decoded{cause}")
        facts = describe(self.path, self._container, self._stream, frame, self._limits)
        carries_times = facts.container.startswith(WILD_CONTAINERS)
        believed = facts.duration_seconds if carries_times else None
        self._clock = FrameClock(facts.frame_rate, self._stream.time_base, believed)
        self._first_seconds = frame_seconds(frame, self._stream)
        self._probe = facts
        return frame

    def _finish(self) -> None:
        self._ended = True
        self.truncated = self._decoder.broke_off or self._is_short()

    def _is_short(self) -> bool:
        if self._end is None:
            return False
        seconds, share = MISSING_SECONDS, MISSING_SHARE
        if not self._end.exact:
            seconds, share = MISSING_SECONDS_LOOSE, MISSING_SHARE_LOOSE
        announced = self._end.seconds - self._first_seconds
        return announced - self.duration_seconds > max(seconds, share * announced)

    def close(self) -> None:
        """Let go of the file; frames that were handed out stay usable."""
        self._ended = True
        self._frames.close()
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

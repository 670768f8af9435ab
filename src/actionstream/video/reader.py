"""A video file as a stream of frames with their times, and what it says of itself."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from actionstream.concurrency import Closing
from actionstream.results import Notice
from actionstream.video.boxes import read_boxes
from actionstream.video.decoding import Decoder
from actionstream.video.opening import (
    DEFAULT_LIMITS,
    Limits,
    check_pixels,
    choose_video,
    no_frames,
    open_file,
)
from actionstream.video.picture import (
    Converter,
    DecodedFrame,
    Orientation,
    QuarterTurn,
    shown_width,
)
from actionstream.video.timing import RisingClock, Stamped, stamps_in_seconds

log = logging.getLogger(__name__)

# How much may be missing at the end before a file counts as truncated: headers round, sound
# tracks run on. The loose pair is for containers that announce only the longest stream.
MISSING_SECONDS, MISSING_SHARE = 0.25, 0.02
MISSING_SECONDS_LOOSE, MISSING_SHARE_LOOSE = 1.0, 0.10
FEW_A_SECOND = 2.0  # frames; with fewer, movement can hardly be told
SOUND_PACKETS = 100_000  # half an hour, to hear whether the sound goes on through a pause
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d*)?)")


@dataclass(frozen=True, slots=True)
class VideoProbe:
    """What a video says of itself.

    `width` and `height` are pixels as shown: upright, pixels square. `frame_rate` is what the
    header says in frames a second, measured from the first times where it lies, 25 where nothing
    tells it. `duration_seconds` is what the container
    announces, None if it does not. `rotation_degrees` is the clockwise turn that makes a stored
    picture upright; `mirrored`: its columns are mirrored after that. `container` is FFmpeg's name.
    """

    width: int
    height: int
    frame_rate: float
    duration_seconds: float | None
    codec: str
    pixel_format: str
    rotation_degrees: QuarterTurn
    mirrored: bool
    has_audio: bool
    container: str


@dataclass(frozen=True, slots=True)
class AnnouncedEnd:
    """When the container says that the video ends, on the container's own clock, in seconds.

    `exact` is False where it only tells the end of the longest of several streams.
    """

    seconds: float
    exact: bool


def announced_end(container: InputContainer, stream: VideoStream) -> AnnouncedEnd | None:
    """None if the container does not say."""
    # Matroska's tag and its duration are both the time of the end; FFmpeg's duration of the
    # stream is only a copy of the latter.
    matroska = container.format.name.startswith("matroska")
    if matroska and (tag := _CLOCK.fullmatch(stream.metadata.get("DURATION", ""))):
        hours, minutes, seconds = map(float, tag.groups())
        return AnnouncedEnd(hours * 3600 + minutes * 60 + seconds, True)
    if not matroska and stream.duration and stream.time_base:
        start = stream.start_time or 0
        return AnnouncedEnd(float((start + stream.duration) * stream.time_base), True)
    if container.duration:
        start = 0 if matroska else container.start_time or 0
        return AnnouncedEnd(
            (start + container.duration) / av.time_base, len(container.streams) == 1
        )
    return None


class VideoReader(Closing):
    """Iterates over the frames of one file, once, in constant memory.

    ::

        with VideoReader("clip.mp4") as reader:
            for frame in reader:
                print(frame.time_seconds, frame.to_rgb().shape)

    `threads` is the number of decoding threads, by default the processors at hand (at most 8).
    Times rise from 0; `video/timing.py` tells what is mended for that.
    Damage is skipped and counted in `corrupt_packets`; `truncated` says that clearly less came
    than the file announces, or that reading broke off. Both are final when the iteration ended,
    as are `frames_read`, `duration_seconds` (end of the last frame) and `warnings`, which says
    all that in words.

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
        self._start_seconds = 0.0
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
        self._end = announced_end(self._container, self._stream)
        self._stamped = self._decoder.stamped()
        self._clock: RisingClock | None = None
        self._frames: Iterator[tuple[VideoFrame, float, float]] = iter(())
        self._probe: VideoProbe | None = None
        self._ended = False

    @property
    def probe(self) -> VideoProbe:
        """What the file is; decodes its first frame if that has not happened yet."""
        return self._probe or self._begin()

    @property
    def start_seconds(self) -> float:
        """Time of the first frame on the file's own clock; decoded, since headers may not know."""
        if self._probe is None:
            self._begin()
        return self._start_seconds

    @property
    def corrupt_packets(self) -> int:
        """Damaged packets met so far."""
        return self._decoder.corrupt_packets

    @property
    def warnings(self) -> tuple[Notice, ...]:
        """What was mended, what is missing and what is too little; complete at the end."""
        found = []
        if self._clock is not None:
            found += self._clock.notices(self._decoder.swapped)
        if self.corrupt_packets:
            found.append(Notice("damaged", f"damaged packets: {self.corrupt_packets}"))
        if self.truncated:
            found.append(Notice("cut_off", "the file ends before what it announces"))
        rate = self._probe.frame_rate if self._probe is not None else FEW_A_SECOND
        if self.frames_read > 1 and rate < FEW_A_SECOND:
            found.append(Notice("few_looks", f"only one picture every {1 / rate:.1f} s"))
        return tuple(found)

    def __iter__(self) -> Iterator[DecodedFrame]:
        return self

    def __next__(self) -> DecodedFrame:
        if self._ended:
            raise StopIteration
        if self._probe is None:
            self._begin()
        timed = next(self._frames, None)
        if timed is None:
            self._ended = True
            boxes = read_boxes(self.path)
            is_cut = boxes is not None and boxes.cut
            self.truncated = self._decoder.broke_off or self._is_short() or is_cut
            raise StopIteration
        frame, time_seconds, duration = timed
        self.frames_read += 1
        self.duration_seconds = time_seconds + duration
        return DecodedFrame(time_seconds, duration, frame, self._converter)

    def _begin(self) -> VideoProbe:
        if self._ended:
            raise ValueError(f"{self.path}: the reader is closed")
        rate = self._decoder.rate()
        first = next(self._stamped, None)
        if first is None:
            self._ended = True
            raise no_frames(self.path, self._container, self.corrupt_packets)
        self._start_seconds = stamps_in_seconds([first[1]], self._stream)[0] or 0.0
        self._clock = RisingClock(rate, self._heard)
        self._frames = self._clock.placed(self._in_seconds(first))
        self._probe = self._describe(first[0], rate.frames_a_second)
        return self._probe

    def _describe(self, first: VideoFrame, frame_rate: float) -> VideoProbe:
        orientation = Orientation.of(first)
        width, height = shown_width(first.width, self._stream.sample_aspect_ratio), first.height
        check_pixels(self.path, width, height, self._limits)
        if orientation.transpose:
            width, height = height, width
        duration = 0.0 if self._end is None else self._end.seconds - self._start_seconds
        return VideoProbe(
            width=width,
            height=height,
            frame_rate=frame_rate,
            duration_seconds=duration if duration > 0 else None,
            codec=self._stream.codec_context.name,
            pixel_format=first.format.name,
            rotation_degrees=orientation.rotation_degrees,
            mirrored=orientation.mirrored,
            has_audio=bool(self._container.streams.audio),
            container=self._container.format.name,
        )

    def _in_seconds(self, first: Stamped) -> Iterator[tuple[VideoFrame, float | None, float]]:
        tick = float(self._stream.time_base or 0)
        for frame, stamp in chain([first], self._stamped):
            yield frame, stamp * tick if stamp is not None and tick else None, frame.duration * tick

    def _heard(self, start: float, end: float) -> bool:
        """Whether the sound has a packet in the middle of a gap, on the file's own clock."""
        least, most = start + (end - start) / 4, end - (end - start) / 4
        with open_file(self.path, limits=self._limits) as container:
            if not container.streams.audio:
                return False
            sound = container.streams.audio[0]
            try:
                container.seek(round(least * av.time_base))
                for packet in islice(container.demux(sound), SOUND_PACKETS):
                    at = float((packet.pts or 0) * packet.time_base)
                    if at >= least:
                        return at <= most
            except (av.FFmpegError, OverflowError) as error:
                log.debug("%s: no sound at %.1f s: %s", self.path, start, error)
        return False

    def _is_short(self) -> bool:
        """Less than announced; on the file's own clock, which may not be that of the frames."""
        if self._end is None or self._clock is None or self._clock.end_seconds is None:
            return False
        seconds, share = MISSING_SECONDS, MISSING_SHARE
        if not self._end.exact:
            seconds, share = MISSING_SECONDS_LOOSE, MISSING_SHARE_LOOSE
        announced = self._end.seconds - self._clock.first_seconds
        return self._end.seconds - self._clock.end_seconds > max(seconds, share * announced)

    def close(self) -> None:
        """Let go of the file; frames that were handed out stay usable."""
        self._ended = True
        self._stamped.close()
        self._container.close()


def probe(path: Path | str, *, limits: Limits = DEFAULT_LIMITS) -> VideoProbe:
    """Open a file, decode its first frame and tell what it is; raises as VideoReader."""
    with VideoReader(path, threads=1, limits=limits) as reader:
        return reader.probe

"""What a file is, without reading all of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from actionstream.video.decoding import Decoder
from actionstream.video.limits import DEFAULT_LIMITS, Limits
from actionstream.video.opening import check_pixels, choose_video, no_frames, open_file
from actionstream.video.picture import Orientation, QuarterTurn, shown_width
from actionstream.video.timing import Rate, Stamp

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


def probe(path: Path | str, *, limits: Limits = DEFAULT_LIMITS) -> VideoProbe:
    """Open a file, decode its first frame and tell what it is.

    Raises:
        VideoError: of the fitting kind; NoFramesError when no frame can be decoded.
    """
    with open_file(path, limits=limits) as container:
        stream = choose_video(path, container, limits)
        decoder = Decoder(path, container, stream, threads=1, limits=limits)
        rate = decoder.rate()
        for frame, stamp in decoder.stamped():
            return describe(path, container, stream, frame, stamp, rate, limits)
        raise no_frames(path, container, decoder.corrupt_packets)


def describe(
    source: object,
    container: InputContainer,
    stream: VideoStream,
    first: VideoFrame,
    stamp: Stamp,
    rate: Rate,
    limits: Limits,
) -> VideoProbe:
    """The probe of an open stream: its first frame (which carries the rotation), its rate."""
    orientation = Orientation.of(first)
    width, height = shown_width(first.width, stream.sample_aspect_ratio), first.height
    check_pixels(source, width, height, limits)
    if orientation.transpose:
        width, height = height, width
    end = announced_end(container, stream)
    duration = 0.0 if end is None else end.seconds - stamp_seconds(stamp, stream)
    return VideoProbe(
        width=width,
        height=height,
        frame_rate=rate.frames_a_second,
        duration_seconds=duration if duration > 0 else None,
        codec=stream.codec_context.name,
        pixel_format=first.format.name,
        rotation_degrees=orientation.rotation_degrees,
        mirrored=orientation.mirrored,
        has_audio=bool(container.streams.audio),
        container=container.format.name,
    )


@dataclass(frozen=True, slots=True)
class AnnouncedEnd:
    """When the container says that the video ends, on the container's own clock, in seconds.

    `exact` is False where it only tells the end of the longest of several streams.
    """

    seconds: float
    exact: bool


def announced_end(container: InputContainer, stream: VideoStream) -> AnnouncedEnd | None:
    """None if the container does not say."""
    alone = len(container.streams) == 1
    if container.format.name.startswith("matroska"):
        # Both its tag and its duration are the time of the end; FFmpeg's duration of the stream
        # is only a copy of the latter.
        tag = _CLOCK.fullmatch(stream.metadata.get("DURATION", ""))
        if tag is not None:
            hours, minutes, seconds = tag.groups()
            end = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
            return AnnouncedEnd(end, True)
        return (
            AnnouncedEnd(container.duration / av.time_base, alone) if container.duration else None
        )
    if stream.duration and stream.time_base:
        start = stream.start_time or 0
        return AnnouncedEnd(float((start + stream.duration) * stream.time_base), True)
    if container.duration:
        start = container.start_time or 0
        return AnnouncedEnd((start + container.duration) / av.time_base, alone)
    return None


def first_frame_seconds(path: Path | str, *, limits: Limits = DEFAULT_LIMITS) -> float:
    """The time of the first frame on the file's own clock, which its sound keeps too.

    It is decoded: the start that a header tells may be that of the sound.
    """
    with open_file(path, limits=limits) as container:
        stream = choose_video(path, container, limits)
        decoder = Decoder(path, container, stream, threads=1, limits=limits)
        return next((stamp_seconds(stamp, stream) for _, stamp in decoder.stamped()), 0.0)


def stamp_seconds(stamp: Stamp, stream: VideoStream) -> float:
    """A stamp as seconds on the file's own clock; 0 if there is none."""
    return float(stamp * stream.time_base) if stamp is not None and stream.time_base else 0.0

"""What a file is, without reading all of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from actionstream.errors import NoFramesError
from actionstream.video.decoding import Decoder
from actionstream.video.limits import DEFAULT_LIMITS, Limits
from actionstream.video.opening import check_pixels, choose_video, open_file
from actionstream.video.picture import Orientation, QuarterTurn, shown_width

ASSUMED_FRAME_RATE = 25.0  # where neither the file nor its first packets tell one

_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d*)?)")


@dataclass(frozen=True, slots=True)
class VideoProbe:
    """What a video says of itself.

    `width` and `height` are pixels as shown: upright, pixels square. `frame_rate` is the average
    in frames a second, 25 where nothing tells it. `duration_seconds` is what the container
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
        for frame in decoder.frames():
            return describe(path, container, stream, frame, limits)
    raise NoFramesError(path, "no frame could be decoded")


def describe(
    source: object,
    container: InputContainer,
    stream: VideoStream,
    first: VideoFrame,
    limits: Limits,
) -> VideoProbe:
    """The probe of an open stream and its first frame (which carries the rotation)."""
    orientation = Orientation.of(first)
    width, height = shown_width(first.width, stream.sample_aspect_ratio), first.height
    check_pixels(source, width, height, limits)
    if orientation.transpose:
        width, height = height, width
    return VideoProbe(
        width=width,
        height=height,
        frame_rate=frame_rate(stream),
        duration_seconds=stream_duration(stream) or container_duration(container, stream),
        codec=stream.codec_context.name,
        pixel_format=first.format.name,
        rotation_degrees=orientation.rotation_degrees,
        mirrored=orientation.mirrored,
        has_audio=bool(container.streams.audio),
        container=container.format.name,
    )


def frame_rate(stream: VideoStream) -> float:
    """Average frames a second, ASSUMED_FRAME_RATE if the file does not say."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate:
            return float(rate)
    return ASSUMED_FRAME_RATE


def stream_duration(stream: VideoStream) -> float | None:
    """Seconds that the container announces for this stream, None if it does not."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    tag = _CLOCK.fullmatch(stream.metadata.get("DURATION", ""))  # Matroska: the time of its end
    if tag is None:
        return None
    hours, minutes, seconds = tag.groups()
    end = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return max(0.0, end - _start(stream)) or None


def container_duration(container: InputContainer, stream: VideoStream) -> float | None:
    """Seconds that the container announces for the longest of its streams."""
    if not container.duration:
        return None
    seconds = container.duration / av.time_base
    if container.format.name.startswith("matroska"):  # it too is the time of the end
        seconds = max(0.0, seconds - _start(stream))
    return seconds or None


def _start(stream: VideoStream) -> float:
    """The time of the stream's first frame on the container's own clock."""
    return float((stream.start_time or 0) * (stream.time_base or 0))

"""The sound of one file, put beside the pictures of another: copied where it is whole, else AAC."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from actionstream.results import Notice
from actionstream.video.opening import DEFAULT_LIMITS, open_file
from actionstream.video.timing import LEAP_SECONDS, Rate, RisingClock, stamps_in_seconds

log = logging.getLogger(__name__)

COPIED_CODECS = ("aac", "mp3", "mp3float")  # what every browser plays from an MP4
MIN_COPIED_RATE = 16_000  # MP4 takes no MP3 of fewer samples a second
AAC_BITS_PER_SECOND = 128_000
AAC_RATES = (8_000, 48_000)  # more is legal and plays badly
SAMPLES_A_FRAME = 1024  # of most codecs; counts only where a frame has no time


def add_sound(
    pictures: Path, sound_of: Path | str, output: OutputContainer, start_seconds: float
) -> tuple[Notice, ...]:
    """Write the video of the MP4 `pictures` and the sound of another file to `output`.

    `start_seconds` is the moment on that file's own clock that becomes zero; sound before it is
    left out. The sound's clock is made to rise in the way of the pictures'; damaged sound is
    skipped and said.

    Raises:
        av.FFmpegError, OSError, ValueError: it cannot be done.
    """
    with av.open(f"file:{pictures}") as film, open_file(sound_of, limits=DEFAULT_LIMITS) as source:
        video = film.streams.video[0]
        copy = output.add_stream_from_template(video)
        sound = SoundTrack(output, source, start_seconds, copied=_is_whole(sound_of))
        for packet in film.demux(video):
            if packet.size:
                seconds = float((packet.dts or 0) * packet.time_base)
                packet.stream = copy
                output.mux(packet)
                sound.write_until(seconds)
        sound.write_until(float("inf"))
    if not sound.damaged:
        return ()
    return (Notice("sound", f"damaged packets of its sound, left out: {sound.damaged}"),)


def _is_whole(path: Path | str) -> bool:
    """Whether the sound can be copied: a codec for MP4, all of it decodes, its times rise."""
    with open_file(path, limits=DEFAULT_LIMITS) as container:
        stream = container.streams.audio[0]
        context = stream.codec_context
        slow_mp3 = context.name != "aac" and context.sample_rate < MIN_COPIED_RATE
        if context.name not in COPIED_CODECS or slow_mp3:
            return False
        stamps = []
        try:
            for packet in container.demux(stream):
                context.decode(packet)
                if packet.size:
                    stamps.append(packet.pts)
        except av.FFmpegError:
            return False
        times = stamps_in_seconds(stamps, stream)
        steps = [b - a for a, b in pairwise(times) if a is not None and b is not None]
        return None not in times and all(0 < step <= LEAP_SECONDS for step in steps)


class SoundTrack:
    """The first sound track of an open file, added to an MP4 that is being written."""

    def __init__(
        self, output: OutputContainer, source: InputContainer, start_seconds: float, *, copied: bool
    ) -> None:
        self.damaged = 0
        self._output, self._source = output, source
        self._start_seconds = start_seconds
        self._from = source.streams.audio[0]
        self._to = output.add_stream_from_template(self._from) if copied else self._add_aac()
        self._packets = self._copy() if copied else self._encode()
        self._waiting: Packet[AudioStream] | None = None

    def _add_aac(self) -> AudioStream:
        least, most = AAC_RATES
        rate = min(max(self._from.codec_context.sample_rate or most, least), most)
        stream = self._output.add_stream("aac", rate=rate)
        stream.codec_context.layout = "mono" if self._from.codec_context.channels == 1 else "stereo"
        stream.codec_context.bit_rate = AAC_BITS_PER_SECOND
        return stream

    def write_until(self, seconds: float) -> None:
        """Write the sound up to that moment of the new file, so that the two stay interleaved."""
        while packet := self._waiting or next(self._packets, None):
            if packet.pts is not None and packet.pts * packet.time_base > seconds:
                self._waiting = packet
                return
            self._waiting = None
            self._output.mux(packet)

    def _read(self) -> Iterator[Packet[AudioStream]]:
        try:
            for packet in self._source.demux(self._from):
                if packet.size:
                    yield packet
        except av.FFmpegError as error:
            log.debug("the sound breaks off: %s", error)
            self.damaged += 1

    def _copy(self) -> Iterator[Packet[AudioStream]]:
        shift = round(self._start_seconds / (self._from.time_base or 1))
        for packet in self._read():
            if packet.pts is None or packet.pts < shift:
                continue
            packet.pts = packet.dts = packet.pts - shift
            packet.stream = self._to
            yield packet

    def _encode(self) -> Iterator[Packet[AudioStream]]:
        context = self._to.codec_context
        resampler, of = None, None
        for frame in self._placed():
            form = (frame.format.name, frame.layout.name, frame.sample_rate)
            if resampler is None or form != of:
                of = form
                resampler = av.AudioResampler(context.format, context.layout, context.sample_rate)
            for part in resampler.resample(frame):
                yield from self._to.encode(part)
        yield from self._to.encode(None)

    def _placed(self) -> Iterator[av.AudioFrame]:
        """The frames from the new zero on, with times that rise."""
        rate = self._from.codec_context.sample_rate or AAC_RATES[1]
        clock = RisingClock(Rate(rate / SAMPLES_A_FRAME, True))
        free = 0
        for frame, seconds, _ in clock.placed(self._decode()):
            at = seconds + clock.first_seconds - self._start_seconds
            if at >= 0:
                frame.time_base = Fraction(1, frame.sample_rate)
                frame.pts = max(free, round(at * frame.sample_rate))
                free = frame.pts + frame.samples
                yield frame

    def _decode(self) -> Iterator[tuple[av.AudioFrame, float | None, float]]:
        for packet in self._read():
            try:
                frames = self._from.codec_context.decode(packet)
            except av.FFmpegError as error:
                log.debug("sound packet skipped: %s", error)
                self.damaged += 1
                continue
            for frame in frames:
                yield frame, frame.time, frame.samples / frame.sample_rate


def has_sound(path: Path | str) -> bool:
    """Whether the file has a sound track that can be decoded."""
    with open_file(path, limits=DEFAULT_LIMITS) as container:
        return any(stream.codec_context is not None for stream in container.streams.audio[:1])

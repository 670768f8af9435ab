"""The sound of one file, carried into another: copied where MP4 can hold it, else as AAC."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet

from actionstream.video.limits import DEFAULT_LIMITS, Limits
from actionstream.video.opening import open_file

log = logging.getLogger(__name__)

COPIED_CODECS = ("aac", "mp3", "mp3float")  # what every browser plays from an MP4
AAC_BITS_PER_SECOND = 128_000
MAX_AAC_RATE = 48_000  # more is legal and plays badly


class SoundTrack:
    """The first sound track of a file, added to an MP4 that is being written.

    `start_seconds` is the moment, on the source's own clock, that becomes zero; sound before it
    is left out. Damaged sound is skipped: a film is worth more than its noise.
    """

    def __init__(
        self,
        output: OutputContainer,
        source: Path | str,
        *,
        start_seconds: float = 0.0,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._output = output
        self._input = open_file(source, limits=limits)
        self._start_seconds = start_seconds
        self._waiting: Packet[AudioStream] | None = None
        try:
            self._from = self._input.streams.audio[0]
            self._copied = self._from.codec_context.name in COPIED_CODECS
            self._to = self._add_stream()
            self._packets = self._copy() if self._copied else self._encode()
        except BaseException:
            self._input.close()
            raise

    def _add_stream(self) -> AudioStream:
        if self._copied:
            return self._output.add_stream_from_template(self._from)
        rate = min(self._from.codec_context.sample_rate or MAX_AAC_RATE, MAX_AAC_RATE)
        stream = self._output.add_stream("aac", rate=rate)
        stream.codec_context.layout = "mono" if self._from.codec_context.channels == 1 else "stereo"
        stream.codec_context.bit_rate = AAC_BITS_PER_SECOND
        return stream

    def write_until(self, seconds: float) -> None:
        """Write the sound up to that moment of the new file, so that the two stay interleaved."""
        while True:
            packet = self._waiting or next(self._packets, None)
            self._waiting = None
            if packet is None:
                return
            if packet.pts is not None and packet.pts * packet.time_base > seconds:
                self._waiting = packet
                return
            self._output.mux(packet)

    def close(self) -> None:
        self._input.close()

    def _read(self) -> Iterator[Packet[AudioStream]]:
        try:
            for packet in self._input.demux(self._from):
                if packet.size:
                    yield packet
        except av.FFmpegError as error:
            log.debug("the sound breaks off: %s", error)

    def _copy(self) -> Iterator[Packet[AudioStream]]:
        time_base = self._from.time_base or Fraction(1, MAX_AAC_RATE)
        shift = round(self._start_seconds / time_base)
        for packet in self._read():
            if packet.pts is None or packet.dts is None or packet.pts < shift:
                continue
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = self._to
            yield packet

    def _encode(self) -> Iterator[Packet[AudioStream]]:
        context = self._to.codec_context
        resampler = av.AudioResampler(
            format=context.format, layout=context.layout, rate=context.sample_rate
        )
        for frame in self._decode():
            for part in resampler.resample(frame):
                yield from self._to.encode(part)
        yield from self._to.encode(None)

    def _decode(self) -> Iterator[av.AudioFrame]:
        for packet in self._read():
            try:
                frames = self._from.codec_context.decode(packet)
            except av.FFmpegError as error:
                log.debug("sound packet skipped: %s", error)
                continue
            for frame in frames:
                if self._shifted(frame):
                    yield frame

    def _shifted(self, frame: av.AudioFrame) -> bool:
        """Move the frame to the new clock; False if it lies before its zero."""
        if frame.pts is None or frame.time_base is None:
            return False
        frame.pts -= round(self._start_seconds / frame.time_base)
        return frame.pts >= 0


def has_sound(path: Path | str, *, limits: Limits = DEFAULT_LIMITS) -> bool:
    """Whether the file has a sound track that can be decoded."""
    with open_file(path, limits=limits) as container:
        return any(stream.codec_context is not None for stream in container.streams.audio[:1])

"""Packet by packet from a container to frames: damage is counted and bounded, never swallowed."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from itertools import chain
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from actionstream.concurrency import default_threads
from actionstream.errors import VideoTooLargeError
from actionstream.video.opening import Limits, check_pixels, explain
from actionstream.video.timing import DisplayOrder, Rate, Stamp, Stamped, stamped_rate

log = logging.getLogger(__name__)

PACKETS_AHEAD, FEWEST_AHEAD = 64, 3  # packets whose stamps tell the rate, before any is decoded
BYTES_AHEAD = 8 << 20
FAILURES_BEFORE_RESET = 8  # refused packets in a row after which the decoder is reset


class Decoder:
    """Decodes one video stream of an open container; one pass, bounded memory.

    `corrupt_packets` counts what was damaged: packets that the demuxer marks, packets that the
    decoder refuses, failed reads that were followed by more data, and frames marked corrupt.
    `broke_off` is True once reading ended with an error instead of at the end.
    """

    def __init__(
        self,
        source: Path | str,
        container: InputContainer,
        stream: VideoStream,
        *,
        threads: int | None,
        limits: Limits,
        live: bool = False,
    ) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be 1 or more, got {threads}")
        self.corrupt_packets = 0
        self.remark = ""
        self.broke_off = False
        self._numbers_only = container.format.name == "avi"  # it numbers packets and has no times
        self._source, self._container, self._stream = source, container, stream
        self._limits = limits
        self._context = stream.codec_context
        self._failures = self._pixels = 0
        self._order = DisplayOrder()
        self._first: list[Packet[VideoStream]] = []
        self._packets_ahead = self._packets()
        self._context.thread_count = threads or default_threads()
        # Frame threads are the quicker ones, but each holds back one picture.
        self._context.thread_type = "SLICE" if live else "AUTO"
        for other in container.streams:
            if other.index != stream.index:
                other.discard = av.stream.Discard.all

    @property
    def swapped(self) -> int:
        """Frames whose stamps, meant as times, were put into the order of showing."""
        return 0 if self._numbers_only else self._order.swapped

    def rate(self) -> Rate:
        """The rate that the first packets' stamps and the header tell; they are not lost."""
        size = 0
        for packet in self._packets_ahead:
            self._first.append(packet)
            size += packet.size
            count = len(self._first)
            if count >= PACKETS_AHEAD or (size > BYTES_AHEAD and count >= FEWEST_AHEAD):
                break
        return stamped_rate([self._stamp(packet) for packet in self._first], self._stream)

    def stamped(self) -> Generator[Stamped, None, None]:
        """The frames in the order of showing, with their stamps on the stream's clock.

        Raises:
            VideoTooLargeError: a frame over the limit.
            VideoTimeoutError: a packet that did not come in time.
        """
        for frame in self.frames(self._numbered()):
            yield from self._order.came(frame)
        yield from self._order.rest()

    def frames(self, packets: Iterator[Packet[VideoStream]] | None = None) -> Iterator[VideoFrame]:
        """The frames of a live stream, whose clock is not looked at; raises as `stamped`."""
        for packet in chain(packets or self._packets_ahead, [None]):
            yield from self._checked(self._decode(packet))
            if self._failures > self._limits.max_consecutive_corrupt_packets:
                log.warning("%s: given up after %d bad packets", self._source, self._failures)
                self.broke_off = True
                return

    def _numbered(self) -> Iterator[Packet[VideoStream]]:
        for packet in chain(self._first, self._packets_ahead):
            packet.pts = self._order.fed(self._stamp(packet))
            yield packet

    def _stamp(self, packet: Packet[VideoStream]) -> Stamp:
        return packet.dts if self._numbers_only or packet.pts is None else packet.pts

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        """The packets of the stream; a failed read is tried again a bounded number of times."""
        failed_reads = 0
        while failed_reads < self._limits.max_consecutive_read_errors:
            try:
                for packet in self._container.demux(self._stream):
                    self.corrupt_packets += failed_reads
                    failed_reads = 0
                    # Without bytes: a repeated picture of an AVI, or PyAV's mark of the end.
                    # To a decoder both would mean the end.
                    if packet.size:
                        yield packet
                if failed_reads:
                    break
                return
            except av.error.ExitError as error:
                raise explain(self._source, error) from error
            except av.FFmpegError as error:
                log.debug("%s: reading failed: %s", self._source, error)
                failed_reads += 1
        self.broke_off = True

    def _decode(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        """The frames that the packet completes; [] and a count where it is damaged."""
        damaged = packet is not None and packet.is_corrupt
        try:
            frames = self._context.decode(packet)
        except MemoryError as error:  # no damage: what is skipped would be missing unsaid
            cause = "its pictures need more memory than there is for it"
            raise VideoTooLargeError(self._source, cause) from error
        except av.FFmpegError as error:
            log.debug("%s: packet refused: %s", self._source, error)
            frames, damaged = [], True
            self._failures += 1
            if self._failures % FAILURES_BEFORE_RESET == 0:
                self._context.flush_buffers()
        self.corrupt_packets += damaged
        return frames

    def _checked(self, frames: list[VideoFrame]) -> Iterator[VideoFrame]:
        for frame in frames:
            check_pixels(self._source, frame.width, frame.height, self._limits)
            self._pixels += frame.width * frame.height
            most = self._limits.max_total_pixels
            if most is not None and self._pixels > most:
                cause = f"its frames have more than {most} pixels together"
                raise VideoTooLargeError(self._source, cause)
            self._failures = 0
            self.corrupt_packets += frame.is_corrupt
            yield frame

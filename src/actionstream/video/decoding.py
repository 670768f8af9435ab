"""Packet by packet from a container to frames: damage is counted and bounded, never swallowed."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Generator, Iterator

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from actionstream.video.limits import Limits
from actionstream.video.opening import check_pixels, explain

log = logging.getLogger(__name__)

MAX_DEFAULT_THREADS = 8  # frame threads each hold a few pictures; more gains little
MAX_REORDER = 16  # pictures that a codec may hold back to bring them into the order of showing
FAILURES_BEFORE_RESET = 8  # refused packets in a row after which the decoder starts afresh


def default_threads() -> int:
    """The processors that this process may use, at most MAX_DEFAULT_THREADS."""
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        usable = os.cpu_count() or 1
    return max(1, min(usable, MAX_DEFAULT_THREADS))


class Decoder:
    """Decodes one video stream of an open container; one pass, constant memory.

    `corrupt_packets` counts what was damaged: packets that the demuxer marks, packets that the
    decoder refuses, failed reads that were followed by more data, and frames marked corrupt.
    `broke_off` is True once reading ended with an error instead of at the end.
    """

    def __init__(
        self,
        source: object,
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
        self.broke_off = False
        self._source, self._container, self._stream = source, container, stream
        self._limits = limits
        self._context = stream.codec_context
        self._failures = 0
        self._context.thread_count = threads = threads or default_threads()
        # Frame threads are the quicker ones, but each holds back one picture.
        self._context.thread_type = "SLICE" if live else "AUTO"
        for other in container.streams:
            if other.index != stream.index:
                other.discard = av.stream.Discard.all
        # An AVI numbers its packets in the order of decoding and knows no times of showing; FFmpeg
        # hands those numbers on as pts, and H.264 with B-frames seems to run back and forth. They
        # rise, so the n-th frame shown has the n-th number. A short queue bounds the drift after
        # packets that gave no frame.
        self._avi_stamps: deque[int | None] | None = None
        if container.format.name == "avi":
            self._avi_stamps = deque(maxlen=MAX_REORDER + threads)

    def frames(self) -> Generator[VideoFrame, None, None]:
        """The frames in the order of showing.

        Raises:
            VideoTooLargeError: a frame over the limit.
            VideoTimeoutError: a packet that did not come in time.
        """
        for packet in self._packets():
            yield from self._checked(self._decode(packet))
            if self._failures > self._limits.max_consecutive_corrupt_packets:
                log.warning("%s: given up after %d bad packets", self._source, self._failures)
                self.broke_off = True
                return
        yield from self._checked(self._decode(None))

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
        if packet is not None and self._avi_stamps is not None:
            self._avi_stamps.append(packet.dts)
        try:
            frames = self._context.decode(packet)
        except av.FFmpegError as error:
            log.debug("%s: packet refused: %s", self._source, error)
            frames, damaged = [], True
            self._failures += 1
            if self._avi_stamps:
                self._avi_stamps.pop()
            if self._failures % FAILURES_BEFORE_RESET == 0:
                self._context.flush_buffers()
        self.corrupt_packets += damaged
        return frames

    def _checked(self, frames: list[VideoFrame]) -> Iterator[VideoFrame]:
        for frame in frames:
            check_pixels(self._source, frame.width, frame.height, self._limits)
            self._failures = 0
            self.corrupt_packets += frame.is_corrupt
            if self._avi_stamps is not None:
                frame.pts = self._avi_stamps.popleft() if self._avi_stamps else None
            yield frame

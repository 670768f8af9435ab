"""Any readable video as one that a browser plays."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice, pairwise
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from actionstream.progress import share
from actionstream.results import Notice
from actionstream.video.decoding import PACKETS_AHEAD
from actionstream.video.opening import DEFAULT_LIMITS, Limits, choose_video, open_file
from actionstream.video.reader import VideoReader, announced_end
from actionstream.video.sound import COPIED_CODECS
from actionstream.video.timing import (
    MAX_LOOK_AHEAD,
    PAUSE_PERIODS,
    PAUSE_SECONDS,
    measure_rate,
    stamped_rate,
    stamps_in_seconds,
)
from actionstream.video.writer import (
    VideoWriter,
    Written,
    explain_writing,
    finish,
    new_partial_file,
    open_mp4,
    refuse_own_source,
)

log = logging.getLogger(__name__)

Progress = Callable[[float], None]

_PIXELS = ("yuv420p", "yuvj420p")
_PROFILES = ("Baseline", "Constrained Baseline", "Main", "High")
_WEBM_VIDEO, _WEBM_SOUND = ("vp8", "vp9", "libvpx", "libvpx-vp9"), ("opus", "libopus", "vorbis")
_QUICKTIME_BRAND = "qt  "  # Firefox and others refuse it, whatever is inside
# Containers whose packets carry true times of showing. An AVI's do not.
_COPIED_CONTAINERS = ("mov", "matroska", "mpegts", "flv")


def browser_playable(path: Path | str, *, limits: Limits = DEFAULT_LIMITS) -> bool:
    """Whether every current browser plays the file as it is.

    True for an MP4 with H.264 (8 bit, 4:2:0, times in order) and AAC, MP3 or no sound, and for a
    `.webm` with VP8 or VP9 (8 bit, 4:2:0) and Opus, Vorbis or no sound.

    Raises:
        VideoError: the file cannot be read as a video.
    """
    with open_file(path, limits=limits) as container:
        stream = choose_video(path, container, limits)
        sound = {s.codec_context.name for s in container.streams.audio if s.codec_context}
        if container.format.name.startswith("mov"):
            quicktime = container.metadata.get("major_brand") == _QUICKTIME_BRAND
            plain = not quicktime and _is_plain_h264(stream) and sound <= set(COPIED_CODECS)
            return plain and _is_in_order(stream, islice(container.demux(stream), PACKETS_AHEAD))
        if Path(path).suffix.lower() == ".webm" and container.format.name.startswith("matroska"):
            context = stream.codec_context
            plain = context.name in _WEBM_VIDEO and context.pix_fmt == "yuv420p"
            return plain and sound <= set(_WEBM_SOUND)
        return False


def _is_plain_h264(stream: VideoStream) -> bool:
    context = stream.codec_context
    known_profile = context.profile in _PROFILES
    return context.name == "h264" and context.pix_fmt in _PIXELS and known_profile


def _is_in_order(stream: VideoStream, packets: Iterable[Packet[VideoStream]]) -> bool:
    """Whether the stamps of packets can be those of showing: with B-frames they go to and fro."""
    stamps = stamps_in_seconds([packet.pts for packet in packets if packet.size], stream)
    times = [stamp for stamp in stamps if stamp is not None]
    if len(times) < len(stamps) or not measure_rate(stamps, None).believed:
        return False
    rises = all(a < b for a, b in pairwise(times))
    return not (rises and stream.codec_context.has_b_frames and len(times) > MAX_LOOK_AHEAD)


def to_browser_mp4(
    source: Path | str,
    target: Path | str,
    progress: Progress | None = None,
    *,
    limits: Limits = DEFAULT_LIMITS,
    threads: int | None = None,
) -> tuple[Notice, ...]:
    """Write `source` to `target` as an MP4 with H.264 (yuv420p) and AAC, index in front.

    Video that is already plain H.264 is copied if its copy turns out whole; all else is decoded
    and encoded (upright, times mended as in VideoReader).
    `progress` is called with the share that is done, 0 to 1; to cancel, raise in it: then nothing
    is left. Returns what was mended or left out.

    Raises:
        VideoError: the source cannot be read.
        VideoWriteError: the target cannot be written, or is the source.
    """
    path, told = Path(target), 0.0

    def report(done: float) -> None:
        nonlocal told
        told = max(told, done)  # encoding starts again where copying gave up
        if progress is not None:
            progress(told)

    refuse_own_source(path, source)
    said = _copied(source, path, report, limits)
    if said is None:
        said = _encoded(source, path, report, limits, threads)
    report(1.0)
    return said


def _encoded(
    source: Path | str, target: Path, report: Progress, limits: Limits, threads: int | None
) -> tuple[Notice, ...]:
    with VideoReader(source, threads=threads, limits=limits) as reader:
        facts = reader.probe
        writer = VideoWriter(
            target,
            width=facts.width,
            height=facts.height,
            frame_rate=facts.frame_rate,
            audio_from=source,
            threads=threads,
        )
        with writer:
            for frame in reader:
                writer.write(frame.to_rgb(), frame.time_seconds, frame.duration_seconds)
                report(share(frame.time_seconds, facts.duration_seconds))
    return reader.warnings + writer.warnings


def _copied(
    source: Path | str, target: Path, report: Progress, limits: Limits
) -> tuple[Notice, ...] | None:
    """Copy the packets; None if they cannot be, or if the copy would not be whole."""
    with open_file(source, limits=limits) as container:
        stream = choose_video(source, container, limits)
        copyable = container.format.name.startswith(_COPIED_CONTAINERS) and _is_plain_h264(stream)
        if not copyable:
            return None
        partial = new_partial_file(target)
        try:
            written, start = _copy_packets(container, stream, partial, report)
            return finish(partial, target, written, source, start)
        except _NotWholeError as reason:
            log.info("%s: encoded, not copied: %s", source, reason)
            return None
        except (av.FFmpegError, OSError) as error:
            if getattr(error, "errno", None) == errno.ENOSPC:
                raise explain_writing(target, error) from error
            log.info("%s: encoded, since copying failed: %s", source, error)
            return None
        finally:
            partial.unlink(missing_ok=True)


class _NotWholeError(Exception):
    """Why packets are not copied as they are."""


def _copy_packets(
    container: InputContainer, stream: VideoStream, partial: Path, report: Progress
) -> tuple[Written, float]:
    """Copy the film; return what was copied and the moment that became zero."""
    start = (container.start_time or 0) / av.time_base
    end = announced_end(container, stream)
    shift = round(start / (stream.time_base or 1))
    shown = list[float]()
    for other in container.streams:
        if other.index != stream.index:
            other.discard = av.stream.Discard.all
    with open_mp4(partial) as output:
        copy = output.add_stream_from_template(stream)
        for packet in _whole_packets(container, stream):
            pts, dts = (packet.pts or 0) - shift, (packet.dts or 0) - shift
            packet.pts, packet.dts = pts, dts
            shown.append(float(pts * packet.time_base))  # muxing changes the time base
            report(share(float(dts * packet.time_base), end.seconds - start if end else None))
            packet.stream = copy
            output.mux(packet)
    return Written(len(shown), max(shown) - min(shown)), start


def _whole_packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """The packets, each with both stamps and a length.

    Raises:
        _NotWholeError: as soon as one could not be copied as it is.
    """
    packets = (packet for packet in container.demux(stream) if packet.size)
    ahead = list(islice(packets, PACKETS_AHEAD))
    if not ahead or not ahead[0].is_keyframe or not _is_in_order(stream, ahead):
        raise _NotWholeError("its first packets are no whole beginning")
    rate = stamped_rate([p.pts for p in ahead], stream)
    tick = float(stream.time_base or 1)
    period = max(1, round(1 / rate.frames_a_second / tick))
    longest = max(PAUSE_SECONDS / tick, PAUSE_PERIODS * period)
    _give_dts(ahead, period)
    before: int | None = None
    for packet in chain(ahead, packets):
        dts, pts = packet.dts, packet.pts
        if packet.is_corrupt or dts is None or pts is None or pts < dts:
            raise _NotWholeError("a packet is damaged or has no times")
        if before is not None and not 0 < dts - before <= longest:
            raise _NotWholeError("its clock jumps")
        before = dts
        # FLV and MPEG-TS tell no length; an MP4 would end with its last frame, not after it.
        packet.duration = packet.duration or period
        yield packet


def _give_dts(packets: list[Packet[VideoStream]], period: int) -> None:
    """Matroska has one stamp; FFmpeg makes the other, but not for the first packets."""
    known = next((i for i, packet in enumerate(packets) if packet.dts is not None), None)
    if known is None:
        raise _NotWholeError("no packet has a time of decoding")
    first = packets[known].dts or 0
    for i, packet in enumerate(packets[:known]):
        packet.dts = first - (known - i) * period

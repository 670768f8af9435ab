"""Any readable video as one that a browser plays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.video.stream import VideoStream

from actionstream.errors import VideoError, VideoWriteError
from actionstream.video.limits import DEFAULT_LIMITS, Limits
from actionstream.video.opening import choose_video, open_file
from actionstream.video.probe import announced_end, frame_rate
from actionstream.video.reader import VideoReader
from actionstream.video.sound import COPIED_CODECS, SoundTrack, has_sound
from actionstream.video.writer import (
    VideoWriter,
    close_quietly,
    new_partial_file,
    open_mp4,
    refuse_own_source,
)

Progress = Callable[[float], None]
Cancel = Callable[[], bool]

_PIXELS = ("yuv420p", "yuvj420p")
_PROFILES = ("Baseline", "Constrained Baseline", "Main", "High")
_WEBM_VIDEO, _WEBM_SOUND = ("vp8", "vp9", "libvpx", "libvpx-vp9"), ("opus", "libopus", "vorbis")
_QUICKTIME_BRAND = "qt  "  # Firefox and others refuse it, whatever is inside
# Containers whose packets carry true times of showing. An AVI's do not.
_COPIED_CONTAINERS = ("mov", "matroska", "mpegts", "flv")


def browser_playable(path: Path | str, *, limits: Limits = DEFAULT_LIMITS) -> bool:
    """Whether every current browser plays the file as it is.

    True for an MP4 with H.264 (8 bit, 4:2:0) and AAC, MP3 or no sound, and for a `.webm` with
    VP8 or VP9 (8 bit, 4:2:0) and Opus, Vorbis or no sound.

    Raises:
        VideoError: the file cannot be read as a video.
    """
    with open_file(path, limits=limits) as container:
        stream = choose_video(path, container, limits)
        sound = {s.codec_context.name for s in container.streams.audio if s.codec_context}
        if container.format.name.startswith("mov"):
            quicktime = container.metadata.get("major_brand") == _QUICKTIME_BRAND
            return not quicktime and _is_plain_h264(stream) and sound <= set(COPIED_CODECS)
        if Path(path).suffix.lower() == ".webm" and container.format.name.startswith("matroska"):
            context = stream.codec_context
            plain = context.name in _WEBM_VIDEO and context.pix_fmt == "yuv420p"
            return plain and sound <= set(_WEBM_SOUND)
        return False


def _is_plain_h264(stream: VideoStream) -> bool:
    context = stream.codec_context
    known_profile = context.profile in _PROFILES
    return context.name == "h264" and context.pix_fmt in _PIXELS and known_profile


def to_browser_mp4(
    source: Path | str,
    target: Path | str,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    *,
    limits: Limits = DEFAULT_LIMITS,
    threads: int | None = None,
) -> bool:
    """Write `source` to `target` as an MP4 with H.264 (yuv420p) and AAC, index in front.

    Video that is already plain H.264 is copied, all else is decoded and encoded (upright).
    `progress` is called with the share that is done, 0 to 1; `cancel` is asked now and then.
    Returns True when the file is written, False when it was cancelled (then nothing is left).

    Raises:
        VideoError: the source cannot be read.
        VideoWriteError: the target cannot be written, or is the source.
    """
    report, cancelled = progress or (lambda share: None), cancel or (lambda: False)
    refuse_own_source(Path(target), source)
    with open_file(source, limits=limits) as container:
        stream = choose_video(source, container, limits)
        copied = container.format.name.startswith(_COPIED_CONTAINERS) and _is_plain_h264(stream)
        if copied:
            done = _copy(source, container, stream, Path(target), report, cancelled)
    if not copied:
        done = _encode(source, Path(target), report, cancelled, limits, threads)
    if done:
        report(1.0)
    return done


def _encode(
    source: Path | str,
    target: Path,
    report: Progress,
    cancelled: Cancel,
    limits: Limits,
    threads: int | None,
) -> bool:
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
                if cancelled():
                    writer.discard()
                    return False
                writer.write(frame.to_rgb(), frame.time_seconds, frame.duration_seconds)
                report(_share(frame.time_seconds, facts.duration_seconds))
    return True


def _share(seconds: float, duration: float | None) -> float:
    return min(1.0, max(0.0, seconds / duration)) if duration else 0.0


def _copy(
    source: Path | str,
    container: InputContainer,
    stream: VideoStream,
    target: Path,
    report: Progress,
    cancelled: Cancel,
) -> bool:
    partial = new_partial_file(target)
    try:
        output = open_mp4(partial)
        try:
            done = _copy_packets(source, container, stream, output, report, cancelled)
            output.close()
        except BaseException:
            close_quietly(output)
            raise
        if done:
            partial.replace(target)
        return done
    except (av.FFmpegError, OSError) as error:
        if isinstance(error, (VideoError, VideoWriteError)):
            raise
        raise VideoWriteError(f"{target}: {getattr(error, 'strerror', None) or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _copy_packets(
    source: Path | str,
    container: InputContainer,
    stream: VideoStream,
    output: OutputContainer,
    report: Progress,
    cancelled: Cancel,
) -> bool:
    copy = output.add_stream_from_template(stream)
    start = (container.start_time or 0) / av.time_base
    end = announced_end(container, stream)
    shift = round(start / (stream.time_base or 1))
    period = round(1 / frame_rate(stream) / (stream.time_base or 1))
    sound = None
    if has_sound(source):
        sound = SoundTrack(output, source, start_seconds=start)
    try:
        for packet in container.demux(stream):
            if cancelled():
                return False
            if packet.size == 0 or packet.dts is None or packet.pts is None:
                continue
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            # FLV and MPEG-TS tell none; an MP4 would end with its last frame, not after it.
            packet.duration = packet.duration or period
            seconds = float(packet.dts * packet.time_base)
            packet.stream = copy
            output.mux(packet)
            if sound is not None:
                sound.write_until(seconds)
            report(_share(seconds, end.seconds - start if end else None))
        if sound is not None:
            sound.write_until(float("inf"))
    finally:
        if sound is not None:
            sound.close()
    return True

"""Pictures with their times into a file that every browser plays."""

from __future__ import annotations

import logging
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from actionstream.errors import VideoWriteError
from actionstream.results import Notice, Pixels, check_pixels, check_time
from actionstream.video.picture import HD_HEIGHT
from actionstream.video.reader import VideoReader
from actionstream.video.sound import add_sound, has_sound
from actionstream.video.timing import ASSUMED_RATE

log = logging.getLogger(__name__)

CLOCK = Fraction(1, 90_000)  # fine enough to keep the times of any camera
QUALITY = "20"  # x264's constant rate factor: no loss that one sees
PRESET = "veryfast"
MAX_SIDE = 16_384  # of H.264
MAX_TICKS = 2**31 - 1  # of one frame in FFmpeg's MP4: 6.6 hours
MIN_RATE, MAX_RATE = 0.01, 240.0  # frames a second that the encoder is told
MAX_OFF_SECONDS = 0.5  # by which a file's length may differ from what was written to it
KEYFRAME_SECONDS = 2  # how coarsely a player can seek

_AVCOL_SPC_BT709, _AVCOL_SPC_SMPTE170M = 1, 6


class VideoWriter:
    """Writes an MP4: H.264, yuv420p, index in front, with the sound of `audio_from`.

    ::

        with VideoWriter("out.mp4", width=640, height=480, frame_rate=25) as writer:
            writer.write(rgb, time_seconds)

    Frames keep their times (any spacing); the last one stays for the duration that `write` was
    given, else for one period of `frame_rate` (taken to be MIN_RATE to MAX_RATE).
    An odd width or height gets one more column or row, a copy of the last. A frame of another
    size is scaled. Whole sound is copied if it is AAC or MP3, other sound encoded as AAC; zero is
    the first video frame of `audio_from`, as in VideoReader. Sound that cannot go along is left
    out; `warnings` says that when the file is closed.

    The file appears under its name when all of it is written: leaving the block by an exception,
    or `discard`, leaves nothing behind, and an older file of that name stays as it was.

    Raises:
        VideoWriteError: the folder is missing or not writable, the disk is full, no frame was
            written, or `path` is the file that `audio_from` names.
        VideoError: `audio_from` cannot be read.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        width: int,
        height: int,
        frame_rate: float,
        audio_from: Path | str | None = None,
        threads: int | None = None,
    ) -> None:
        if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
            raise VideoWriteError(f"{path}: {width}x{height} pixels, each side is 1 to {MAX_SIDE}")
        self.path = Path(path)
        self.frames_written = 0
        self._size = (width + width % 2, height + height % 2)
        rate = min(max(frame_rate, MIN_RATE), MAX_RATE) if frame_rate > 0 else ASSUMED_RATE
        self._period = round(1 / rate / CLOCK)
        self.warnings: tuple[Notice, ...] = ()
        self._zero = self._last_pts = -1
        self._hd = height >= HD_HEIGHT
        self._reformatter = VideoReformatter()
        self._output: OutputContainer | None = None
        self._audio_from, self._start_seconds = audio_from, 0.0
        if audio_from is not None:
            refuse_own_source(self.path, audio_from)
            with VideoReader(audio_from, threads=1) as reader:
                self._start_seconds = reader.start_seconds
        self._partial = new_partial_file(self.path)
        with self._or_nothing():
            self._output = open_mp4(self._partial)
            self._stream = self._add_video(self._output, rate, threads)

    @contextmanager
    def _or_nothing(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.discard()
            if isinstance(error, (av.FFmpegError, OSError)):
                raise explain_writing(self.path, error) from error
            raise

    def _add_video(
        self, output: OutputContainer, frame_rate: float, threads: int | None
    ) -> VideoStream:
        # No B-frames: with them MP4's length is reckoned from the order of decoding, and a film
        # of uneven spacing would stop before its last frames.
        rate = Fraction(frame_rate).limit_denominator(1001)
        options = {"crf": QUALITY, "preset": PRESET, "bf": "0"}
        stream = output.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height = self._size
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = CLOCK
        context.gop_size = max(1, round(rate * KEYFRAME_SECONDS))
        context.thread_count = threads or 0
        context.flags |= Flags.frame_duration  # else a packet's is one period of the rate
        context.color_range = ColorRange.MPEG
        context.colorspace = _AVCOL_SPC_BT709 if self._hd else _AVCOL_SPC_SMPTE170M
        return stream

    def write(
        self, rgb: Pixels, time_seconds: float, duration_seconds: float | None = None
    ) -> None:
        """Add a picture, RGB uint8 [H, W, 3], shown from `time_seconds` on.

        It stays until the next one comes; the last one for `duration_seconds`, or for one period
        of the frame rate where that is None. A time that is not later than the previous one is
        moved to just behind it.

        Raises:
            FrameError: no such picture, time or duration.
            VideoWriteError: it cannot be written; nothing stays behind.
        """
        frame = self._coded(check_pixels(rgb))
        frame.pts = max(round(check_time(time_seconds) / CLOCK), self._last_pts + 1)
        if duration_seconds is None:
            duration_seconds = float(self._period * CLOCK)
        stays = round(check_time(duration_seconds) / CLOCK)
        frame.time_base, frame.duration = CLOCK, min(max(1, stays), MAX_TICKS)
        if self._last_pts < 0:
            self._zero = frame.pts
        self._last_pts = frame.pts
        if self._output is None:
            raise VideoWriteError(f"{self.path}: the file is already closed")
        with self._or_nothing():
            self._output.mux(self._stream.encode(frame))
        self.frames_written += 1

    def _coded(self, rgb: Pixels) -> VideoFrame:
        width, height = self._size
        missing = (height - rgb.shape[0], width - rgb.shape[1])
        if missing != (0, 0) and all(0 <= side <= 1 for side in missing):
            rgb = np.pad(rgb, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        return self._reformatter.reformat(
            VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24"),
            width=width,
            height=height,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709 if self._hd else Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )

    def close(self) -> None:
        """Finish the file and give it its name. A second call does nothing."""
        if self._output is None:
            return
        if self.frames_written == 0:
            self.discard()
            raise VideoWriteError(f"{self.path}: no frame was written")
        output = self._output
        with self._or_nothing():
            output.mux(self._stream.encode(None))
            self._output = None
            output.close()
            written = Written(self.frames_written, float((self._last_pts - self._zero) * CLOCK))
            self.warnings = finish(
                self._partial, self.path, written, self._audio_from, self._start_seconds
            )

    def discard(self) -> None:
        """Give up: what was written so far is removed."""
        output, self._output = self._output, None
        if output is not None:
            close_quietly(output)
        self._partial.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.discard()


def refuse_own_source(path: Path, source: Path | str) -> None:
    """VideoWriteError if writing to `path` would replace `source`."""
    try:
        same = path.exists() and Path(source).exists() and path.samefile(source)
    except OSError as error:  # a name that is too long
        raise explain_writing(path, error) from error
    if same:
        raise VideoWriteError(f"{path}: is the source itself, choose another name")


def new_partial_file(path: Path) -> Path:
    """A new empty file beside `path`, hidden, with the permissions of any new file.

    Its name is short: that of `path` may be as long as the file system takes.

    Raises:
        VideoWriteError: there is no such folder, or nothing can be written to it.
    """
    partial = path.absolute().with_name(f".{secrets.token_hex(6)}.part.mp4")
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            raise VideoWriteError(f"{path}: is a folder")
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # a name that is too long, a link that leads round in a circle
        raise explain_writing(path, error) from error
    try:
        partial.touch(exist_ok=False)
    except FileNotFoundError:
        raise VideoWriteError(f"{path}: the folder {path.parent} does not exist") from None
    except OSError as error:
        raise explain_writing(path, error) from error
    return partial


@dataclass(frozen=True, slots=True)
class Written:
    """What an MP4 should hold: its frames, and the seconds from the first to the last of them."""

    frames: int
    span_seconds: float

    def check(self, partial: Path, path: Path) -> None:
        """VideoWriteError if it holds anything else, or does not begin with a keyframe."""
        with av.open(f"file:{partial}") as written:
            stream = written.streams.video[0]
            packets = [packet for packet in written.demux(stream) if packet.size]
            times = [float((packet.pts or 0) * packet.time_base) for packet in packets]
        whole = len(packets) == self.frames and packets[0].is_keyframe
        if not whole or abs(max(times) - min(times) - self.span_seconds) > MAX_OFF_SECONDS:
            raise VideoWriteError(f"{path}: {len(packets)} of {self.frames} frames were written")


def finish(
    partial: Path,
    path: Path,
    expected: Written,
    audio_from: Path | str | None,
    start_seconds: float,
) -> tuple[Notice, ...]:
    """Look at what was written, give it the sound of `audio_from` and its name.

    `start_seconds` is the moment on that file's own clock that is zero. Without the sound, said
    so, where it cannot go along.
    """
    expected.check(partial, path)
    said: tuple[Notice, ...] = ()
    second = partial.with_name(f".s{partial.name}")
    try:
        if audio_from is not None and has_sound(audio_from):
            with open_mp4(second) as output:
                said = add_sound(partial, audio_from, output, start_seconds)
            expected.check(second, path)
            second.replace(partial)
    except (av.FFmpegError, OSError, ValueError) as error:
        log.info("%s: the sound was left out: %s", path, error)
        reason = getattr(error, "strerror", None) or error
        said = (Notice("sound", f"its sound could not go along and was left out ({reason})"),)
    finally:
        second.unlink(missing_ok=True)
    partial.replace(path)
    return said


def open_mp4(partial: Path) -> OutputContainer:
    """An MP4 to write to, with its index in front."""
    return av.open(
        f"file:{partial}",
        mode="w",
        format="mp4",
        container_options={"movflags": "+faststart"},
    )


def close_quietly(output: OutputContainer) -> None:
    """Close a file that is given up; that its end cannot be written is no news."""
    try:
        output.close()
    except (av.FFmpegError, OSError) as error:
        log.debug("closing an unfinished file: %s", error)


def explain_writing(path: Path, error: OSError | av.FFmpegError) -> VideoWriteError:
    """The error of this package for one while writing `path`, which it names."""
    if isinstance(error, VideoWriteError):
        return error
    return VideoWriteError(f"{path}: {getattr(error, 'strerror', None) or error}", error.errno)

"""Opening a plain media file: what is let in, what is refused, and why in plain words."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from actionstream.errors import (
    EmptyVideoError,
    NoVideoStreamError,
    UnreadableVideoError,
    UnsupportedVideoError,
    VideoError,
    VideoNotFoundError,
    VideoTimeoutError,
    VideoTooLargeError,
)
from actionstream.video.limits import Limits

# FFmpeg's names of the demuxers that read pictures from the one file they are given. Not here:
# whatever opens other files or addresses (hls, dash, concat, sdp, image2, lavfi) or is no video.
VIDEO_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2",
    "matroska,webm",
    "avi",
    "mpegts",
    "mpeg",
    "mpegvideo",
    "gif",
    "ogg",
    "flv",
    "asf",
    "h264",
    "hevc",
    "h263",
    "m4v",
    "mjpeg",
    "av1",
    "obu",
    "ivf",
    "vc1",
    "dv",
    "mxf",
    "nut",
    "wtv",
    "yuv4mpegpipe",
)
# Read too, so that a song is answered with "audio only" and not with "unknown format".
AUDIO_DEMUXERS = ("mp3", "wav", "flac", "aac", "aiff", "ac3", "amr", "w64", "caf", "ape", "au")

# How a list of other files or addresses begins. It is refused before FFmpeg sees it: FFmpeg would
# say that it is damaged, or unknown, depending on the name that it has.
_LISTS = (
    (re.compile(rb"#EXTM3U\b"), "a playlist (M3U, HLS)"),
    (re.compile(rb"ffconcat\b"), "a list of files to join (ffconcat)"),
    (re.compile(rb"v=0\s"), "a description of a network stream (SDP)"),
    (re.compile(rb"\[playlist\]", re.IGNORECASE), "a playlist (PLS)"),
    (re.compile(rb"<(?:[^\0]*<)?(?:\w+:)?MPD\b"), "a playlist (DASH)"),
)
_LONGEST_BEGINNING = 4096  # bytes: XML may have comments in front

# A picture beside the film: the cover of a song, thumbnails for a seek bar.
_NOT_A_FILM = Disposition.attached_pic | Disposition.timed_thumbnails

_KINDS = (
    (stat.S_ISDIR, "is a folder, not a file"),
    (stat.S_ISFIFO, "is a pipe, not a plain file"),
    (stat.S_ISSOCK, "is a socket, not a plain file"),
    (stat.S_ISCHR, "is a device, not a plain file"),
    (stat.S_ISBLK, "is a device, not a plain file"),
)


def check_plain_file(path: Path | str, limits: Limits) -> Path:
    """Return the path of a plain, readable file that is not empty and not over the limit.

    Raises:
        VideoNotFoundError, UnsupportedVideoError, EmptyVideoError, VideoTooLargeError,
        UnreadableVideoError: whatever is in the way.
    """
    file = Path(path)
    try:
        status = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise VideoNotFoundError(path, "no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the name
        raise UnreadableVideoError(path, f"cannot be read ({_words(error)})") from None
    for is_kind, words in _KINDS:
        if is_kind(status.st_mode):
            raise UnsupportedVideoError(path, words)
    if status.st_size == 0:
        raise EmptyVideoError(path, "the file is empty (0 bytes)")
    if limits.max_file_bytes is not None and status.st_size > limits.max_file_bytes:
        cause = f"the file has {status.st_size} bytes, the limit is {limits.max_file_bytes}"
        raise VideoTooLargeError(path, cause)
    if not os.access(file, os.R_OK):
        raise UnreadableVideoError(path, "no permission to read the file")
    return file


def open_file(path: Path | str, *, limits: Limits) -> InputContainer:
    """Open a plain media file; nothing but this one file can be opened through it.

    Raises:
        VideoError: of the fitting kind, `path: cause`.
    """
    file = check_plain_file(path, limits)
    try:
        _refuse_list(path, file)
        return av.open(
            _address(file),
            mode="r",
            container_options={
                "format_whitelist": ",".join(VIDEO_DEMUXERS + AUDIO_DEMUXERS),
                "protocol_whitelist": "file",
            },
            metadata_errors="replace",
            timeout=(limits.open_timeout_seconds, limits.read_timeout_seconds),
        )
    except UnsupportedVideoError:
        raise
    except (av.FFmpegError, OSError, ValueError) as error:
        raise explain(path, error) from error


def _refuse_list(path: Path | str, file: Path) -> None:
    with file.open("rb") as stream:
        beginning = stream.read(_LONGEST_BEGINNING)
    beginning = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()
    for start, words in _LISTS:
        if start.match(beginning):
            cause = f"{words}, which would have other files opened, and is refused"
            raise UnsupportedVideoError(path, cause)


def _address(file: Path) -> str | BinaryIO:
    """`file:` keeps FFmpeg from reading a protocol, a pattern or standard input into the name."""
    name = str(file.absolute())
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:  # a name that is not text: FFmpeg is given the open file
        return file.open("rb")
    return "file:" + name


def explain(source: object, error: BaseException) -> VideoError:
    """The error of this package for an error of FFmpeg while opening or reading `source`."""
    if isinstance(error, VideoError):
        return error
    if isinstance(error, (av.error.ExitError, TimeoutError)):
        return VideoTimeoutError(source, "did not answer in time")
    if isinstance(error, FileNotFoundError):
        return VideoNotFoundError(source, "no such file")
    if isinstance(error, PermissionError):
        return UnreadableVideoError(source, "no permission to read the file")
    if isinstance(error, av.error.InvalidDataError):
        return UnreadableVideoError(source, "not a media file, or damaged beyond opening")
    if getattr(error, "errno", None) == errno.EINVAL:  # what FFmpeg says of format_whitelist
        cause = "not a video format that is read (playlists, scripts and pictures are refused)"
        return UnsupportedVideoError(source, cause)
    return UnreadableVideoError(source, f"cannot be read ({_words(error)})")


def _words(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error)


def choose_video(source: object, container: InputContainer, limits: Limits) -> VideoStream:
    """The film among the streams: the largest picture, the first of equals; never a cover.

    Raises:
        NoVideoStreamError: there is none.
        UnsupportedVideoError: no decoder for its codec is at hand.
        VideoTooLargeError: its frames are over the limit.
    """
    films = [s for s in container.streams.video if not s.disposition & _NOT_A_FILM]
    if not films:
        audio_only = " (audio only)" if container.streams.audio else ""
        raise NoVideoStreamError(source, f"no video stream{audio_only}")
    readable = [s for s in films if s.codec_context is not None]
    if not readable:
        raise UnsupportedVideoError(source, "no decoder for its video codec is at hand")
    stream = max(readable, key=lambda s: s.codec_context.width * s.codec_context.height)
    check_pixels(source, stream.codec_context.width, stream.codec_context.height, limits)
    return stream


def check_pixels(source: object, width: int, height: int, limits: Limits) -> None:
    """VideoTooLargeError if a frame of this size is over the limit."""
    if width * height > limits.max_frame_pixels:
        cause = f"frames of {width}x{height} pixels, the limit is {limits.max_frame_pixels} pixels"
        raise VideoTooLargeError(source, cause)

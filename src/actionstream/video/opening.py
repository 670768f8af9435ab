"""Which files count as videos, what one may cost, and opening it: what is refused, and why."""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from actionstream.errors import (
    EmptyVideoError,
    NoFramesError,
    NoVideoStreamError,
    UnreadableVideoError,
    UnsupportedVideoError,
    VideoError,
    VideoNotFoundError,
    VideoTimeoutError,
    VideoTooLargeError,
)
from actionstream.video.boxes import read_boxes

log = logging.getLogger(__name__)

# FFmpeg's names of the demuxers that read pictures from the one file they are given. Not here:
# whatever opens other files or addresses (hls, dash, concat, sdp, image2, lavfi) or is no video.
VIDEO_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,gif,apng,ogg,flv,asf,h264,hevc,"
    "h263,m4v,mjpeg,av1,obu,ivf,vc1,dv,mxf,nut,wtv,yuv4mpegpipe"
)
# Read too, so that a song is answered with "audio only" and not with "unknown format".
AUDIO_DEMUXERS = "mp3,wav,flac,aac,aiff,ac3,amr,w64,caf,ape,au"

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

_ANIMATED_WEBP = re.compile(rb"RIFF.{4}WEBPVP8X.{4}[\x02\x03\x12\x13\x22\x23\x32\x33]", re.DOTALL)

# Where a file that gives no frame says that it is encrypted: Matroska's header, ASF's object.
_MATROSKA_HEADER_BYTES, _CLUSTER = 1 << 20, b"\x1f\x43\xb6\x75"
_CONTENT_ENCRYPTION = re.compile(rb"\x6d\x80.*\x62\x40.*\x50\x35", re.DOTALL)
_ASF_ENCRYPTION = (
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
)
_TS_PACKET, _TS_PACKETS_LOOKED_AT = 188, 5000
_ENCRYPTED = "encrypted: it plays only with its owner's key"

# A picture beside the film: the cover of a song, thumbnails for a seek bar.
_LOOKED_AT = 500  # packets, to see which of several streams move
_NOT_A_FILM = Disposition.attached_pic | Disposition.timed_thumbnails

_KINDS = (
    (stat.S_ISDIR, "is a folder, not a file"),
    (stat.S_ISFIFO, "is a pipe, not a plain file"),
    (stat.S_ISSOCK, "is a socket, not a plain file"),
    (stat.S_ISCHR, "is a device, not a plain file"),
    (stat.S_ISBLK, "is a device, not a plain file"),
)
# Compared without case. A file that is named directly may have any name: its content decides.
_ENDINGS = (
    "264 265 3g2 3gp amv apng asf avi divx dv f4v flv gif h264 h265 hevc ivf m1v m2ts m2v "
    "m4v mjpeg mjpg mkv mov mp4 mpe mpeg mpg mts mxf nut ogm ogv rm rmvb ts vob webm wmv "
    "wtv y4m"
)
VIDEO_EXTENSIONS: tuple[str, ...] = tuple(f".{ending}" for ending in _ENDINGS.split())


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
    boxes = None
    try:
        _refuse_other_kinds(path, file)
        boxes = read_boxes(file)
        if boxes is not None and boxes.encrypted:
            raise UnsupportedVideoError(path, _ENCRYPTED)
        return av.open(
            _address(file),
            mode="r",
            container_options={
                "format_whitelist": f"{VIDEO_DEMUXERS},{AUDIO_DEMUXERS}",
                "protocol_whitelist": "file",
            },
            metadata_errors="replace",
            timeout=(limits.open_timeout_seconds, limits.read_timeout_seconds),
        )
    except VideoError:
        raise
    except (av.FFmpegError, OSError, ValueError) as error:
        if boxes is not None and not (boxes.index or boxes.fragments):
            cause = "the recording was not finished, or was cut: its index (moov) is missing"
            raise UnreadableVideoError(path, cause) from error
        raise explain(path, error) from error


def _refuse_other_kinds(path: Path | str, file: Path) -> None:
    with file.open("rb") as stream:
        beginning = stream.read(_LONGEST_BEGINNING).removeprefix(b"\xef\xbb\xbf").lstrip()
    if _ANIMATED_WEBP.match(beginning):
        cause = "an animated WebP, which is not read: convert it to GIF or MP4"
        raise UnsupportedVideoError(path, cause)
    for words in (words for start, words in _LISTS if start.match(beginning)):
        cause = f"{words}, which would have other files opened, and is refused"
        raise UnsupportedVideoError(path, cause)


def no_frames(path: Path | str, container: InputContainer, damaged: int) -> VideoError:
    """The error for a file of which no frame could be decoded: why, if that can be told."""
    if _is_encrypted(Path(path), container.format.name):
        return UnsupportedVideoError(path, _ENCRYPTED)
    packets = f" ({damaged} damaged packets)" if damaged else ""
    return NoFramesError(path, f"no frame could be decoded{packets}")


def _is_encrypted(path: Path, container: str) -> bool:
    with path.open("rb") as stream:
        head = stream.read(_MATROSKA_HEADER_BYTES)
    if container.startswith("matroska"):
        return _CONTENT_ENCRYPTION.search(head.partition(_CLUSTER)[0]) is not None
    if container == "asf":
        return any(mark in head for mark in _ASF_ENCRYPTION)
    if container == "mpegts":
        packets = range(head.find(b"G"), len(head) - 3, _TS_PACKET)
        scrambled = [head[i + 3] >> 6 for i in packets[:_TS_PACKETS_LOOKED_AT] if head[i] == 0x47]
        return 2 * sum(bits > 1 for bits in scrambled) > len(scrambled)
    return False


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


def choose_video(
    source: Path | str, container: InputContainer, limits: Limits, *, live: bool = False
) -> VideoStream:
    """The film among the streams: the largest picture, the first of equals; never a still.

    Which of several streams move is looked up in the file, not in a `live` stream.

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
    if len(readable) > 1 and not live:
        moving = _moving(source, [s.index for s in readable], limits)
        readable = [s for s in readable if s.index in moving] or readable
    stream = max(readable, key=lambda s: s.codec_context.width * s.codec_context.height)
    check_pixels(source, stream.codec_context.width, stream.codec_context.height, limits)
    return stream


def _moving(path: Path | str, indices: list[int], limits: Limits) -> list[int]:
    """Which of the streams have more than one picture among the first packets."""
    counts = dict.fromkeys(indices, 0)
    with open_file(path, limits=limits) as container:
        try:
            streams = [container.streams[index] for index in indices]
            for packet in islice(container.demux(*streams), _LOOKED_AT):
                counts[packet.stream_index] += packet.size > 0
        except av.FFmpegError as error:
            log.debug("%s: looking for the film: %s", path, error)
    return [index for index, count in counts.items() if count > 1]


def check_pixels(source: object, width: int, height: int, limits: Limits) -> None:
    """VideoTooLargeError if a frame of this size is over the limit."""
    if width * height > limits.max_frame_pixels:
        cause = f"frames of {width}x{height} pixels, the limit is {limits.max_frame_pixels} pixels"
        raise VideoTooLargeError(source, cause)


def find_videos(folder: Path | str) -> list[Path]:
    """All files below `folder` with one of VIDEO_EXTENSIONS, by code point of the relative path.

    Symbolic links are followed, but into no folder that was entered already: a link may lead round
    in a circle. Names that begin with a dot are skipped, files and folders. [] if there is none.

    Raises:
        NotADirectoryError, FileNotFoundError, PermissionError: `folder` itself cannot be listed.
    """
    root = Path(folder)
    with os.scandir(root):  # os.walk is silent about a root that it cannot list
        pass
    return sorted(_walk(root), key=lambda path: path.relative_to(root).as_posix())


def _walk(root: Path) -> Iterator[Path]:
    seen = {os.path.realpath(root)}
    for parent, folders, names in os.walk(root, followlinks=True):
        folders[:] = [name for name in sorted(folders) if _is_new(Path(parent, name), seen)]
        for name in names:
            file = Path(parent, name)
            if name.startswith(".") or file.suffix.lower() not in VIDEO_EXTENSIONS:
                continue
            if file.is_file():
                yield file


def _is_new(folder: Path, seen: set[str]) -> bool:
    """Whether to enter a folder, which then counts as entered."""
    place = os.path.realpath(folder)
    if folder.name.startswith(".") or place in seen:
        return False
    seen.add(place)
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds for one source.

    `max_file_bytes` None means that a file may be of any length: it is streamed. What is over a
    limit raises VideoTooLargeError, what is slow VideoTimeoutError. Past a limit of consecutive
    damage the rest of the source is given up and it counts as truncated.
    """

    max_frame_pixels: int = 8192 * 8192  # twice 8K UHD; 200 MB as RGB
    max_total_pixels: int | None = None  # of all frames that are decoded
    max_file_bytes: int | None = None
    open_timeout_seconds: float = 30.0  # reading the header and finding the streams
    read_timeout_seconds: float = 30.0  # waiting for one packet
    max_consecutive_corrupt_packets: int = 500  # 17 s of 30 fps without a picture
    max_consecutive_read_errors: int = 16  # then the rest counts as lost

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be more than 0, got {value!r}")


DEFAULT_LIMITS = Limits()

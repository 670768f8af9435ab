"""Pictures over HTTP as browsers show them, where FFmpeg is stricter than cameras are.

JPEGs are told by their own bytes, so it does not matter whether there is a first boundary, what
the parts' headers say, or in which order. An address that gives one picture is asked again.
"""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from urllib.parse import unquote, urlsplit, urlunsplit

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from actionstream.errors import UnreadableVideoError, UnsupportedVideoError, VideoError
from actionstream.video.address import LiveAddress
from actionstream.video.opening import Limits, check_pixels

MAX_PICTURE_BYTES = 32 << 20
POLL_SECONDS = 0.1  # between two questions for a single picture, at least
BLOCK_BYTES = 1 << 16

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA  # markers of JPEG: a picture, its end, its coded lines
_PART_OF_SCAN = (0x00, *range(0xD0, 0xD8), 0xFF)  # after 0xFF: a plain 0xFF, restarts, fill bytes


class Pictures:
    """The pictures of an address, as `frames`; `remark` says if it gives one a time.

    `wait` sleeps for so many seconds and says whether to end.
    """

    def __init__(self, address: LiveAddress, limits: Limits, wait: Callable[[float], bool]) -> None:
        self.corrupt_packets = 0
        self._address, self._limits, self._wait = address, limits, wait
        self._single = False

    @property
    def remark(self) -> str:
        return ", a single picture that is asked for again" if self._single else ""

    def frames(self) -> Iterator[VideoFrame]:
        """Decoded pictures, until the stream ends; those of a single-picture address do not end.

        Raises:
            VideoError: a web page, a picture over the limit or of more than MAX_PICTURE_BYTES.
            OSError: of urllib, when the server does not answer well.
        """
        decoder = VideoCodecContext.create("mjpeg", "r")
        ended = False
        while not ended:
            asked, count = time.monotonic(), 0
            with _ask(self._address.url, self._limits.read_timeout_seconds) as reply:
                kind = reply.headers.get_content_type()
                if kind == "text/html":
                    cause = "a web page, not a stream: give the address of the picture in it"
                    raise UnsupportedVideoError(self._address.shown, cause)
                self._single = kind.startswith("image/") and "Content-Length" in reply.headers
                for picture in self._split(reply):
                    count += 1
                    yield from self._decode(decoder, picture)
                self._single |= kind.startswith("image/") and count == 1
            pause = POLL_SECONDS - (time.monotonic() - asked)
            ended = not (self._single and count) or self._wait(max(0.0, pause))

    def _split(self, reply: HTTPResponse) -> Iterator[bytes]:
        buffer = bytearray()
        while block := reply.read1(BLOCK_BYTES):
            buffer += block
            while found := picture_in(buffer):
                start, end = found
                yield bytes(buffer[start:end])
                del buffer[:end]
            if len(buffer) > MAX_PICTURE_BYTES:
                raise UnreadableVideoError(self._address.shown, "what arrives is no video stream")
        # What stays of a single picture was cut off, by a wrong Content-Length.
        if self._single and (start := buffer.find(b"\xff\xd8\xff")) >= 0:
            yield bytes(buffer[start:] + b"\xff\xd9")

    def _decode(self, decoder: VideoCodecContext, picture: bytes) -> list[VideoFrame]:
        try:
            frames = decoder.decode(av.Packet(picture))
        except av.FFmpegError:
            self.corrupt_packets += 1
            return []
        for frame in frames:
            check_pixels(self._address.shown, frame.width, frame.height, self._limits)
        return frames


def picture_in(data: bytearray) -> tuple[int, int] | None:
    """Start and end of the first whole JPEG in `data`, None if there is none yet.

    Segments are skipped by their lengths, so that a thumbnail inside is no picture of its own. A
    picture that breaks off ends where the next one starts.
    """
    start = data.find(b"\xff\xd8\xff")
    at = start + 2
    while start >= 0 and at + 4 <= len(data):
        marker = data[at + 1]
        if data[at] != 0xFF or marker == _START:
            return start, at
        if marker == _END:
            return start, at + 2
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _SCAN:
            at = _end_of_scan(data, at)
    whole = start >= 0 and at + 2 <= len(data) and data[at : at + 2] == b"\xff\xd9"
    return (start, at + 2) if whole else None


def _end_of_scan(data: bytearray, at: int) -> int:
    while 0 <= (at := data.find(0xFF, at)) < len(data) - 1:
        if data[at + 1] not in _PART_OF_SCAN:
            return at
        at += 1 if data[at + 1] == 0xFF else 2
    return len(data)


def _ask(url: str, timeout_seconds: float) -> HTTPResponse:
    """GET, with the user and password of the address, over HTTP and HTTPS alone."""
    parts = urlsplit(url)
    plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or "")
        passwords.add_password(None, plain, user, password)
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDigestAuthHandler(passwords),
        urllib.request.HTTPBasicAuthHandler(passwords),
    ):
        opener.add_handler(handler)
    reply = opener.open(plain, timeout=timeout_seconds)
    if not isinstance(reply, HTTPResponse):
        raise VideoError(plain, "no answer by HTTP")
    return reply

"""What the boxes of an MP4 or MOV say, read in plain Python before FFmpeg is given the file.

FFmpeg reserves memory for as many samples as a file declares, whether or not it is long enough to
hold them: 7 KB that declare 50 million take 3.6 GB.
"""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from actionstream.errors import UnreadableVideoError, VideoTooLargeError

MAX_SAMPLES = 10_000_000  # of all tracks: 46 hours at 60 frames a second, 0.5 GB inside FFmpeg
MAX_BOXES = 1_000_000  # a day in fragments of half a second
MAX_DEPTH = 12  # boxes within boxes; an index needs 6
MAX_TABLE_BYTES = 128 << 20  # of one table, or of a compressed index

_FIRST = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"uuid", b"moof")
_HOLDERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf")
_ENCRYPTED = (b"encv", b"drmi")  # sample entries of Common Encryption and of FairPlay
# Where the number of entries stands in a box, behind its header.
_COUNTS = {b"stsz": 8, b"stz2": 8, b"stts": 4, b"ctts": 4, b"stsc": 4, b"stco": 4, b"co64": 4}
_COUNTS |= {b"stss": 4, b"trun": 4}


class Boxes:
    """The boxes of an MP4 or MOV, walked once.

    index, fragments: whether there is an index (moov), or fragments (moof).
    encrypted: whether a film is.
    overhang: whether a box ends behind the end of the file.

    Raises:
        UnreadableVideoError: more samples are declared than the file has bytes.
        VideoTooLargeError: over MAX_SAMPLES samples or MAX_BOXES boxes.
    """

    def __init__(self, path: Path | str, stream: BinaryIO, length: int) -> None:
        self.index = self.fragments = self.encrypted = self.overhang = False
        self._path, self._length = path, length
        self._boxes = self._samples = self._depth = 0
        self._track: dict[bytes, int] = {}
        self._ticks = self._sound = False
        self._walk(stream, length)

    @property
    def cut(self) -> bool:
        """Whether a file in fragments ends within one of them."""
        return self.fragments and self.overhang

    def _walk(self, stream: BinaryIO, end: int, start: int = 0) -> None:
        self._depth += 1
        while start + 8 <= end and self._depth <= MAX_DEPTH:
            stream.seek(start)
            kind, body, after = _header(stream, start, end)
            if after < body:
                break
            self._boxes += 1
            if self._boxes > MAX_BOXES:
                raise VideoTooLargeError(self._path, f"more than {MAX_BOXES} boxes")
            self.overhang |= after > end
            self._box(stream, kind, body, min(after, end))
            start = after
        self.overhang |= start < end
        self._depth -= 1

    def _box(self, stream: BinaryIO, kind: bytes, body: int, end: int) -> None:
        stream.seek(body)
        if kind in _HOLDERS:
            self.index |= kind == b"moov"
            self.fragments |= kind == b"moof"
            self._walk(stream, end, body)
        elif kind == b"cmov":
            self._compressed(stream.read(min(end - body, MAX_TABLE_BYTES)))
        elif kind == b"stsd":
            self.encrypted |= stream.read(16)[12:] in _ENCRYPTED
        elif kind == b"hdlr":
            self._sound |= stream.read(12)[8:] == b"soun"
        elif kind in _COUNTS:
            self._count(kind, stream, end - body)
        if kind in (b"trak", b"moof"):
            self._add_track()

    def _compressed(self, data: bytes) -> None:
        """An index of old QuickTime, packed by zlib: behind dcom (12) and cmvd (8) and its size."""
        try:
            plain = zlib.decompressobj().decompress(data[24:], MAX_TABLE_BYTES)
        except zlib.error:
            return  # FFmpeg will not get further
        self._walk(io.BytesIO(plain), len(plain))

    def _count(self, kind: bytes, stream: BinaryIO, size: int) -> None:
        table = stream.read(_COUNTS[kind] + 4)
        declared = int.from_bytes(table[_COUNTS[kind] :], "big")
        if kind in (b"stts", b"ctts"):
            size = min(size - len(table), 8 * declared, MAX_TABLE_BYTES)
            runs = np.frombuffer(stream.read(max(0, size // 8 * 8)), ">u4").astype(np.int64)
            declared = int(runs[::2].sum())
            if kind == b"stts":
                self._ticks = len(runs) == 2 and int(runs[1]) == 1
        self._track[kind] = self._track.get(kind, 0) + declared
        if declared > self._length:
            cause = f"damaged: it declares {declared} samples and has {self._length} bytes"
            raise UnreadableVideoError(self._path, cause)

    def _add_track(self) -> None:
        """Plain sound of one sample a tick is not listed sample by sample."""
        if not (self._sound and self._ticks):
            self._samples += max(self._track.values(), default=0)
        self._track, self._ticks, self._sound = {}, False, False
        if self._samples > MAX_SAMPLES:
            raise VideoTooLargeError(self._path, f"it declares more than {MAX_SAMPLES} samples")


def read_boxes(path: Path | str) -> Boxes | None:
    """The boxes of a file, None if it is no MP4 or MOV; raises what `Boxes` raises."""
    with Path(path).open("rb") as stream:
        length = stream.seek(0, io.SEEK_END)
        stream.seek(4)
        return Boxes(path, stream, length) if stream.read(4) in _FIRST else None


def _header(stream: BinaryIO, start: int, end: int) -> tuple[bytes, int, int]:
    """Kind of the box, start of its content, and its end."""
    head = stream.read(16)
    size, kind, body = int.from_bytes(head[:4], "big"), head[4:8], start + 8
    if size == 1:
        size, body = int.from_bytes(head[8:16], "big"), start + 16
    return kind, body, start + size if size else end

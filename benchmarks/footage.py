"""Video files for benchmarks, made here: textured footage of a given size and rate, and loops."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]

GRAIN = 5.0  # standard deviation of the noise of a sensor, in grey levels
GRAIN_FIELDS = 8


def make_footage(
    target: Path,
    size: tuple[int, int],
    *,
    seconds: float,
    rate: int = 30,
    megabits: float,
    source: Path | None = None,
) -> Path:
    """Write an H.264 file of this size, length and bit rate, by x264's preset `fast`.

    Its pictures are those of `source`, to and fro, enlarged, or else drifting waves. Grain is put
    on top, so that the bits are really spent and the decoder has as much to do as with a camera's
    file.
    """
    pictures = _grained(_enlarged(_real(source) if source else _waves(), size), size)
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "fast"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = round(megabits * 1e6)
        stream.time_base = Fraction(1, rate)
        for index, picture in enumerate(itertools.islice(pictures, round(seconds * rate))):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target


def _real(source: Path) -> Iterator[Pictures]:
    with av.open(str(source)) as container:
        pictures: list[Pictures] = [
            np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
            for frame in container.decode(video=0)
        ]
    return itertools.cycle([*pictures, *pictures[-2:0:-1]])


def _waves() -> Iterator[Pictures]:
    y, x = np.mgrid[0:270, 0:480]
    for index in itertools.count():
        waves = [np.sin((x + y * c) / (9 + 5 * c) + index / 7) for c in range(3)]
        yield (127 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


def _enlarged(pictures: Iterator[Pictures], size: tuple[int, int]) -> Iterator[Pictures]:
    for picture in pictures:
        yield cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def _grained(pictures: Iterator[Pictures], size: tuple[int, int]) -> Iterator[Pictures]:
    random = np.random.default_rng(0)
    shape = (size[1], size[0], 3)
    fields = [random.normal(0, GRAIN, shape).astype(np.int8) for _ in range(GRAIN_FIELDS)]
    for picture, grain in zip(pictures, itertools.cycle(fields), strict=False):
        yield cv2.add(picture, grain, dtype=cv2.CV_8U).astype(np.uint8)


def make_loop(source: Path, target: Path, *, seconds: float) -> Path:
    """Write the packets of `source` again and again, later each time, until `seconds` are full.

    Nothing is decoded or encoded, so an hour takes moments.
    """
    with av.open(str(source)) as container, av.open(str(target), "w") as out:
        stream = container.streams.video[0]
        copy = out.add_stream_from_template(stream)
        base = stream.time_base or Fraction(1, 90000)
        length = round(Fraction(stream.frames) / (stream.average_rate or 30) / base)
        for turn in range(round(seconds / float(length * base))):
            container.seek(0)
            for packet in container.demux(stream):
                if packet.pts is None or packet.dts is None:  # PyAV's mark of the end
                    continue
                packet.pts, packet.dts = packet.pts + turn * length, packet.dts + turn * length
                packet.stream = copy
                out.mux(packet)
    return target


def describe(path: Path) -> str:
    """Size, rate, length and bits of a file in one line."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        seconds = (container.duration or 0) / 1e6
        megabits = path.stat().st_size * 8e-6 / seconds
        return (
            f"{video.codec_context.name} {video.width}x{video.height}, "
            f"{float(video.average_rate or 0):g} frames a second, "
            f"{seconds:.1f} s, {megabits:.1f} Mb/s"
        )

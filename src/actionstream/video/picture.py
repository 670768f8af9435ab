"""From FFmpeg's frame to RGB as a person would see it (upright, square pixels, one moment), and
from RGB to single pictures: a JPEG file, a frame of a WebRTC connection.

Alpha is dropped, not blended (FFmpeg paints the transparent parts of a GIF white). HDR keeps its
numbers: no tone mapping, so such pictures look flat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import Type as SideDataType
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from actionstream.results import Pixels, check_pixels

if TYPE_CHECKING:
    from av.sidedata.sidedata import SideDataContainer

QuarterTurn = Literal[0, 90, 180, 270]

HD_HEIGHT = 720  # untagged video from this height on is BT.709, below BT.601, as players assume
MAX_PIXEL_STRETCH = 4  # a pixel shape beyond 1:4 is a damaged header, not a lens
SQUARE_ENOUGH = 0.02  # pixels this near to square are left alone: no scaling

# AVColorSpace numbers that swscale has coefficients for: RGB, 709, FCC, 470BG, 170M, 240M, 2020.
_KNOWN_COLORSPACES = frozenset((0, 1, 4, 5, 6, 7, 9))
_BEST_SCALE, _WORST_SCALE = 2, 31  # FFmpeg's range of the quantiser for mjpeg


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a stored picture becomes upright: transpose first, then mirror columns and rows."""

    transpose: bool = False
    flip_columns: bool = False
    flip_rows: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> Orientation:
        """Of the frame's display matrix, rounded to quarter turns; upright without one."""
        side_data = cast("SideDataContainer", frame.side_data)  # PyAV's hint knows one key only
        if SideDataType.DISPLAYMATRIX not in side_data:
            return cls()
        matrix = np.frombuffer(bytes(side_data[SideDataType.DISPLAYMATRIX]), np.int32)
        # A stored point (x, y) is shown at (a x + c y, b x + d y).
        a, b, c, d = (int(matrix[i]) for i in (0, 1, 3, 4))
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    @property
    def rotation_degrees(self) -> QuarterTurn:
        """The clockwise turn; of a mirrored picture, the turn that comes before the mirroring."""
        if not self.transpose:
            return 180 if self.flip_rows else 0
        return 270 if self.flip_rows else 90

    @property
    def mirrored(self) -> bool:
        """Whether columns are mirrored after the turn (selfies of some phones)."""
        return self.transpose ^ self.flip_columns ^ self.flip_rows

    def apply(self, pixels: Pixels) -> Pixels:
        """Turn a picture [H, W, 3]; the result is contiguous."""
        if self.transpose:
            pixels = pixels.transpose(1, 0, 2)
        if self.flip_columns:
            pixels = pixels[:, ::-1]
        if self.flip_rows:
            pixels = pixels[::-1]
        return np.ascontiguousarray(pixels)


def shown_width(width: int, pixel_shape: Fraction | None) -> int:
    """The width in square pixels of a row of `width` pixels of that shape (width : height)."""
    if not pixel_shape or not 1 / MAX_PIXEL_STRETCH <= pixel_shape <= MAX_PIXEL_STRETCH:
        return width
    if abs(pixel_shape - 1) <= SQUARE_ENOUGH:
        return width
    return max(1, round(width * pixel_shape))


class Converter:
    """Turns frames of one stream into RGB. Keeps FFmpeg's contexts between frames.

    `pixel_shape` is the width : height of the stored pixels; `turns` False leaves display
    matrices out of account. Not for several threads at once.
    """

    def __init__(self, pixel_shape: Fraction | None = None, *, turns: bool = True) -> None:
        self._pixel_shape = pixel_shape
        self._turns = turns
        self._rotation: int | None = None
        self._orientation = Orientation()
        self._reformatter = VideoReformatter()
        self._field: tuple[tuple[int, int, str], Graph] | None = None

    def to_rgb(self, frame: VideoFrame) -> Pixels:
        """The frame as contiguous uint8 [H, W, 3], upright."""
        height = frame.height
        if frame.interlaced_frame and height > 1:
            frame = self._top_field(frame)
        rgb = self._reformatter.reformat(
            frame,
            width=shown_width(frame.width, self._pixel_shape),
            height=height,
            format="rgb24",
            src_colorspace=_assumed_colorspace(frame, height),
            dst_color_range=ColorRange.JPEG,
            threads=1,  # swscale's own threads cost more than they gain beside a busy decoder
        )
        pixels: Pixels = np.asarray(rgb.to_ndarray(), dtype=np.uint8)
        return self._orientation_of(frame).apply(pixels)

    def _orientation_of(self, frame: VideoFrame) -> Orientation:
        """The matrix is read when the angle changes, not for each frame.

        PyAV's `side_data` and its frame refer to each other: every frame asked for it would keep
        its pixels until the garbage collector runs (300 MB at 720p).
        """
        if self._turns and frame.rotation != self._rotation:
            self._rotation, self._orientation = frame.rotation, Orientation.of(frame)
        return self._orientation

    def _top_field(self, frame: VideoFrame) -> VideoFrame:
        """Half of the lines, taken at one moment; the colour conversion stretches them again.

        The two fields of an interlaced frame are two moments. yadif and its like need the
        neighbours of a frame, that is work on frames that nobody looks at; the half height that
        is left is still more than an encoder sees.
        """
        key = (frame.width, frame.height, frame.format.name)
        if self._field is None or self._field[0] != key:
            self._field = key, _field_filter(frame)
        self._field[1].vpush(frame)
        return self._field[1].vpull()


def _field_filter(frame: VideoFrame) -> Graph:
    """FFmpeg's `field` filter for frames of one size and format (it moves no pixels)."""
    graph, time_base = Graph(), frame.time_base or Fraction(1, 90000)
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=time_base
    )
    graph.link_nodes(source, graph.add("field", "type=top"), graph.add("buffersink")).configure()
    return graph


def _assumed_colorspace(frame: VideoFrame, height: int) -> int | None:
    """None where the frame says how its colours were coded and swscale knows it."""
    if frame.colorspace in _KNOWN_COLORSPACES:
        return None
    return int(Colorspace.ITU709 if height >= HD_HEIGHT else Colorspace.ITU601)


@dataclass(frozen=True, slots=True, eq=False)
class DecodedFrame:
    """A decoded picture and its moment; it costs no colour conversion until `to_rgb`.

    `time_seconds` counts from the stream's first frame.
    """

    time_seconds: float
    duration_seconds: float
    _frame: VideoFrame
    _converter: Converter

    def to_rgb(self) -> Pixels:
        """RGB uint8 [H, W, 3], contiguous, upright, without comb lines, in square pixels."""
        return self._converter.to_rgb(self._frame)

    def __repr__(self) -> str:
        size = f"{self._frame.width}x{self._frame.height}"
        return f"DecodedFrame({size} stored, time_seconds={self.time_seconds:.3f})"


def encode_jpeg(rgb: Pixels, quality: int = 80) -> bytes:
    """The picture as a JPEG file, colours subsampled 4:2:0.

    Args:
        rgb: uint8 [H, W, 3].
        quality: 1 (small) to 100 (good).

    Raises:
        FrameError: `rgb` is no picture.
        ValueError: `quality` is out of range.
    """
    frame = VideoFrame.from_ndarray(check_pixels(rgb), format="rgb24")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must be 1 to 100, got {quality}")
    scale = _WORST_SCALE - (_WORST_SCALE - _BEST_SCALE) * (quality - 1) / 99
    frame = frame.reformat(format="yuvj420p", dst_colorspace="ITU601", dst_color_range="JPEG")
    encoder = VideoCodecContext.create("mjpeg", "w")
    encoder.width, encoder.height = frame.width, frame.height
    encoder.pix_fmt = frame.format.name
    encoder.time_base = frame.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    encoder.qmin = encoder.qmax = round(scale)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))


def fitted(frame: VideoFrame, most_pixels: int) -> VideoFrame:
    """The frame, shrunk to at most this many pixels if it has more; its timing stays."""
    share = math.sqrt(most_pixels / (frame.width * frame.height))
    if share >= 1:
        return frame
    width, height = (max(int(side * share) // 2 * 2, 2) for side in (frame.width, frame.height))
    return _timed_like(frame.reformat(width=width, height=height), frame)


def from_webrtc(frame: VideoFrame) -> Pixels:
    """The picture of a frame: RGB uint8 [H, W, 3], contiguous."""
    return Converter(turns=False).to_rgb(frame)  # browsers send pictures upright


def to_webrtc(rgb: Pixels, like: VideoFrame) -> VideoFrame:
    """A frame with the picture `rgb` [H, W, 3] uint8 and the pts and time base of `like`.

    Raises:
        FrameError: `rgb` is no such picture.
    """
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(check_pixels(rgb)), format="rgb24")
    return _timed_like(frame, like)


def _timed_like(frame: VideoFrame, like: VideoFrame) -> VideoFrame:
    frame.pts = like.pts
    if like.time_base is not None:
        frame.time_base = like.time_base
    return frame

"""Makes tiny videos whose pictures tell their index, so that tests can check times and pixels.

Every picture has red above left, green above right, blue below left; the grey of the quarter
below right is the frame's index (`index_of` reads it back).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

GREY_FIRST, GREY_STEP, GREY_COUNT = 24, 8, 26  # 24, 32 ... 224, then from the start again
INTERLACED_DCT = 1 << 18  # AV_CODEC_FLAG_INTERLACED_DCT
CLOCK = 90_000  # ticks a second of the encoders' time base
RED, GREEN, BLUE = (220, 30, 30), (30, 200, 30), (30, 30, 220)
SAMPLE_RATE = 48_000

# One encoder option set a codec: small, quick, and near enough to the picture.
_QUICK: dict[str, dict[str, str]] = {
    "libx264": {"preset": "ultrafast", "crf": "4"},
    "libx265": {"preset": "ultrafast", "crf": "4", "x265-params": "log-level=none"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "4", "b": "0"},
    "libsvtav1": {"preset": "8", "crf": "1", "svtav1-params": "pred-struct=1"},
    "mpeg4": {"qscale": "2"},
    "mjpeg": {"qscale": "2"},
}
_ANY_TIME = ("libx264", "libx265", "libvpx-vp9", "libsvtav1")  # the others want 1 / rate

os.environ.setdefault("SVT_LOG", "1")  # that encoder greets on stderr, past FFmpeg's log


def picture(index: int, size: tuple[int, int] = (64, 48)) -> Pixels:
    """The picture number `index` as RGB uint8 [H, W, 3]; `size` is (width, height)."""
    width, height = size
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = RED
    pixels[: height // 2, width // 2 :] = GREEN
    pixels[height // 2 :, : width // 2] = BLUE
    pixels[height // 2 :, width // 2 :] = GREY_FIRST + GREY_STEP * (index % GREY_COUNT)
    return pixels


def index_of(rgb: Pixels) -> int:
    """The index that a decoded picture shows, modulo GREY_COUNT."""
    return round((float(quarter(rgb, "below right").mean()) - GREY_FIRST) / GREY_STEP)


def quarter(rgb: Pixels, where: str) -> Pixels:
    """The inner part of a quarter: "above left", "above right", "below left", "below right"."""
    height, width = rgb.shape[0] // 2, rgb.shape[1] // 2
    top = 0 if "above" in where else rgb.shape[0] - height
    left = 0 if "left" in where else rgb.shape[1] - width
    y, x = height // 4, width // 4
    return rgb[top + y : top + height - y, left + x : left + width - x]


def colours(rgb: Pixels) -> list[tuple[int, int, int]]:
    """The mean colours of the quarters above left, above right and below left."""
    means = [quarter(rgb, where).mean((0, 1)) for where in ("above left", "above right")]
    means.append(quarter(rgb, "below left").mean((0, 1)))
    return [tuple(round(float(value)) for value in mean) for mean in means]  # type: ignore[misc]


def make_clip(
    path: Path,
    *,
    codec: str = "libx264",
    size: tuple[int, int] = (64, 48),
    rate: Fraction | float = 25,
    frames: int = 20,
    pix_fmt: str = "yuv420p",
    rotation: int = 0,
    times: Sequence[float] | None = None,
    audio: str | None = None,
    audio_seconds: float | None = None,
    audio_rate: int = SAMPLE_RATE,
    options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
    colorspace: str | None = None,
    full_range: bool = False,
    pixel_shape: Fraction | None = None,
    container_format: str | None = None,
    pictures: Sequence[Pixels] | None = None,
    matrix: str | None = None,
    interlaced: bool = False,
) -> Path:
    """Encode `frames` pictures (or `pictures`) and return `path`.

    `size` is (width, height) as shown. `rotation` is the clockwise turn that a player applies:
    pictures are stored turned the other way, so that the shown picture is always `picture(i)`.
    `times` are seconds, one a frame; without them frames come at `rate`. `audio` names an
    encoder for a tone as long as the video. `colorspace` ("ITU601", "ITU709") is used and tagged,
    `matrix` is used and not tagged. `interlaced`: the lines of a picture are two moments.
    """
    rate = Fraction(rate).limit_denominator(1001)
    times = [float(i / rate) for i in range(frames)] if times is None else list(times)
    shown = [picture(i, size) for i in range(len(times))] if pictures is None else pictures
    with av.open(
        str(path), "w", format=container_format, container_options=dict(container_options or {})
    ) as output:
        stream = output.add_stream(
            codec, rate=rate, options={**_QUICK.get(codec, {}), **(options or {})}
        )
        turned = rotation % 180 == 90
        stream.width, stream.height = (size[1], size[0]) if turned else size
        if codec == "libx265" and stream.width < 62:
            # PyAV 18.1: "free(): invalid next size", at once or in a later test.
            raise ValueError(f"libx265 corrupts memory at a width of {stream.width} pixels")
        stream.pix_fmt = pix_fmt
        fixed_rate = path.suffix in (".avi", ".y4m") or codec not in _ANY_TIME
        ticks = 1 / rate if fixed_rate else Fraction(1, CLOCK)
        stream.codec_context.time_base = ticks
        stream.codec_context.thread_count = 1
        if colorspace is not None:
            stream.codec_context.colorspace = {"ITU709": 1, "ITU601": 6}[colorspace]
        if full_range:
            stream.codec_context.color_range = 2
        if pixel_shape is not None:
            stream.codec_context.sample_aspect_ratio = pixel_shape
        if interlaced:
            stream.codec_context.flags |= INTERLACED_DCT
        if rotation:
            stream.set_display_rotation(-rotation)
        sound = output.add_stream(audio, rate=audio_rate) if audio else None
        for pixels, seconds in zip(shown, times, strict=True):
            stored = np.ascontiguousarray(np.rot90(pixels, rotation // 90))
            frame = _coded(stored, pix_fmt, matrix or colorspace, full_range)
            frame.pts, frame.time_base = round(seconds / ticks), ticks
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if sound is not None:
            seconds = times[-1] + float(1 / rate) if audio_seconds is None else audio_seconds
            _add_tone(output, sound, seconds)
    return path


def _coded(stored: Pixels, pix_fmt: str, colorspace: str | None, full_range: bool) -> av.VideoFrame:
    rgb = av.VideoFrame.from_ndarray(stored, format="rgb24")
    if pix_fmt == "gray" and not full_range:  # swscale knows grey in full range only
        luma = rgb.reformat(format="yuv444p", dst_color_range="MPEG").to_ndarray()[0]
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(luma), format="gray")
    return rgb.reformat(
        format=pix_fmt,
        dst_colorspace=colorspace or "ITU601",
        dst_color_range="JPEG" if full_range else "MPEG",
    )


def _add_tone(output: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    rate = stream.codec_context.sample_rate
    wave = np.sin(np.arange(int(seconds * rate)) * (2 * np.pi * 440 / rate))
    samples = (wave * 8000).astype(np.int16)
    for start in range(0, len(samples), 1024):
        part = samples[np.newaxis, start : start + 1024]
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate, start
        frame.time_base = Fraction(1, rate)
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


def make_sound(path: Path, *, codec: str = "aac", seconds: float = 1.0) -> Path:
    """A file with a tone and no video."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=SAMPLE_RATE)
        _add_tone(output, stream, seconds)
    return path

from __future__ import annotations

import gc
import io
import resource
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type
from clips import BLUE, GREEN, RED, colours, index_of, make_clip, picture

from actionstream.video import VideoReader, from_webrtc, probe
from actionstream.video.picture import Orientation, shown_width

# 8 bit YUV and back, 4:2:0 and a light encoder move a saturated colour by a few steps of 255.
COLOUR_TOLERANCE = 6


def _colour_error(rgb: np.ndarray) -> int:
    return int(np.abs(np.subtract(colours(rgb), (RED, GREEN, BLUE))).max())


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_turned_video_comes_upright(tmp_path: Path, suffix: str, rotation: int) -> None:
    clip = make_clip(tmp_path / f"a{suffix}", rotation=rotation, frames=4, size=(64, 48))
    facts = probe(clip)
    assert (facts.rotation_degrees, facts.mirrored) == (rotation, False)
    assert (facts.width, facts.height) == (64, 48)
    with VideoReader(clip) as reader:
        for index, frame in enumerate(reader):
            rgb = frame.to_rgb()
            assert rgb.shape == (48, 64, 3)
            assert rgb.flags.c_contiguous
            assert index_of(rgb) == index
            assert _colour_error(rgb) <= COLOUR_TOLERANCE


@pytest.mark.parametrize("flips", [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_all_eight_orientations(degrees: int, flips: tuple[bool, bool]) -> None:
    # Written by FFmpeg, read by FFmpeg: a turn and mirrors through a real container.
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(-degrees, hflip=flips[0], vflip=flips[1])
        frame = av.VideoFrame.from_ndarray(picture(0, (64, 48)), format="rgb24")
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        frame = next(container.decode(video=0))
    orientation = Orientation.of(frame)
    matrix = np.eye(3, dtype=np.int32)  # a whole turn is written as no matrix
    if Type.DISPLAYMATRIX in frame.side_data:
        data = bytes(frame.side_data[Type.DISPLAYMATRIX])
        matrix = np.frombuffer(data, np.int32).reshape(3, 3)
    shown = orientation.apply(frame.to_ndarray(format="rgb24"))
    assert np.array_equal(shown, _by_definition(frame.to_ndarray(format="rgb24"), matrix))
    turned = np.rot90(picture(0, (64, 48)), -orientation.rotation_degrees // 90)
    expected = turned[:, ::-1] if orientation.mirrored else turned
    assert np.array_equal(orientation.apply(picture(0, (64, 48))), expected)


def _by_definition(stored: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Move every pixel by [x y 1] x matrix, the definition of MP4's display matrix."""
    linear = np.sign(matrix[:2, :2].astype(np.int64))
    height, width = stored.shape[:2]
    y, x = np.mgrid[:height, :width]
    moved = np.stack([x.ravel(), y.ravel()], 1) @ linear
    moved -= moved.min(0)
    shown = np.empty((*(moved.max(0)[::-1] + 1), 3), stored.dtype)
    shown[moved[:, 1], moved[:, 0]] = stored.reshape(-1, 3)
    return shown


@pytest.mark.parametrize(
    ("colorspace", "full_range"),
    [(None, False), ("ITU601", False), ("ITU709", False), ("ITU601", True), ("ITU709", True)],
)
def test_colours_survive_each_matrix_and_range(
    tmp_path: Path, colorspace: str | None, full_range: bool
) -> None:
    clip = make_clip(tmp_path / "a.mp4", colorspace=colorspace, full_range=full_range, frames=3)
    with VideoReader(clip) as reader:
        pictures = [frame.to_rgb() for frame in reader]
    assert [index_of(rgb) for rgb in pictures] == [0, 1, 2]
    assert max(_colour_error(rgb) for rgb in pictures) <= COLOUR_TOLERANCE


def test_untagged_high_definition_is_taken_as_709(tmp_path: Path) -> None:
    # Coded with the 709 matrix, tag removed: right at 720 lines, visibly wrong below.
    bsf = {"x264-params": "colormatrix=undef"}
    for size, right in (((1280, 720), True), ((64, 48), False)):
        clip = make_clip(
            tmp_path / "a.mp4",
            size=size,
            frames=1,
            pictures=[picture(0, size)],
            times=[0.0],
            matrix="ITU709",
            options=bsf,
        )
        with VideoReader(clip) as reader:
            rgb = next(reader).to_rgb()
        assert (_colour_error(rgb) <= COLOUR_TOLERANCE) is right


def test_an_interlaced_frame_shows_one_moment(tmp_path: Path) -> None:
    size = (64, 64)
    top, bottom = picture(2, size), picture(20, size)
    woven = top.copy()
    woven[1::2] = bottom[1::2]
    clip = make_clip(
        tmp_path / "a.mp4",
        size=size,
        pictures=[woven] * 3,
        times=[0, 0.04, 0.08],
        options={"x264-params": "tff=1", "preset": "medium"},
        interlaced=True,
    )
    with VideoReader(clip) as reader:
        frames = [frame.to_rgb() for frame in reader]
    assert len(frames) == 3
    for rgb in frames:
        assert rgb.shape == (64, 64, 3)
        assert index_of(rgb) == 2
        inner = rgb[36:60, 36:60].astype(int)
        # The two moments are 144 steps apart; ringing at the colour's edge is a few.
        assert np.abs(np.diff(inner, axis=0)).max() <= 10, "comb lines"
        assert _colour_error(rgb) <= COLOUR_TOLERANCE


def test_pixels_that_are_not_square_are_stretched(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", pixel_shape=Fraction(4, 3), size=(72, 48), frames=2)
    facts = probe(clip)
    assert (facts.width, facts.height) == (96, 48)
    with VideoReader(clip) as reader:
        rgb = next(reader).to_rgb()
    assert rgb.shape == (48, 96, 3)
    assert _colour_error(rgb) <= COLOUR_TOLERANCE


@pytest.mark.parametrize(
    ("shape", "width"),
    [
        (None, 720),
        (Fraction(0), 720),
        (Fraction(1), 720),
        (Fraction(64, 45), 1024),
        (Fraction(8, 9), 640),
        (Fraction(1, 1000), 720),
        (Fraction(1000), 720),
        (Fraction(4319, 4320), 720),
    ],
)
def test_shown_width(shape: Fraction | None, width: int) -> None:
    assert shown_width(720, shape) == width


def test_transparent_pictures_lose_their_alpha_only(tmp_path: Path) -> None:
    for name, codec, pix_fmt in (
        ("a.webm", "libvpx-vp9", "yuva420p"),
        ("a.mov", "png", "rgba"),
        ("b.mov", "qtrle", "argb"),
    ):
        clip = make_clip(tmp_path / name, codec=codec, pix_fmt=pix_fmt, frames=3)
        with VideoReader(clip) as reader:
            pictures = [frame.to_rgb() for frame in reader]
        assert [index_of(rgb) for rgb in pictures] == [0, 1, 2]
        assert max(_colour_error(rgb) for rgb in pictures) <= COLOUR_TOLERANCE


def test_a_frame_outlives_its_reader(tmp_path: Path) -> None:
    with VideoReader(make_clip(tmp_path / "a.mp4", frames=3)) as reader:
        frames = list(reader)
    assert [index_of(frame.to_rgb()) for frame in frames] == [0, 1, 2]
    assert np.array_equal(frames[1].to_rgb(), frames[1].to_rgb())
    assert repr(frames[1]) == "DecodedFrame(64x48 stored, time_seconds=0.040)"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_converted_frames_are_let_go_of_at_once(tmp_path: Path) -> None:
    # Without the garbage collector: pixels must not hang in reference cycles until it runs.
    clip = make_clip(tmp_path / "a.mp4", size=(640, 480), frames=200)
    gc.collect()
    gc.disable()
    try:
        with VideoReader(clip, threads=1) as reader:
            before = 0
            for index, frame in enumerate(reader):
                webrtc = frame._frame
                assert from_webrtc(webrtc).shape == frame.to_rgb().shape
                before = before or (_resident_bytes() if index == 20 else 0)
        grown = _resident_bytes() - before
    finally:
        gc.enable()
    # 180 frames of 460 kB would be 83 MB.
    assert grown < 20e6


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()

"""The one geometry: which pixels the encoder sees, and with which kernel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actionstream.errors import FrameError
from actionstream.inference.preprocess import CENTRE, Geometry, Window, cut, fingerprint, preprocess

SMALL = Geometry(input_size=32)


def plain(height: int, width: int, colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((height, width, 3), colour, dtype=np.uint8)


@pytest.mark.parametrize("size", [(24, 30), (240, 320), (32, 32), (17, 99)])
@pytest.mark.parametrize("colour", [(250, 5, 10), (0, 0, 255), (1, 2, 3)])
def test_red_stays_red(size: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """Channels keep their order and values, grown or shrunk: nothing is normalised here."""
    seen = preprocess(plain(*size, colour), SMALL)
    assert (seen == np.array(colour, np.uint8)).all()


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 500), (500, 1), (31, 33), (241, 321), (1080, 1920), (1920, 1080)]
)
@pytest.mark.parametrize("fraction", [1.0, 0.875, 0.1])
def test_every_size_gives_the_input(size: tuple[int, int], fraction: float) -> None:
    seen = preprocess(plain(*size, (9, 8, 7)), Geometry(33, fraction))
    assert seen.shape == (33, 33, 3)
    assert seen.dtype == np.uint8
    assert seen.flags.c_contiguous
    assert seen.flags.owndata


def test_the_result_is_an_array_of_its_own() -> None:
    """Of the frame's size already, too: writing to the one must not change the other."""
    frame = plain(32, 32, (1, 1, 1))
    for window in (CENTRE, Window(flip=True)):
        seen = preprocess(frame, SMALL, window)
        seen[:] = 200
        assert (frame == 1).all()


def test_the_centre_is_cut_out() -> None:
    """Left and right thirds red, the square in the middle blue: only blue is seen."""
    frame = plain(32, 96, (255, 0, 0))
    frame[:, 32:64] = (0, 0, 255)
    assert (preprocess(frame, SMALL) == (0, 0, 255)).all()


def test_the_window_fraction_is_of_the_shorter_side() -> None:
    assert cut(320, 240, Geometry(224, 1.0)) == (40, 0, 240)
    assert cut(320, 240, Geometry(224, 0.875)) == (55, 15, 210)
    assert cut(240, 320, Geometry(224, 0.5)) == (60, 100, 120)


def test_shrinking_takes_the_mean_of_an_area() -> None:
    """One-pixel stripes of 0 and 255 become grey; dropping pixels would leave one of the two."""
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[:, ::2] = 255
    seen = preprocess(frame, SMALL)
    assert seen.min() >= 127
    assert seen.max() <= 128


def test_shrinking_by_a_half_is_the_exact_block_mean() -> None:
    frame = np.random.default_rng(5).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    means = frame.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    # OpenCV rounds to the nearest integer: half a step, and float noise.
    assert np.abs(preprocess(frame, SMALL) - means).max() <= 0.5 + 1e-3


def test_shrinking_by_an_odd_ratio_weighs_by_area() -> None:
    """100 pixels to 32: each new pixel holds 3.125 old ones. The mean over all stays."""
    frame = np.random.default_rng(6).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    assert preprocess(frame, SMALL).mean() == pytest.approx(frame.mean(), abs=0.1)


def test_growing_is_linear() -> None:
    """A step from 0 to 200 becomes a ramp: new values lie between and never turn back."""
    frame = plain(16, 16, (0, 0, 0))
    frame[:, 8:] = 200
    row = preprocess(frame, SMALL)[0, :, 0].astype(int)
    assert (np.diff(row) >= 0).all()
    assert (row[0], row[-1]) == (0, 200)
    assert sorted(set(row) - {0, 200}) == [50, 150]


def test_a_flip_mirrors_and_nothing_else() -> None:
    frame = np.random.default_rng(7).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    assert (preprocess(frame, SMALL, Window(flip=True)) == preprocess(frame, SMALL)[:, ::-1]).all()


def test_the_shift_moves_the_window_to_the_edges() -> None:
    half = Window(scale=0.5)
    assert cut(320, 240, SMALL, half) == (100, 60, 120)
    assert cut(320, 240, SMALL, Window(0.5, (-1, -1))) == (0, 0, 120)
    assert cut(320, 240, SMALL, Window(0.5, (1, 1))) == (200, 120, 120)
    assert cut(320, 240, SMALL, Window(0.5, (1, -1))) == (200, 0, 120)


def test_a_moved_window_sees_what_is_there() -> None:
    frame = plain(64, 64, (0, 0, 0))
    frame[:32, 32:] = (10, 20, 30)
    assert (preprocess(frame, SMALL, Window(0.5, (1, -1))) == (10, 20, 30)).all()
    assert (preprocess(frame, SMALL, Window(0.5, (-1, 1))) == 0).all()


@given(
    width=st.integers(1, 2000),
    height=st.integers(1, 2000),
    fraction=st.floats(0.1, 1.0),
    scale=st.floats(0.05, 10.0),
    shift=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
)
def test_law_the_window_lies_in_the_frame(
    width: int, height: int, fraction: float, scale: float, shift: tuple[float, float]
) -> None:
    left, top, side = cut(width, height, Geometry(224, fraction), Window(scale, shift))
    assert 1 <= side <= min(width, height)
    assert 0 <= left <= width - side
    assert 0 <= top <= height - side


@given(width=st.integers(1, 2000), height=st.integers(1, 2000), fraction=st.floats(0.1, 1.0))
def test_law_the_centre_window_is_in_the_middle(width: int, height: int, fraction: float) -> None:
    left, top, side = cut(width, height, Geometry(224, fraction))
    assert abs(left - (width - side - left)) <= 1
    assert abs(top - (height - side - top)) <= 1


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((32, 32, 3), np.float32),
        np.zeros((32, 32), np.uint8),
        np.zeros((32, 32, 4), np.uint8),
        np.zeros((0, 32, 3), np.uint8),
        "clip.mp4",
    ],
)
def test_another_kind_of_picture_is_refused(frame: object) -> None:
    with pytest.raises(FrameError, match=r"\[H, W, 3\]"):
        preprocess(frame, SMALL)  # type: ignore[arg-type]


def test_a_view_that_is_not_contiguous_is_seen_right() -> None:
    frame = np.random.default_rng(8).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    view = frame[::2, ::4]
    assert (preprocess(view, SMALL) == preprocess(np.ascontiguousarray(view), SMALL)).all()


@pytest.mark.parametrize("size", [0, 15, 1025, -224])
def test_an_impossible_input_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"16 to 1024 pixels, got {size}"):
        Geometry(size)


@pytest.mark.parametrize("fraction", [0.0, 0.09, 1.01, float("nan")])
def test_an_impossible_window_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"0\.1 to 1, got"):
        Geometry(224, fraction)


def test_the_fingerprint_tells_every_difference() -> None:
    """It stands in every bundle's card: a change here makes all old bundles unreadable."""
    prints = {
        fingerprint(Geometry(224, 0.875), 0.2),
        fingerprint(Geometry(225, 0.875), 0.2),
        fingerprint(Geometry(224, 0.876), 0.2),
        fingerprint(Geometry(224, 0.875), 0.21),
    }
    assert len(prints) == 4
    assert all(len(text) == 16 and int(text, 16) >= 0 for text in prints)
    assert fingerprint(Geometry(224, 1.0), 0.2) == fingerprint(Geometry(224), 0.2)


def test_the_kernel_version_is_in_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(SMALL, 0.2)
    monkeypatch.setattr("actionstream.inference.preprocess.KERNEL_VERSION", 2)
    assert fingerprint(SMALL, 0.2) != before

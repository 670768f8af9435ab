"""Training windows are the rings that inference would read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from actionstream.datasets.split import Clip
from actionstream.inference.sampling import WINDOW
from actionstream.training.common.windows import (
    Features,
    Sample,
    cut_window,
    inference_windows,
    random_windows,
)

CLIP = Clip(Path("a.mp4"), "A", "g", "a")


def rows(count: int) -> np.ndarray:
    """Row i is full of the number i."""
    return np.repeat(np.arange(count, dtype=np.float16)[:, None], 3, axis=1)


def sample(filled: list[int]) -> Sample:
    features = Features(rows(len(filled)), np.array(filled, np.int16))
    return Sample(CLIP, 0, (features.ticks(),), features.ends())


def test_a_window_is_the_16_ticks_before_its_end() -> None:
    assert cut_window(rows(40), 30)[:, 0].tolist() == list(range(14, 30))


def test_a_short_ring_has_its_oldest_look_in_front() -> None:
    assert cut_window(rows(40), 4)[:, 0].tolist() == [0] * 13 + [1, 2, 3]


def test_inference_reads_after_every_look_from_ready_after_on() -> None:
    windows = inference_windows(sample([1] * 10), ready_after=6)
    assert windows.shape == (5, WINDOW, 3)
    assert windows.dtype == np.float32
    assert windows[:, -1, 0].tolist() == [5, 6, 7, 8, 9]


def test_a_look_that_filled_three_ticks_gives_one_reading() -> None:
    windows = inference_windows(sample([1, 3, 3]), ready_after=4)
    assert windows.shape[0] == 2
    assert windows[0, :, 0].tolist() == [0] * 13 + [1, 1, 1]
    assert windows[1, -4:, 0].tolist() == [1, 2, 2, 2]


def test_a_clip_too_short_has_one_padded_window() -> None:
    windows = inference_windows(sample([1, 1]), ready_after=6)
    assert windows.shape == (1, WINDOW, 3)
    assert windows[0, :, 0].tolist() == [0] * 15 + [1]


def test_random_windows_are_among_those_that_inference_reads() -> None:
    one = sample([1] * 30)
    seen_live = {window.tobytes() for window in inference_windows(one, 6)}
    drawn = random_windows([one] * 200, 6, np.random.default_rng(0))
    assert {window.tobytes() for window in drawn} <= seen_live
    assert len({window.tobytes() for window in drawn}) > 15


@pytest.mark.parametrize("filled", [[1] * 20, [2, 1, 5, 1, 1], [1, 1]])
def test_windows_equal_the_rings_of_a_stream(filled: list[int]) -> None:
    """The store's windows against `look.window` on the same looks."""
    from actionstream.inference.look import StreamState, window

    one = sample(filled)
    rings, ring = [], np.zeros((0, 3), np.float32)
    for feature, count in zip(rows(len(filled)).astype(np.float32), filled, strict=True):
        ring = np.concatenate([ring, np.repeat(feature[None], count, axis=0)])[-WINDOW:]
        rings.append(window(StreamState(ring=ring)))
    expected = [r for r, end in zip(rings, one.ends, strict=True) if end >= 6] or rings[-1:]
    assert np.array_equal(inference_windows(one, 6), np.stack(expected))

"""Training windows are what a stream would see, whoever decodes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import clips
import moving
import numpy as np
import pytest

from actionstream.datasets import Clip
from actionstream.inference.preprocess import Geometry
from actionstream.inference.sampling import SamplingRule
from actionstream.training.common.looks import View
from actionstream.training.common.recipe import CLASSIC
from actionstream.training.common.windows import cut_window
from actionstream.training.end_to_end.frames import (
    FrameLoader,
    Pictures,
    draw_window,
    read_pictures,
)

pytestmark = pytest.mark.torch

RULE = SamplingRule(0.1, 1.5)
GEOMETRY = Geometry(48)
TINY = replace(CLASSIC, input_size=16, spacing_seconds=0.1, batch_size=3)


def _clip(path: Path) -> Clip:
    return Clip(path, "Run", path.stem, path.stem)


def test_looks_are_those_of_the_sampling_rule(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.09, 0.1, 0.21, 0.22, 0.55, 0.6, 0.61]
    clip = _clip(clips.make_clip(tmp_path / "a.mp4", times=times))
    pictures = read_pictures(clip.path, GEOMETRY, RULE)
    assert [_index(image) for image in pictures.images] == [0, 3, 4, 6, 7]
    assert pictures.filled.tolist() == [1, 1, 1, 3, 1]


def _index(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> int:
    """The number of a picture of `clips.picture` in its centre square of 48 pixels."""
    grey = float(image[30:42, 30:42].mean())
    return round((grey - clips.GREY_FIRST) / clips.GREY_STEP)


def test_a_view_moves_time_and_mirrors(tmp_path: Path) -> None:
    clip = _clip(clips.make_clip(tmp_path / "a.mp4", frames=20))  # every 0.04 s
    twice = read_pictures(clip.path, GEOMETRY, RULE, View(speed=2.0, phase=0.5))
    assert [_index(image) for image in twice.images] == [3, 8, 13, 18]  # from 0.1 s, every 0.2 s
    mirrored = View(window=replace(View().window, flip=True))
    plain, flipped = (read_pictures(clip.path, GEOMETRY, RULE, one) for one in (View(), mirrored))
    np.testing.assert_array_equal(flipped.images, plain.images[:, :, ::-1])


def test_a_clip_that_ends_before_its_first_tick_starts_it_at_once(tmp_path: Path) -> None:
    single = clips.make_clip(tmp_path / "a.mp4", frames=1)
    pictures = read_pictures(single, GEOMETRY, RULE, View(phase=0.5))
    assert pictures.filled.tolist() == [1]


@pytest.mark.parametrize("filled", [[1] * 30, [1, 2, 1, 5, 1, 1], [1, 1]])
def test_windows_are_those_that_a_stream_reads(filled: list[int]) -> None:
    """Each window that inference reads is drawn, and no other."""
    count = len(filled)
    images = np.broadcast_to(
        np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 2, 2, 3)
    )
    pictures = Pictures(images, np.array(filled, dtype=np.int16))
    ticks = np.repeat(np.arange(count), filled)
    ends = [end for end in np.cumsum(filled) if end >= 4] or [len(ticks)]
    expected = {tuple(cut_window(ticks, int(end))) for end in ends}
    random = np.random.default_rng(0)
    drawn = [draw_window(pictures, 4, random) for _ in range(400)]
    assert {tuple(int(one) for one in window[:, 0, 0, 0]) for window in drawn} == expected
    assert drawn[0].shape == (16, 2, 2, 3)


def test_batches_do_not_depend_on_who_loads_them(tmp_path: Path) -> None:
    listed = [
        _clip(moving.write_clip(tmp_path / f"{number}.mp4", number / 7, seed=number, frames=12))
        for number in range(7)
    ]
    broken = _clip(tmp_path / "broken.mp4")
    broken.path.write_bytes(b"no video")
    everything = [*listed, broken]
    epochs = {}
    for workers in (0, 3):
        with FrameLoader(TINY, seed=5, workers=workers) as loader:
            epochs[workers] = [list(loader.batches(everything, epoch)) for epoch in (0, 1)]
    for alone, threaded in zip(epochs[0], epochs[3], strict=True):
        assert [len(batch.clips) + len(batch.failed) for batch in alone] == [3, 3, 2]
        assert sorted(c.stem for batch in alone for c in batch.clips) == [c.stem for c in listed]
        failed = [one for batch in alone for one in batch.failed]
        assert [clip for clip, _ in failed] == [broken]
        assert str(broken.path) in failed[0][1]
        for one, other in zip(alone, threaded, strict=True):
            assert one.clips == other.clips
            np.testing.assert_array_equal(one.windows, other.windows)
    first, second = ([c.stem for b in epoch for c in b.clips] for epoch in epochs[0])
    assert first != second  # every epoch has its own order
    windows = [
        {clip.stem: window for b in epoch for clip, window in zip(b.clips, b.windows, strict=True)}
        for epoch in epochs[0]
    ]
    assert all((windows[0][c.stem] != windows[1][c.stem]).any() for c in listed)  # and views


def test_a_clip_shorter_than_a_phase_still_trains(tmp_path: Path) -> None:
    clip = _clip(clips.make_clip(tmp_path / "short.mp4", frames=1))
    with FrameLoader(TINY, seed=0, workers=0) as loader:
        batches = [next(loader.batches([clip], epoch)) for epoch in range(3)]
    assert [batch.windows.shape for batch in batches] == [(1, 16, 16, 16, 3)] * 3

"""Views: drawn from seed, stem and number alone; view 0 is what inference sees."""

from __future__ import annotations

import numpy as np

from actionstream.inference.preprocess import CENTRE, Geometry, preprocess
from actionstream.training.common.looks import PLAIN, SPEEDS, View, draw_view, jitter_colors


def test_view_0_is_the_served_view_and_leaves_the_picture_alone() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert draw_view("v_PushUps_g08_c01", 0) == PLAIN == View()
    assert draw_view("x", 0).window == CENTRE
    assert jitter_colors(image, PLAIN) is image


def test_a_view_is_drawn_again_alike_and_differs_by_seed_stem_and_number() -> None:
    view = draw_view("a", 1, seed=3)
    assert view == draw_view("a", 1, seed=3)
    assert view not in (draw_view("a", 1, seed=4), draw_view("b", 1, seed=3))
    assert view != draw_view("a", 2, seed=3)


def test_views_stay_in_their_ranges_and_every_second_is_mirrored() -> None:
    views = [draw_view(f"clip{i}", number) for i in range(50) for number in (1, 2)]
    assert [view.window.flip for view in views] == [True, False] * 50
    assert all(SPEEDS[0] <= view.speed <= SPEEDS[1] for view in views)
    assert all(0 <= view.phase < 1 for view in views)
    assert min(view.speed for view in views) < 0.85 < 1.2 < max(view.speed for view in views)


def test_the_window_and_the_flip_reach_the_pixels() -> None:
    frame = np.zeros((60, 80, 3), np.uint8)
    frame[:, 40:] = (200, 0, 0)
    flipped = draw_view("a", 1).window
    straight = preprocess(frame, Geometry(20), CENTRE)
    mirrored = preprocess(frame, Geometry(20), type(flipped)(flip=True))
    assert (mirrored == straight[:, ::-1]).all()
    assert straight[0, -1, 0] == 200
    assert straight[0, 0, 0] == 0


def test_color_jitter_by_hand() -> None:
    image = np.full((2, 2, 3), (100, 50, 200), np.uint8)
    grey = 0.299 * 100 + 0.587 * 50 + 0.114 * 200
    assert np.abs(jitter_colors(image, View(gain=0.5)).astype(float) - [50, 25, 100]).max() <= 1
    assert np.abs(jitter_colors(image, View(saturation=0.0)).astype(float) - grey).max() <= 1
    flat = jitter_colors(image, View(contrast=0.0)).astype(float)
    assert np.abs(flat - grey).max() <= 1
    assert jitter_colors(image, View(gain=3.0)).max() == 255

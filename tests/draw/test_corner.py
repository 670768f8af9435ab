"""The plate stands where least is to be seen, and seldom moves."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from actionstream.draw import Corner, draw_reading
from actionstream.draw.layout import CORNERS, CornerName
from actionstream.results import Candidate, Pixels

HEIGHT, WIDTH = 240, 320


def busy(*corners: CornerName, seed: int = 0) -> Pixels:
    """A grey picture with noise in the quarters of these corners."""
    picture = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    noise = np.random.default_rng(seed)
    for corner in corners:
        rows = slice(0, HEIGHT // 2) if "top" in corner else slice(HEIGHT // 2, None)
        columns = slice(0, WIDTH // 2) if "left" in corner else slice(WIDTH // 2, None)
        picture[rows, columns] = noise.integers(0, 255, (HEIGHT // 2, WIDTH // 2, 3))
    return picture


def test_without_a_reason_it_is_the_upper_left() -> None:
    chooser = Corner()
    assert {chooser.choose(busy()) for _ in range(5)} == {"top left"}
    assert chooser.choose(busy(*CORNERS)) == "top left"


@pytest.mark.parametrize("empty", CORNERS)
def test_it_is_the_corner_that_is_left_empty(empty: CornerName) -> None:
    full = [corner for corner in CORNERS if corner != empty]
    assert Corner().choose(busy(*full)) == empty


def test_it_moves_only_when_another_corner_stays_emptier() -> None:
    chooser = Corner()
    for seed in range(150):
        assert chooser.choose(busy("bottom left", "bottom right", seed=seed)) == "top left"
    moved = [chooser.choose(busy("top left", "bottom left", seed=seed)) for seed in range(60)]
    assert moved[0] == "top left", "a moment is no reason"
    assert moved[-1] == "top right"
    assert sum(one != other for one, other in itertools.pairwise(moved)) == 1


@pytest.mark.parametrize("corner", CORNERS)
def test_only_that_quarter_is_drawn_on(corner: CornerName) -> None:
    before = busy()
    top = [Candidate("PushUps", 0.9), Candidate("Punch", 0.1)]
    after = draw_reading(before, "PushUps", 0.9, top, corner=corner)
    rows, columns = np.nonzero((before != after).any(axis=2))
    assert (rows.mean() < HEIGHT / 2) == ("top" in corner)
    assert (columns.mean() < WIDTH / 2) == ("left" in corner)
    same = draw_reading(before, "PushUps", 0.9, top)
    assert (before != after).sum() == (before != same).sum()


def test_a_change_of_size_is_taken() -> None:
    chooser = Corner()
    chooser.choose(busy("top left"))
    assert chooser.choose(busy("top left")[:100, :100]) in CORNERS
    assert chooser.choose(np.zeros((8, 8, 3), np.uint8)) in CORNERS

"""Text that fits, and that is not question marks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actionstream.draw.labels import visible
from actionstream.draw.text import BOLD, REGULAR, Text, fit, write, write_right
from actionstream.results import Pixels

WHITE = (255, 255, 255)


def ink(words: str, size: int = 40, weight: int = REGULAR) -> Pixels:
    picture = np.zeros((80, 600, 3), dtype=np.uint8)
    write(picture, Text(words, size, weight), 10, 55, WHITE)
    return picture


def columns(picture: Pixels) -> tuple[int, int]:
    found = np.flatnonzero(picture.any(axis=(0, 2)))
    return int(found[0]), int(found[-1])


@pytest.mark.parametrize("words", ["дзюдо", "武术", "태권도", "café", "Größe", "άλμα", "あ", "ж"])
def test_other_scripts_are_drawn_not_question_marks(words: str) -> None:
    drawn = ink(words)
    assert np.count_nonzero(drawn) > 300 * len(words) / 2
    assert not np.array_equal(drawn, ink("?" * len(words)))
    assert not np.array_equal(drawn, ink(words[::-1])) or len(words) == 1


def test_ink_stays_within_the_measured_width() -> None:
    text = Text("Handstand Pushups", 40, BOLD)
    first, last = columns(ink(text.words, 40, BOLD))
    assert 10 <= first <= 14
    assert 10 + text.width - 5 <= last < 10 + text.width + 1


def test_right_aligned_text_ends_where_told() -> None:
    picture = np.zeros((80, 600, 3), dtype=np.uint8)
    write_right(picture, Text("97%", 40), 500, 55, WHITE)
    assert 494 <= columns(picture)[1] <= 500


def test_what_fits_is_left_alone_and_what_does_not_is_shrunk_then_cut() -> None:
    text = Text("Rock Climbing Indoor", 20)
    assert fit(text, text.width, smallest=10) == text
    shrunk = fit(text, text.width - 1, smallest=10)
    assert (shrunk.words, shrunk.size) == (text.words, 19)
    assert fit(text, Text(text.words, 10).width, smallest=10).size == 10
    cut = fit(text, Text("Rock Climbing", 10).width, smallest=10)
    assert cut == Text("Rock Climbin…", 10)
    assert fit(text, 2, smallest=10).words == ""


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400).map(visible), st.integers(0, 300), st.integers(8, 40))
def test_fitted_text_is_never_wider_than_its_room(words: str, width: int, size: int) -> None:
    fitted = fit(Text(words, size), width, smallest=8)
    assert fitted.width <= width
    assert 8 <= fitted.size <= size


def test_threads_draw_the_same_letters_as_one_alone() -> None:
    wanted = {weight: ink("Playing Piano", 40, weight) for weight in (REGULAR, BOLD)}

    def differences(weight: int) -> int:
        drawn = (ink("Playing Piano", 40, weight) for _ in range(200))
        return sum(not np.array_equal(one, wanted[weight]) for one in drawn)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(differences, [REGULAR, BOLD] * 2)) == [0, 0, 0, 0]

"""How labels are said and coloured."""

from __future__ import annotations

import unicodedata
from itertools import combinations
from pathlib import Path

import pytest

from actionstream.draw import colour_of, percent, spoken


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("PlayingPiano", "Playing Piano"),
        ("TaiChi", "Tai Chi"),
        ("YoYo", "Yo Yo"),
        ("HandstandPushups", "Handstand Pushups"),
        ("brush_hair", "brush hair"),
        ("tai chi", "tai chi"),
        ("TVShow", "TV Show"),
        ("noFight", "no Fight"),
        ("Step2Left", "Step2 Left"),
        ("ÜbungÄrger", "Übung Ärger"),
        ("武术", "武术"),
        ("  a\tb\nc\x00_ ", "a b c"),
        ("A", "A"),
        ("", ""),
    ],
)
def test_labels_are_said_as_people_write_them(label: str, words: str) -> None:
    assert spoken(label) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [
        *[(1.0, ">99%"), (0.995, ">99%"), (0.9949, "99%"), (0.5, "50%"), (0.005, "<1%")],
        *[(0.0051, "1%"), (0.0049, "<1%"), (0.0, "<1%"), (float("nan"), "<1%")],
    ],
)
def test_nothing_is_said_to_be_certain(share: float, words: str) -> None:
    assert percent(share) == words


def test_an_accent_stored_apart_is_joined_and_a_broken_byte_dropped() -> None:
    assert spoken(unicodedata.normalize("NFD", "café")) == "café"
    assert spoken("caf\udce9") == "caf"


def test_a_label_has_one_colour_for_ever() -> None:
    assert colour_of("PushUps") == (72, 96, 190)
    assert colour_of("caf\udce9") == colour_of("caf\udce9")
    assert colour_of(None) == (146, 152, 160)


def test_colours_are_apart_and_seen_on_both_grounds() -> None:
    colours = {colour_of(f"action {number}") for number in range(2000)}
    assert len(colours) == 48
    for one, other in combinations(colours, 2):
        assert sum(abs(a - b) for a, b in zip(one, other, strict=True)) >= 20
    for colour in colours:
        assert 40 < 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] < 200


@pytest.mark.clips
def test_the_27_actions_at_hand_have_27_colours(data_dir: Path) -> None:
    labels = [folder.name for folder in (data_dir / "ucf101").iterdir() if folder.is_dir()]
    assert len(labels) == 27
    assert len({colour_of(label) for label in labels}) == 27

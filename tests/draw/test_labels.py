"""How labels are said and coloured."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from actionstream.bundle.card import CARD_NAME, parse
from actionstream.bundle.folder import resolve
from actionstream.draw import colour_of, display_name, headline, percent
from actionstream.results import Answer, Segment


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
        (None, "no known action"),
    ],
)
def test_labels_are_said_as_people_write_them(label: str | None, words: str) -> None:
    assert display_name(label) == words


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
    assert display_name(unicodedata.normalize("NFD", "café")) == "café"
    assert display_name("caf\udce9") == "caf"


def test_a_label_has_one_colour_for_ever() -> None:
    assert colour_of("PushUps") == (130, 203, 155)
    assert colour_of("caf\udce9") == colour_of("caf\udce9")
    assert colour_of(None) == (146, 152, 160)


def test_colours_are_apart_and_seen_on_both_grounds() -> None:
    colours = {colour_of(f"action {number}") for number in range(2000)}
    assert len(colours) == 63
    for one, other in combinations(colours, 2):
        assert sum(abs(a - b) for a, b in zip(one, other, strict=True)) >= 20
    for colour in colours:
        assert 40 < 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] < 200


def test_the_actions_of_the_shipped_bundle_have_different_colours() -> None:
    labels = parse((resolve() / CARD_NAME).read_bytes()).labels
    assert len({colour_of(label) for label in labels}) == len(labels) >= 30


def test_several_actions_are_named_with_their_times() -> None:
    parts = (
        Segment(0.0, 6.8, "JumpingJack", 0.9),
        Segment(6.8, 8.0, None, None),
        Segment(8.0, 14.2, "Biking", 0.8),
    )
    labels, probabilities = ("Biking", "JumpingJack"), np.array([0.6, 0.4], np.float32)
    answer = Answer("a.mp4", labels, probabilities, known=True, segments=parts)
    assert headline(answer) == "Biking"
    assert headline(replace(answer, several=True)) == "Jumping Jack 0-7 s, Biking 8-14 s"
    assert headline(replace(answer, known=False)) == "no known action"
    many = replace(answer, several=True, segments=parts * 5)
    assert headline(many).endswith(", …")

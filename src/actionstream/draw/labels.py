"""How a label is said and which colour it has."""

from __future__ import annotations

import math
import unicodedata
import zlib

from actionstream.results import Answer

Colour = tuple[int, int, int]

UNKNOWN = "no known action"
UNKNOWN_COLOUR: Colour = (146, 152, 160)

MOST_TOLD = 6
"""Segments that a headline of several actions names."""

_HUES = 21  # steps round the colour circle
_TONES = ((0.52, 0.15), (0.66, 0.15), (0.78, 0.10))  # OKLCH lightness and chroma
_SALT = 319947  # the first that gives the 37 actions of the shipped bundles 37 different colours


def display_name(label: str | None) -> str:
    """The label as people write it: "PlayingPiano" is "Playing Piano", None "no known action".

    A space goes before a capital that follows a small letter or a digit, and before the last
    capital of a run that begins a word ("TVShow" is "TV Show"). Characters that cannot be seen
    are dropped; accents stored apart from their letter, as macOS does in file names, are joined
    to it, since fonts draw them together.
    """
    if label is None:
        return UNKNOWN
    text = unicodedata.normalize("NFC", label).replace("_", " ")
    return visible("".join(f" {c}" if _begins_word(text, i) else c for i, c in enumerate(text)))


def visible(text: str) -> str:
    """`text` on one line, without the characters that no font draws."""
    return " ".join("".join(c for c in text if c.isprintable() or c.isspace()).split())


def percent(share: float) -> str:
    """A share of 1 as a whole percentage of at most four characters.

    What would round to certainty is ">99%" or "<1%", because no model is sure. NaN counts as 0.
    """
    if not share > 0.005:
        return "<1%"
    return f"{share:.0%}" if share < 0.995 else ">99%"


def headline(answer: Answer) -> str:
    """What an answer says in a line: its action, or several with their times.

    "Jumping Jack 0-7 s, Biking 7-14 s"
    """
    if not answer.several:
        return display_name(answer.label)
    told = [
        f"{display_name(part.label)} {part.start_seconds:.0f}-{part.end_seconds:.0f} s"
        for part in answer.segments
        if part.label is not None
    ]
    return ", ".join([*told[:MOST_TOLD], *(["…"] if len(told) > MOST_TOLD else [])])


def _begins_word(text: str, index: int) -> bool:
    if index == 0 or not text[index].isupper():
        return False
    before, after = text[index - 1], text[index + 1 : index + 2]
    return before.islower() or before.isdigit() or (before.isupper() and after.islower())


def colour_of(label: str | None) -> Colour:
    """The RGB colour of a label: the same on every machine and in every run; None is grey.

    One of 63 colours of three tones, all readable on white and on near-black.
    """
    if label is None:
        return UNKNOWN_COLOUR
    name = unicodedata.normalize("NFC", label).encode("utf-8", "surrogatepass")
    number = zlib.crc32(name, _SALT) % (_HUES * len(_TONES))
    lightness, chroma = _TONES[number // _HUES]
    return _from_oklch(lightness, chroma, 2 * math.pi * (number % _HUES) / _HUES)


def _from_oklch(lightness: float, chroma: float, hue: float) -> Colour:
    """OKLCH to sRGB, clipped to the gamut (Ottosson, "A perceptual color space", 2020)."""
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short
    return _to_byte(red), _to_byte(green), _to_byte(blue)


def _to_byte(linear: float) -> int:
    value = min(max(linear, 0.0), 1.0)
    curved = 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
    return round(255 * curved)

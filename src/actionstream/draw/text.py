"""Text on pictures, with the TrueType fonts that OpenCV 5 carries (Latin, Cyrillic, Greek, CJK)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from actionstream.draw.labels import Colour
from actionstream.results import Pixels

REGULAR, BOLD = 450, 700
CAP_HEIGHT = 0.73  # of the size, baseline to the top of a capital
_ELLIPSIS = "…"
_LONGEST = 200  # characters that are looked at: no label is longer and no picture wide enough


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text at a size in pixels and a weight of 100 to 900."""

    words: str
    size: int
    weight: int = REGULAR

    @property
    def width(self) -> int:
        """Pixels from the first letter to the end of the last."""
        if not self.words:
            return 0
        box = cv2.getTextSize((0, 0), self.words, (0, 0), _face(), self.size, self.weight)
        return box[2]


def fit(text: Text, width: int, *, smallest: int) -> Text:
    """`text`, made to fit `width` pixels: shrunk down to `smallest`, then cut with an ellipsis.

    What does not fit even as a lone ellipsis comes back empty.
    """
    text = Text(text.words[:_LONGEST], text.size, text.weight)
    if text.width <= width:
        return text
    shrunk = int(text.size * width / text.width)
    for size in range(min(shrunk + 1, text.size - 1), smallest - 1, -1):
        if (smaller := Text(text.words, size, text.weight)).width <= width:
            return smaller
    return _cut(Text(text.words, min(smallest, text.size), text.weight), width)


def _cut(text: Text, width: int) -> Text:
    """The longest beginning of `text` that fits together with an ellipsis, by bisection."""
    fits, fails = -1, len(text.words)
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if _beginning(text, middle).width <= width:
            fits = middle
        else:
            fails = middle
    return Text("", text.size, text.weight) if fits < 0 else _beginning(text, fits)


def _beginning(text: Text, length: int) -> Text:
    return Text(text.words[:length].rstrip() + _ELLIPSIS, text.size, text.weight)


def write(picture: Pixels, text: Text, left: int, baseline: int, colour: Colour) -> None:
    """Draw `text` onto `picture` in place; what lies outside is cut off."""
    if text.words:
        face = _face()
        cv2.putText(picture, text.words, (left, baseline), colour, face, text.size, text.weight)


def write_right(picture: Pixels, text: Text, right: int, baseline: int, colour: Colour) -> None:
    """Draw `text` so that it ends at column `right`."""
    write(picture, text, right - text.width, baseline, colour)


def _face() -> cv2.FontFace:
    # A face remembers the weight last asked for: one that threads share draws wrong letters
    # (half of them, when tried). Making one takes 0.3 microseconds.
    return cv2.FontFace("sans")

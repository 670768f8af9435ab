"""Texts of strangers (names of files, labels and sentences of a bundle) made harmless to show."""

from __future__ import annotations

import re
import unicodedata
from html import escape

MOST_LETTERS = 120
"""A longer name loses its middle: it would push everything else off the page."""

_JOINERS = "\u200c\u200d"  # Persian, Indic scripts and emoji need them
_UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Co", "Cs", "Cn"})
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_WORD_JOINER = "\u2060"
_MARKUP = "\\`*_{}[]()<>#+-!|~$:&"


def readable(text: str) -> str:
    """The text without characters that nobody sees or that turn the reading direction.

    "a\u202egpj.mp4" would be shown as "a4pm.jpg". Tabs and line breaks become spaces.
    """
    return "".join(_seen(letter) for letter in text)


def _seen(letter: str) -> str:
    if letter in "\t\n\r":
        return " "
    hidden = unicodedata.category(letter) in _UNSEEN and letter not in _JOINERS
    return _REPLACEMENT if hidden else letter


def shortened(name: str, most_letters: int = MOST_LETTERS) -> str:
    """The name, or its beginning and its end."""
    if len(name) <= most_letters:
        return name
    half = (most_letters - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def plain(text: str) -> str:
    """For places where Streamlit would read Markdown in the text, titles and buttons too.

    Backslashes are not enough: addresses, e-mails and :emoji: are looked for after they are gone.
    So something invisible stands behind what these begin with.
    """
    escaped = "".join(f"\\{letter}" if letter in _MARKUP else letter for letter in readable(text))
    return re.sub(r"(?i)(www|[:@])", rf"\1{_WORD_JOINER}", escaped)


def html(text: str) -> str:
    """For HTML, also inside of quotes."""
    return escape(readable(text))


def clock(seconds: float, *, whole: bool = False) -> str:
    """A time as people say it: "3.2 s" ("3 s" if `whole`), "1:05", "1:00:05"."""
    seconds = max(seconds, 0.0)
    if seconds < 60:
        return f"{seconds:.0f} s" if whole else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02}"
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"

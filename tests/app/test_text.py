"""Strangers' texts: no markup, no tricks, still readable."""

from __future__ import annotations

import pytest

from actionstream.app.markup import MOST_LETTERS, clock, html, plain, readable, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202egpj.4pm.mp4", "a\ufffdgpj.4pm.mp4"),
        ("\u2066x\u2069", "\ufffdx\ufffd"),
        ("a\x00\x1b[31mb\x7f", "a\ufffd\ufffd[31mb\ufffd"),
        ("line\nbreak\tand\u2028other", "line break and\ufffdother"),
        ("zero\u200bwidth\ufeff", "zero\ufffdwidth\ufffd"),
        ("half \ud800", "half \ufffd"),
        ("Ünïcödé 映画 فيلم.mp4", "Ünïcödé 映画 فيلم.mp4"),
        ("👩\u200d🎓 می\u200cخواهم", "👩\u200d🎓 می\u200cخواهم"),
    ],
)
def test_what_cannot_be_seen_is_shown_as_such(text: str, shown: str) -> None:
    assert readable(text) == shown
    assert html(text) == shown


@pytest.mark.parametrize(
    "text",
    ["www.example.com", "WWW.example.com", "http://a.example", "a@b.example", ":smile: :red[x]"],
)
def test_nothing_is_found_that_is_looked_for_after_the_backslashes(text: str) -> None:
    without = plain(text).replace("\\", "")
    assert without.replace("\u2060", "") == text
    for found in ("www.", "WWW.", "://", "@b", ":smile:"):
        assert found not in without


def test_every_letter_that_markdown_knows_is_escaped() -> None:
    assert plain("![x](y) *a* `b` $c$ <i> #d ~e~") == (
        r"\!\[x\]\(y\) \*a\* \`b\` \$c\$ \<i\> \#d \~e\~"
    )
    assert html("<b title='\"'>") == "&lt;b title=&#x27;&quot;&#x27;&gt;"


def test_a_long_name_keeps_both_ends() -> None:
    name = "a" * 300 + ".mp4"
    short = shortened(name)
    assert len(short) <= MOST_LETTERS
    assert short.startswith("aaa")
    assert short.endswith("a.mp4")
    assert shortened("short.mp4") == "short.mp4"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0.0 s"), (3.24, "3.2 s"), (65, "1:05"), (3605, "1:00:05"), (-1, "0.0 s")],
)
def test_times_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert clock(seconds) == words

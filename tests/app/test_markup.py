"""The HTML that stands in for missing widgets."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from actionstream.app import markup
from actionstream.results import Candidate, Segment

EVIL = '<img src=x onerror=alert(1)>"&'


class Texts(HTMLParser):
    """Tags and texts of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def candidates(*pairs: tuple[str, float]) -> list[Candidate]:
    return [Candidate(label, confidence) for label, confidence in pairs]


def test_the_top_action_is_said_first_and_the_bars_are_as_long_as_the_confidence() -> None:
    top = candidates(("PlayingPiano", 0.9), ("Drumming", 0.075), ("Punch", 0.025))
    html = markup.answer("PlayingPiano", 0.9, top)
    assert Texts(html).texts == [
        *["Playing Piano", "90%"],
        *["Playing Piano", "90%", "Drumming", "8%", "Punch", "2%"],
    ]
    assert re.findall(r"width:([\d.]+)%", html) == ["90.0", "7.5", "2.5"]
    assert html.count("as-known") == 1
    assert html.count("as-shown") == 1


def test_no_known_action_is_not_green_and_has_no_percentage() -> None:
    html = markup.answer(None, 0.4, candidates(("Punch", 0.4)), note="Nothing like it.")
    assert Texts(html).texts == ["No known action", "Nothing like it.", "Punch", "40%"]
    assert "as-known" not in html
    assert "as-shown" not in html


def test_a_sure_answer_is_not_said_to_be_certain() -> None:
    html = markup.answer("Punch", 1.0, candidates(("Punch", 1.0), ("A", 0.0)))
    assert Texts(html).texts == ["Punch", ">99%", "Punch", ">99%", "A", "<1%"]


def test_before_an_answer_there_are_as_many_rows_as_after() -> None:
    before = markup.placeholder("Ready")
    after = markup.answer("A", 1.0, candidates(("A", 1.0), ("B", 0.0), ("C", 0.0)))
    assert before.count('class="as-row') == after.count('class="as-row') == 3


def test_strangers_texts_stay_texts() -> None:
    top = candidates((EVIL, 1.0))
    segments = [Segment(0.0, 1.0, EVIL, 1.0)]
    plain = Texts(markup.answer("A", 1.0, candidates(("A", 1.0)))).tags
    assert Texts(markup.answer(EVIL, 1.0, top, note=EVIL)).tags == plain
    assert set(Texts(markup.timeline(segments, 0.0, 1.0, [EVIL])).tags) == {"div", "span"}
    assert set(Texts(markup.tiles([(EVIL, EVIL)])).tags) == {"div", "span"}


def lanes(html: str) -> dict[str, list[tuple[float, float]]]:
    """The named rows of a timeline: name and (left, width) of every bar in per cent."""
    rows = re.findall(
        r'<div class="as-when">([^<]+)</div><div class="as-lane">(.*?)</div></div>', html
    )
    rows += [
        (name, "")
        for name in re.findall(
            r'<div class="as-when">([^<]+)</div><div class="as-lane"></div>', html
        )
    ]
    return {
        name: [(float(a), float(b)) for a, b in re.findall(r"left:([\d.]+)%;width:([\d.]+)%", bars)]
        for name, bars in rows
    }


def test_a_timeline_has_a_row_a_label_and_no_known_action_last() -> None:
    segments = [
        Segment(0.0, 2.0, None, None),
        Segment(2.0, 6.0, "PushUps", 0.9),
        Segment(6.0, 8.0, "Punch", 0.8),
        Segment(8.0, 10.0, "PushUps", 0.7),
    ]
    rows = lanes(markup.timeline(segments, 0.0, 10.0, ["0 s", "10 s"]))
    assert list(rows) == ["Push Ups", "Punch", "No known action"]
    assert rows == {
        "Push Ups": [(20.0, 40.0), (80.0, 20.0)],
        "Punch": [(60.0, 20.0)],
        "No known action": [(0.0, 20.0)],
    }


def test_a_timeline_shows_the_piece_of_time_that_is_asked_for() -> None:
    segments = [Segment(0.0, 50.0, "Punch", 1.0), Segment(50.0, 100.0, "PushUps", 1.0)]
    rows = lanes(markup.timeline(segments, 40.0, 60.0, []))
    assert rows["Punch"] == [(0.0, 16.67)]
    assert rows["Push Ups"] == [(16.67, 83.33)]


def test_nothing_yet_is_an_empty_row_that_names_nothing() -> None:
    html = markup.timeline([], 0.0, 0.0, [])
    assert Texts(html).texts == []
    assert html.count('class="as-lane"') == 1


def test_the_answer_has_its_green_in_the_timeline_too() -> None:
    segments = [Segment(0.0, 2.0, "PushUps", 0.9), Segment(2.0, 3.0, "Punch", 0.8)]
    html = markup.timeline(segments, 0.0, 3.0, [], top="PushUps")
    assert re.findall(r"width:([\d.]+)%;background:var\(--as-green\)", html) == ["66.67"]


def test_a_bar_leads_to_its_moment() -> None:
    segments = [Segment(10.0, 12.5, "PushUps", 0.9), Segment(12.5, 14.0, "Punch", 0.8)]
    html = markup.timeline(segments, 10.0, 4.0, [], seek=True)
    assert re.findall(r'data-seek="([\d.]+)"', html) == ["0.000", "2.500"]
    assert 'aria-label="Show Push Ups, 0.0 s to 2.5 s"' in html
    assert 'role="group"' in html
    assert "tabindex" not in html
    many = [Segment(i, i + 0.5, "PushUps", 0.9) for i in range(100)]
    assert markup.timeline(many, 0.0, 100.0, [], seek=True).count('tabindex="-1"') == 100


def test_a_table_has_a_caption_and_heads() -> None:
    html = markup.table("All", ("A", EVIL), [("1", "2"), ("3", EVIL)])
    assert Texts(html).tags.count("th") == 2
    assert Texts(html).texts == ["All", "A", EVIL, "1", "2", "3", EVIL]
    assert "<caption>All</caption>" in html


def test_many_labels_share_a_row() -> None:
    segments = [Segment(i, i + 1.0 + i / 100, f"Label{i}", 1.0) for i in range(20)]
    rows = lanes(markup.timeline(segments, 0.0, 21.2, []))
    assert len(rows) == markup.MOST_ROWS
    assert list(rows)[-1] == "Other actions"
    assert sum(len(bars) for name, bars in rows.items() if name != "Other actions") == 5


def test_hours_of_short_segments_make_a_page_of_bounded_size() -> None:
    labels = ["A", "B", None]
    segments = [Segment(i / 10, (i + 1) / 10, labels[i % 3], 1.0) for i in range(100_000)]
    html = markup.timeline(segments, 0.0, 10_000.0, [])
    assert len(html) < 400_000
    assert list(lanes(html)) == ["A", "B", "No known action"]


@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.floats(0, 20), st.sampled_from(["A", "B", None])),
        max_size=30,
    ),
    st.floats(-50, 100),
    st.floats(0, 100),
)
def test_bars_never_leave_their_lane(
    parts: list[tuple[float, float, str | None]], start: float, duration: float
) -> None:
    segments = [Segment(begin, begin + length, label, 1.0) for begin, length, label in parts]
    for bars in lanes(markup.timeline(segments, start, duration, [])).values():
        for left, width in bars:
            assert 0 <= left <= 100
            assert width >= 0
            assert left + width <= 100.02

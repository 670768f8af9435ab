"""The picture of what happens when."""

from __future__ import annotations

import numpy as np
import pytest

from actionstream.draw import colour_of, draw_timeline
from actionstream.draw.timeline import _Axis, _clock, _tick_step
from actionstream.results import Pixels, Segment

SEGMENTS = [
    Segment(0.0, 0.6, None, None),
    Segment(0.6, 2.2, "PushUps", 0.9),
    Segment(2.2, 3.0, "Lunges", 0.5),
]


def columns(picture: Pixels, label: str | None) -> list[tuple[int, int]]:
    """The bars of a label: [first, last) columns, from left to right."""
    inked = (picture == colour_of(label)).all(axis=2).any(axis=0)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inked, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def rows(picture: Pixels, label: str | None) -> tuple[int, int]:
    inked = np.flatnonzero((picture == colour_of(label)).all(axis=2).any(axis=1))
    return int(inked[0]), int(inked[-1])


@pytest.mark.parametrize("width", [160, 400, 960, 1920])
@pytest.mark.parametrize("dark", [False, True])
def test_bars_stand_where_the_segments_are_to_the_pixel(width: int, dark: bool) -> None:
    picture = draw_timeline(SEGMENTS, 3.0, width=width, dark=dark)
    axis_colour = (58, 64, 74) if dark else (214, 218, 224)
    assert picture.dtype == np.uint8
    assert picture.shape[1:] == (width, 3)
    ((left, middle),) = columns(picture, None)
    ((second, third),) = columns(picture, "PushUps")
    ((fourth, right),) = columns(picture, "Lunges")
    assert right - left > 0.35 * width
    line = np.flatnonzero(
        (picture[rows(picture, None)[1] :] == axis_colour).all(axis=2).any(axis=0)
    )
    assert (left, right) == (line[0], line[-1] + 1)
    assert second == middle == left + round((right - left) * 0.6 / 3)
    assert fourth == third == left + round((right - left) * 2.2 / 3)


def test_rows_follow_the_first_appearance_and_unknown_is_last() -> None:
    picture = draw_timeline(SEGMENTS, 3.0)
    assert rows(picture, "PushUps")[1] < rows(picture, "Lunges")[0]
    assert rows(picture, "Lunges")[1] < rows(picture, None)[0]


def test_three_hours_of_short_segments_stay_visible() -> None:
    segments = [
        Segment(0.0, 5000.0, "PushUps", 0.9),
        Segment(5000.0, 5000.5, "Lunges", 0.9),
        Segment(5000.5, 10800.0, "PushUps", 0.9),
    ]
    picture = draw_timeline(segments, 10800.0)
    ((first, last),) = columns(picture, "Lunges")
    assert last - first == 1
    ((left, right),) = columns(picture, "PushUps")  # the gap is less than a pixel wide
    assert first == left + round((right - left) * 5000 / 10800)


def test_labels_beyond_eight_share_a_row() -> None:
    names = [f"action {number}" for number in range(12)]
    lengths = [10.0, 1.0] * 6
    segments, time = [], 0.0
    for name, length in zip(names, lengths, strict=True):
        segments.append(Segment(time, time + length, name, 0.5))
        time += length
    picture = draw_timeline(segments, time)
    assert picture.shape[0] == draw_timeline(segments[:9], time).shape[0]
    own_row = [name for name in names if columns(picture, name)]
    assert set(names[::2]) <= set(own_row)
    assert len(own_row) == 8
    (_, end), *_ = columns(picture, names[0])
    others = (picture == (120, 134, 158)).all(axis=2)
    assert others.any()
    assert np.flatnonzero(others.any(axis=0))[0] > end


@pytest.mark.parametrize("height", [60, 100, 300])
def test_a_given_height_is_kept_and_holds_every_row(height: int) -> None:
    picture = draw_timeline(SEGMENTS, 3.0, height=height)
    assert picture.shape == (height, 960, 3)
    assert columns(picture, None)
    if height >= 100:
        assert columns(picture, "PushUps")
        assert columns(picture, "Lunges")


def test_the_last_minute_of_a_stream_cuts_what_is_outside() -> None:
    segments = [
        Segment(0.0, 100.0, "PushUps", 0.9),
        Segment(100.0, 150.0, "Lunges", 0.9),
        Segment(150.0, 200.0, "Archery", 0.9),
    ]
    picture = draw_timeline(segments, 60.0, start_seconds=120.0)
    assert columns(picture, "PushUps") == []
    ((left, middle),) = columns(picture, "Lunges")
    ((second, right),) = columns(picture, "Archery")
    assert middle == second == (left + right) // 2


def test_presence_counts_only_inside_the_time_drawn() -> None:
    before = [Segment(0.0, 1000.0, "long ago", 0.9)]
    late = [Segment(1000.0 + i, 1001.0 + i, f"now {i}", 0.9) for i in range(9)]
    picture = draw_timeline(before + late, 9.5, start_seconds=999.9)
    assert columns(picture, "long ago") == []
    assert all(columns(picture, f"now {i}") for i in range(8))


def test_nothing_and_no_time_give_an_empty_picture() -> None:
    assert draw_timeline([], 10.0).shape == (60, 960, 3)
    picture = draw_timeline([Segment(0.0, 0.0, "PushUps", 0.9)], 0.0)
    ((first, last),) = columns(picture, "PushUps")
    assert last - first == 1


@pytest.mark.parametrize(
    ("duration", "step", "first", "last"),
    [
        (0.4, 0.1, "0.0 s", "0.4 s"),
        (3.0, 0.2, "0.0 s", "3.0 s"),
        (12.0, 1.0, "0 s", "12 s"),
        (75.0, 5.0, "0:00", "1:15"),
        (600.0, 60.0, "0:00", "10:00"),
        (10800.0, 900.0, "0:00:00", "3:00:00"),
        (8 * 86400.0, 43200.0, "0:00:00", "192:00:00"),
        (365 * 86400.0, 2764800.0, "0:00:00", "8448:00:00"),
    ],
)
def test_ticks_are_round_and_said_alike(
    duration: float, step: float, first: str, last: str
) -> None:
    axis = _Axis(0.0, duration, 100, 1300)
    assert _tick_step(axis, 14) == step
    assert _clock(0.0, step, axis) == first
    assert (
        _clock(duration // step * step + (duration % step > step - 1e-9) * step, step, axis) == last
    )


def test_long_and_foreign_names_leave_room_for_the_bars() -> None:
    segments = [Segment(0.0, 1.0, "x" * 300, 0.9), Segment(1.0, 2.0, "武术", 0.9)]
    picture = draw_timeline(segments, 2.0, width=400)
    ((left, _),) = columns(picture, "x" * 300)
    assert left < 160
    top, bottom = rows(picture, "武术")
    name = picture[top : bottom + 1, : left - 1]
    assert (name < 128).any()


@pytest.mark.parametrize(
    ("duration", "options"),
    [
        (-1.0, {}),
        (float("nan"), {}),
        (float("inf"), {}),
        (1.0, {"width": 159}),
        (1.0, {"height": 59}),
        (1.0, {"start_seconds": float("nan")}),
    ],
)
def test_impossible_pictures_are_refused(duration: float, options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="a timeline"):
        draw_timeline(SEGMENTS, duration, **options)

"""A reading drawn on its frame."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from actionstream.draw import display_name, draw_reading, reading
from actionstream.draw.layout import lay_out
from actionstream.draw.text import BOLD, Text, fit
from actionstream.errors import FrameError
from actionstream.results import Candidate, Pixels

TOP = [Candidate("PushUps", 0.62), Candidate("WallPushups", 0.21), Candidate("Lunges", 0.11)]
SIZES = [(64, 64), (160, 120), (320, 240), (640, 360), (720, 1280), (1920, 1080), (333, 77)]
LONGEST = ["HandstandPushups", "RockClimbingIndoor", "BoxingPunchingBag", "MilitaryParade"]


def ground(width: int, height: int, kind: str = "noise") -> Pixels:
    if kind == "noise":
        noise = np.random.default_rng(0).integers(0, 256, (height, width, 3))
        return noise.astype(np.uint8)
    return np.full((height, width, 3), {"black": 0, "white": 255}[kind], dtype=np.uint8)


def greens(picture: Pixels) -> np.ndarray:
    """[H, W] bool: the pixels of exactly the green of the top action."""
    return np.asarray((picture == reading.GREEN).all(axis=2))


def luminance(colour: np.ndarray) -> float:
    """Relative luminance of an sRGB colour (WCAG 2.2)."""
    share = np.asarray(colour, dtype=float) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_action_is_green_in_the_upper_left_and_the_rest_untouched(
    width: int, height: int
) -> None:
    pixels = ground(width, height)
    before = pixels.copy()
    picture = draw_reading(pixels, "PushUps", 0.62, TOP)
    assert np.array_equal(pixels, before)
    assert (picture.shape, picture.dtype) == (pixels.shape, np.uint8)
    assert picture.flags.c_contiguous
    green = greens(picture)
    assert green.sum() >= 40
    rows, columns = np.nonzero(green)
    assert rows.max() < height * 0.4
    assert columns.min() < width / 8
    changed = (picture != pixels).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert rows.max() < height * 0.75
    plate = np.zeros_like(changed)
    plate[: rows.max() + 1, : columns.max() + 1] = True
    assert np.array_equal(picture[~plate], pixels[~plate])


def test_text_grows_with_the_frame() -> None:
    heights = []
    for width, height in [(320, 240), (640, 480), (1280, 960), (3840, 2160)]:
        picture = draw_reading(ground(width, height, "black"), "PushUps", 0.0, [])
        rows = np.flatnonzero(greens(picture).any(axis=1))
        heights.append(int(rows[-1] - rows[0] + 1))
    assert heights == sorted(heights)
    assert heights[0] >= 10
    assert heights[-1] >= 5 * heights[0]


@pytest.mark.parametrize("kind", ["black", "white"])
@pytest.mark.parametrize("colour", [reading.GREEN, reading.LIGHT, reading.NEUTRAL])
def test_contrast_on_the_plate_is_at_least_four_and_a_half_to_one(
    kind: str, colour: tuple[int, int, int]
) -> None:
    picture = draw_reading(ground(320, 240, kind), "PushUps", 0.5, TOP)
    plate = picture[8, 100]  # between the plate's edge and the letters
    assert not np.array_equal(plate, reading.GREEN)
    ratio = (luminance(np.array(colour)) + 0.05) / (luminance(plate) + 0.05)
    assert ratio >= 4.5


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_bar_is_as_long_as_the_confidence(share: float) -> None:
    picture = draw_reading(ground(640, 480, "black"), "I", share, [])
    full = draw_reading(ground(640, 480, "black"), "I", 1.0, [])
    row = int(np.flatnonzero(greens(full).any(axis=1))[-1])
    assert greens(picture)[row].sum() == pytest.approx(share * greens(full)[row].sum(), abs=0.51)


def test_confidences_out_of_range_are_drawn_as_their_limits() -> None:
    pixels = ground(320, 240)
    for wrong, right in [(1.0000001, 1.0), (-0.1, 0.0), (float("nan"), 0.0)]:
        drawn = draw_reading(pixels, "PushUps", wrong, [Candidate("Lunges", wrong)])
        wanted = draw_reading(pixels, "PushUps", right, [Candidate("Lunges", right)])
        assert np.array_equal(drawn, wanted)


def test_runners_up_are_the_two_best_that_are_not_shown() -> None:
    pixels = ground(320, 240)
    drawn = draw_reading(pixels, "Lunges", 0.4, [*TOP, Candidate("Archery", 0.01)])
    assert np.array_equal(drawn, draw_reading(pixels, "Lunges", 0.4, TOP[:2]))
    first_is_shown = draw_reading(pixels, "PushUps", 0.4, TOP)
    assert np.array_equal(first_is_shown, draw_reading(pixels, "PushUps", 0.4, TOP[1:]))
    assert not np.array_equal(drawn, draw_reading(pixels, "Lunges", 0.4, TOP[1::-1]))
    assert not np.array_equal(drawn, draw_reading(pixels, "Lunges", 0.4, TOP[:1]))


def test_no_known_action_is_never_green() -> None:
    picture = draw_reading(ground(320, 240, "black"), None, 0.3, TOP)
    assert not greens(picture).any()
    assert (picture == reading.NEUTRAL).all(axis=2).sum() > 100
    tiny = draw_reading(ground(64, 64, "black"), None, 0.3, TOP)
    assert (tiny > 120).all(axis=2).sum() > 20  # thin letters are blended


def test_warming_up_counts_and_shows_no_answer() -> None:
    def drawn(seen: int, needed: int) -> Pixels:
        return draw_reading(
            ground(320, 240, "black"),
            "PushUps",
            0.9,
            TOP,
            status="warming_up",
            looks_seen=seen,
            looks_needed=needed,
        )

    assert not greens(drawn(3, 8)).any()
    assert not np.array_equal(drawn(3, 8), drawn(4, 8))
    lengths = [(drawn(seen, 8) == reading.NEUTRAL).all(axis=2).sum() for seen in (0, 4, 8)]
    assert lengths[0] < lengths[1] < lengths[2]
    assert drawn(0, 0).any()


def test_the_footer_stands_at_the_lower_edge_and_nowhere_else() -> None:
    pixels = ground(640, 360)
    with_footer = draw_reading(pixels, "PushUps", 0.62, TOP, footer="25 fps\n· 41 ms")
    without = draw_reading(pixels, "PushUps", 0.62, TOP)
    rows = np.flatnonzero((with_footer != without).any(axis=(1, 2)))
    assert rows[0] > 300
    assert rows[-1] < 359
    low = ground(640, 28)
    assert np.array_equal(
        draw_reading(low, "PushUps", 0.62, TOP, footer="no room"),
        draw_reading(low, "PushUps", 0.62, TOP),
    )


def test_the_plate_does_not_move_while_labels_change() -> None:
    pixels = ground(640, 360, "white")
    extents = set()
    for label, share in [("I", 0.01), ("HandstandPushups", 1.0), ("x" * 300, 0.5), (None, 0.0)]:
        picture = draw_reading(pixels, label, share, [Candidate("a", 0.1), Candidate("b", 0.1)])
        changed = np.argwhere((picture != pixels).any(axis=2))
        extents.add((*changed.min(axis=0).tolist(), *changed.max(axis=0).tolist()))
    assert len(extents) == 1


@pytest.mark.parametrize(
    ("width", "height"),
    [(128, 96), (160, 120), (144, 176), (320, 240), (720, 1280)],
)
def test_long_labels_are_read_in_full(width: int, height: int) -> None:
    assert_whole(LONGEST, width, height)


@pytest.mark.clips
def test_all_labels_of_ucf101_are_read_in_full(data_dir: Path) -> None:
    lines = (data_dir / "splits" / "ucf101" / "classInd.txt").read_text().split()
    labels = [word for word in lines if not word.isdigit()]
    assert len(labels) == 101
    for width, height in [(160, 120), (176, 144), (320, 240), (240, 320), (1920, 1080)]:
        assert_whole(labels, width, height)


def assert_whole(labels: list[str], width: int, height: int) -> None:
    """Each label, as a headline beside "100%" and as a runner-up, without an ellipsis."""
    layout = lay_out(height, width)
    assert layout.runners_up == 2
    assert layout.right < width - layout.margin
    for label in labels:
        text = Text(display_name(label), layout.big, BOLD)
        with_number = layout.has_room_for_number(text)
        assert with_number
        headline = layout.headline(text, with_number=with_number)
        runner = layout.runner_up(display_name(label))
        assert (headline.words, runner.words) == (display_name(label), display_name(label))
        assert headline.size >= 8
        assert runner.size >= 8


@pytest.mark.parametrize("kind", ["noise", "black", "white"])
@pytest.mark.parametrize(("width", "height"), [(120, 90), (96, 72), (150, 100), (333, 77)])
def test_small_frames_carry_each_confidence_and_the_runners_up(
    width: int, height: int, kind: str
) -> None:
    """What changes when a number changes is that number and, above, its bar."""

    def drawn(*shares: float) -> Pixels:
        names = ("TrampolineJumping", "HandstandPushups", "Lunges")
        top = [Candidate(name, share) for name, share in zip(names, shares, strict=True)]
        return draw_reading(ground(width, height, kind), top[0].label, top[0].confidence, top)

    base, layout = drawn(0.61, 0.2, 0.1), lay_out(height, width)
    changed = [
        np.argwhere((base != other).any(axis=2))
        for other in (drawn(0.67, 0.2, 0.1), drawn(0.61, 0.27, 0.1), drawn(0.61, 0.2, 0.17))
    ]
    assert all(len(where) >= 8 for where in changed)
    start = layout.right - layout.number_room
    assert all(start <= where[:, 1].max() <= layout.right for where in changed)
    for upper, lower in pairwise(changed):
        assert upper[:, 0].max() < lower[:, 0].min()
    unnamed = draw_reading(ground(width, height, kind), "", 0.61, [])
    first_line = slice(0, layout.margin + layout.pad + layout.big)
    assert (base != unnamed).any(axis=2)[first_line].sum() >= 150, "the action is there, too"
    texts = [Text(display_name(label), layout.big, BOLD) for label in LONGEST]
    assert [layout.headline(text, with_number=True).words for text in texts] == [
        text.words for text in texts
    ]


@pytest.mark.parametrize(("width", "height"), [(64, 48), (48, 64), (80, 60)])
def test_smaller_frames_carry_the_action_and_its_confidence(width: int, height: int) -> None:
    layout = lay_out(height, width)
    assert layout.stacked
    assert layout.plate_height(layout.runners_up) <= 0.7 * height
    drawn = [draw_reading(ground(width, height), "Run", share, []) for share in (0.61, 0.67)]
    assert (drawn[0] != drawn[1]).any()


def test_a_long_label_leaves_the_percentage_free() -> None:
    pixels = ground(320, 240, "black")
    drawn = [draw_reading(pixels, label, 0.5, []) for label in ("I", "m" * 90)]
    layout = lay_out(240, 320)
    start = layout.right - Text("100%", layout.big, BOLD).width
    assert greens(drawn[0])[:, start:].any()
    assert np.array_equal(drawn[0][:, start:], drawn[1][:, start:])
    assert fit(Text("m" * 90, 17), 100, smallest=10).words.endswith("…")


@pytest.mark.parametrize(("width", "height"), [(1, 1), (23, 200), (200, 13), (24, 14), (4000, 20)])
def test_frames_of_any_shape_are_taken(width: int, height: int) -> None:
    pixels = ground(width, height)
    picture = draw_reading(pixels, "PushUps", 0.9, TOP, footer="footer")
    assert picture.shape == pixels.shape
    assert np.array_equal(picture, pixels) == (width < 24 or height < 14)


def test_views_and_read_only_frames_are_taken() -> None:
    pixels = ground(320, 240)
    wanted = draw_reading(pixels[:, ::-1].copy(), "PushUps", 0.9, TOP)
    pixels.flags.writeable = False
    assert np.array_equal(draw_reading(pixels[:, ::-1], "PushUps", 0.9, TOP), wanted)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((0, 10, 3), np.uint8),
        None,
    ],
)
def test_what_is_no_frame_is_refused(wrong: Pixels) -> None:
    with pytest.raises(FrameError, match=r"\[H, W, 3\]"):
        draw_reading(wrong, None, 0.0, [])


@pytest.mark.clips
def test_on_a_real_frame_the_green_stands_out(data_dir: Path) -> None:
    clip = sorted((data_dir / "ucf101" / "PushUps").glob("v_PushUps_g09_*"))[0]
    with av.open(str(clip)) as container:
        pixels = next(container.decode(video=0)).to_ndarray(format="rgb24")
    picture = draw_reading(pixels, "PushUps", 0.9, TOP)
    assert greens(pixels).sum() == 0
    assert greens(picture).sum() > 200


def test_green_is_green_in_rgb() -> None:
    assert reading.GREEN == (0, 230, 90)

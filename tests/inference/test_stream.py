"""A stream's laws, by a model that can be worked out by hand and by the real one."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from readings import same_readings
from tiny import (
    BLUE,
    GREEN,
    GREY,
    READY_AFTER,
    RED,
    RESET_AFTER,
    SPACING,
    by_hand,
    engine_of,
    plain,
    tiny_model,
)

from actionstream.errors import FrameError, NoFramesError
from actionstream.inference import look as looks
from actionstream.inference.look import Look, StreamState
from actionstream.inference.preprocess import preprocess
from actionstream.inference.sampling import fill
from actionstream.inference.stream import Stream
from actionstream.recognizer import Recognizer
from actionstream.results import Candidate, Pixels, Reading, RGBFrame
from actionstream.video import VideoReader

Shot = tuple[float, Pixels]
TOLERANCE = 1e-6
"""The same arithmetic in another grouping: float32 rounding only."""


def push_all(live: Stream, shots: Sequence[Shot]) -> list[Reading]:
    readings = [live.push(pixels, seconds) for seconds, pixels in shots]
    return [reading for reading in readings if reading is not None]


def seeded(count: int, seed: int, step: float = 0.07) -> list[Shot]:
    """Frames of random colours at uneven, growing times."""
    chance = np.random.default_rng(seed)
    times = np.cumsum(chance.uniform(0.2, 1.8, count) * step)
    colours = chance.integers(0, 256, (count, 3))
    return [
        (float(seconds), plain((int(r), int(g), int(b))))
        for seconds, (r, g, b) in zip(times, colours, strict=True)
    ]


# The contract, worked out by hand -------------------------------------------------------------


def test_what_a_stream_says_is_what_the_rules_say() -> None:
    check_by_hand()


def check_by_hand() -> None:
    """25 frames a second: a second of blue, then red. Every number of every reading by hand."""
    model = tiny_model()
    shots = [(i / 25, plain(BLUE if i < 25 else RED)) for i in range(100)]
    readings = push_all(model.live(), shots)
    expected_times = [i / 25 for i in range(0, 100, 5)]
    assert [reading.time_seconds for reading in readings] == pytest.approx(expected_times)
    assert [reading.looks_seen for reading in readings] == list(range(1, 21))
    seen: list[tuple[int, int, int]] = []
    for reading, seconds in zip(readings, expected_times, strict=True):
        seen.append(BLUE if seconds < 1 else RED)
        if len(seen) < READY_AFTER:
            assert (reading.status, reading.label, reading.shown) == ("warming_up", None, None)
            assert (reading.confidence, reading.top(3)) == (0.0, [])
            continue
        probabilities, known = by_hand(seen)
        assert reading.status == "ready"
        assert reading.probabilities == pytest.approx(probabilities, abs=1e-5)
        assert reading.known_score == pytest.approx(known, abs=1e-5)
        best = int(np.argmax(probabilities))
        assert reading.top(1)[0].label == ("red", "green", "blue")[best]
        assert reading.label == (("red", "green", "blue")[best] if known >= 0.4 else None)
    assert readings[READY_AFTER].label == "blue"
    assert readings[-1].label == "red"


# The four mutations: each must break the check above ------------------------------------------


def swap_red_and_blue(patch: pytest.MonkeyPatch) -> None:
    real = looks.preprocess
    patch.setattr(looks, "preprocess", lambda p, g: np.ascontiguousarray(real(p, g)[..., ::-1]))


def forget_the_ring(patch: pytest.MonkeyPatch) -> None:
    real = looks.window

    def newest_only(state: StreamState) -> Any:
        assert state.ring is not None
        return real(replace(state, ring=state.ring[-1:]))

    patch.setattr(looks, "window", newest_only)


def every_second_frame(patch: pytest.MonkeyPatch) -> None:
    real, count = looks.step, iter(range(10**6))
    moments = ("due", "not_due")
    patch.setattr(looks, "step", lambda *args: (real(*args)[0], moments[next(count) % 2]))


def shift_labels(patch: pytest.MonkeyPatch) -> None:
    real = Reading.top

    def shifted(reading: Reading, count: int = 3) -> list[Candidate]:
        return real(replace(reading, labels=reading.labels[1:] + reading.labels[:1]), count)

    patch.setattr(Reading, "top", shifted)


MUTATIONS = (swap_red_and_blue, forget_the_ring, every_second_frame, shift_labels)


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_each_mutation_is_caught(
    mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate(monkeypatch)
    with pytest.raises(AssertionError):
        check_by_hand()


# The laws -------------------------------------------------------------------------------------


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_ragged_split_gives_the_same_readings(data: st.DataObject) -> None:
    """A stream may be put down after any frame, its state kept, and taken up by another one."""
    shots = seeded(60, data.draw(st.integers(0, 99)))
    cuts = sorted(data.draw(st.lists(st.integers(0, 60), max_size=6)))
    model = tiny_model()
    whole = model.live()
    expected = push_all(whole, shots)
    state, got = model.live().state, []
    for start, end in zip([0, *cuts], [*cuts, 60], strict=True):
        part = model.live()
        part.state = state
        got += push_all(part, shots[start:end])
        state = part.state
    same_readings(expected, got)
    same_state(whole.state, state)


def same_state(one: StreamState, other: StreamState) -> None:
    assert (one.clock, one.looks_seen) == (other.clock, other.looks_seen)
    assert one.ring is not None
    assert other.ring is not None
    np.testing.assert_allclose(one.ring, other.ring, atol=TOLERANCE)
    assert one.smoothed is not None
    assert other.smoothed is not None
    assert one.smoothed.shown == other.smoothed.shown
    np.testing.assert_allclose(
        one.smoothed.probabilities, other.smoothed.probabilities, atol=TOLERANCE
    )


@given(st.integers(0, 99), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_two_streams_interleaved_are_each_alone(seed: int, chance: random.Random) -> None:
    model = tiny_model()
    tracks = [seeded(50, seed), seeded(40, seed + 1000, step=0.11)]
    alone = [push_all(model.live(), track) for track in tracks]
    streams, got = [model.live(), model.live()], ([], [])
    waiting = [list(track) for track in tracks]
    while any(waiting):
        which = chance.choice([index for index in (0, 1) if waiting[index]])
        got[which].extend(push_all(streams[which], [waiting[which].pop(0)]))
    same_readings(alone[0], got[0])
    same_readings(alone[1], got[1])


@given(st.integers(0, 199), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_frames_that_are_not_due_change_nothing(seed: int, chance: random.Random) -> None:
    model = tiny_model()
    shots = seeded(80, seed)
    live = model.live()
    readings = [live.push(pixels, seconds) for seconds, pixels in shots]
    kept = [
        shot
        for shot, reading in zip(shots, readings, strict=True)
        if reading is not None or chance.random() < 0.3
    ]
    assert None in readings  # else there was nothing to drop
    same_readings([r for r in readings if r is not None], push_all(model.live(), kept))


def test_each_frame_is_encoded_at_most_once_and_only_if_due() -> None:
    model = tiny_model()
    shots = [(i / 30, plain(GREEN)) for i in range(300)]
    readings = push_all(model.live(), shots)
    assert len(readings) == 50  # 10 s, a look every 0.2 s
    assert engine_of(model).batches == [1] * 50


# Stated results for odd input -----------------------------------------------------------------


def test_a_stream_without_a_frame_has_no_answer() -> None:
    with pytest.raises(NoFramesError, match="no frame was pushed"):
        tiny_model().live().finish()


def test_one_frame_is_read_from_a_ring_padded_with_it() -> None:
    live = tiny_model().live()
    reading = live.push(plain(RED), 5.0)
    assert reading is not None
    assert (reading.status, reading.looks_seen) == ("warming_up", 1)
    answer = live.finish()
    assert (answer.label, answer.known) == ("red", True)
    assert [notice.kind for notice in answer.warnings] == ["too_short"]
    assert [r.status for r in answer.readings] == ["warming_up", "ready"]
    assert answer.readings[-1].probabilities == pytest.approx(by_hand([RED])[0], abs=1e-5)
    assert [(s.start_seconds, s.end_seconds) for s in answer.segments] == [(0.0, 0.0)]


def test_asking_for_the_answer_of_a_short_stream_changes_nothing() -> None:
    live, other = tiny_model().live(), tiny_model().live()
    shots = [(i * SPACING, plain(RED)) for i in range(8)]
    push_all(live, shots[:2])
    push_all(other, shots[:2])
    live.finish()
    live.finish()
    same_readings(push_all(live, shots[2:]), push_all(other, shots[2:]))
    assert len(live.finish().readings) == 8


def test_frames_that_are_too_far_apart_are_all_judged() -> None:
    """A picture every 3 s resets the stream each time: each speaks, and the answer says so."""
    live = tiny_model().live()
    push_all(live, [(3.0 * i, plain(GREEN if i < 9 else RED)) for i in range(10)])
    answer = live.finish()
    assert answer.label == "green"
    assert [reading.status for reading in answer.readings] == ["warming_up"] * 10 + ["ready"] * 10
    assert [notice.kind for notice in answer.warnings] == ["few_looks"]
    push_all(live, [(27.0 + i * SPACING, plain(RED)) for i in range(1, 8)])
    assert (live.finish().label, live.finish().warnings) == ("red", ())


def test_looks_that_fill_many_ticks_are_few() -> None:
    live = tiny_model().live()
    push_all(live, [(0.8 * i, plain(RED)) for i in range(20)])
    assert [notice.kind for notice in live.finish().warnings] == ["few_looks"]


def test_two_actions_of_a_good_part_are_several() -> None:
    live = tiny_model().live()
    push_all(live, [(i / 25, plain(BLUE if i < 75 else GREEN)) for i in range(200)])
    assert live.finish().several
    push_all(live, [(8 + i / 25, plain(GREEN)) for i in range(1000)])
    assert not live.finish().several


def test_a_clip_is_judged_by_the_threshold_of_clips() -> None:
    """Pink: known_score is about 0.47, over the readings' threshold, under the clips'."""
    live = tiny_model().live()
    readings = push_all(live, [(i * SPACING, plain((255, 135, 135))) for i in range(12)])
    assert readings[-1].known_score == pytest.approx(0.47, abs=0.01)
    assert (readings[-1].known, readings[-1].label) == (True, "red")
    answer = live.finish()
    assert (answer.known, answer.label) == (False, None)
    assert [segment.label for segment in answer.segments] == [None]


def test_frames_that_all_have_one_time_are_one_look() -> None:
    model = tiny_model()
    readings = push_all(model.live(), [(1.0, plain(RED)), *[(1.0, plain(BLUE))] * 9])
    assert [reading.time_seconds for reading in readings] == [1.0]
    assert engine_of(model).encoded == 1


def test_warming_up_lasts_for_ready_after_looks() -> None:
    readings = push_all(tiny_model().live(), [(i * SPACING, plain(RED)) for i in range(6)])
    assert [reading.status for reading in readings] == ["warming_up"] * 3 + ["ready"] * 3
    assert [reading.looks_seen for reading in readings] == [1, 2, 3, 4, 5, 6]


def test_a_look_fills_the_ticks_that_it_is_late_for() -> None:
    """Frames at 0 and 0.7 s: the second look stands for the ticks at 0.2, 0.4 and 0.6 s."""
    live = tiny_model().live()
    _, reading = push_all(live, [(0.0, plain(BLUE)), (0.7, plain(RED))])
    assert (reading.status, reading.looks_seen) == ("ready", 4)
    expected, _ = by_hand([BLUE, RED, RED, RED])
    assert reading.probabilities == pytest.approx(expected, abs=1e-5)


def test_a_ring_holds_the_newest_16() -> None:
    live = tiny_model().live()
    shots = [(i * SPACING, plain(BLUE if i < 10 else RED)) for i in range(26)]
    last = push_all(live, shots)[-1]
    assert last.looks_seen == 26
    assert last.probabilities == pytest.approx(by_hand([RED] * 16)[0], abs=1e-5)


@pytest.mark.parametrize("jump", [RESET_AFTER + 0.3, -1.0])
def test_a_gap_or_time_running_backwards_resets(jump: float) -> None:
    model = tiny_model()
    live = model.live()
    before = [(10 + i * SPACING, plain(BLUE)) for i in range(8)]
    push_all(live, before)
    start = before[-1][0] + jump
    after = [(start + i * SPACING, plain(RED)) for i in range(6)]
    same_readings(push_all(live, after), push_all(model.live(), after))


def test_a_gap_that_is_not_too_long_goes_on() -> None:
    live = tiny_model().live()
    push_all(live, [(i * SPACING, plain(BLUE)) for i in range(8)])
    reading = live.push(plain(RED), 1.4 + RESET_AFTER)
    assert reading is not None
    assert reading.looks_seen == 18
    assert reading.shown == "blue"  # red has not held yet


def test_another_frame_size_does_not_reset() -> None:
    live = tiny_model().live()
    push_all(live, [(i * SPACING, plain(RED)) for i in range(4)])
    reading = live.push(plain(RED, width=640, height=480), 4 * SPACING)
    assert reading is not None
    assert reading.looks_seen == 5


def test_reset_forgets_everything() -> None:
    model = tiny_model()
    live = model.live()
    push_all(live, [(100 + i * SPACING, plain(BLUE)) for i in range(20)])
    live.reset()
    with pytest.raises(NoFramesError):
        live.finish()
    shots = [(i * SPACING, plain(RED)) for i in range(6)]
    fresh = model.live()
    same_readings(push_all(live, shots), push_all(fresh, shots))
    assert live.finish().segments == fresh.finish().segments


@pytest.mark.parametrize(
    ("pixels", "seconds"),
    [
        (np.zeros((24, 32), np.uint8), 1.0),
        (np.zeros((24, 32, 4), np.uint8), 1.0),
        (np.zeros((24, 32, 3), np.float32), 1.0),
        (np.zeros((0, 32, 3), np.uint8), 1.0),
        ([[[1, 2, 3]]], 1.0),
        (None, 1.0),
        (plain(RED), float("nan")),
        (plain(RED), float("inf")),
        (plain(RED), "soon"),
        (plain(RED), "1.0"),
        (plain(RED), 10**400),
        (plain(RED), None),
    ],
)
def test_a_bad_frame_is_refused_and_leaves_the_stream_as_it_was(pixels: Any, seconds: Any) -> None:
    live, other = tiny_model().live(), tiny_model().live()
    shots = [(i * SPACING, plain(RED)) for i in range(5)]
    push_all(live, shots[:3])
    push_all(other, shots[:3])
    with pytest.raises(FrameError):
        live.push(pixels, seconds)
    same_readings(push_all(live, shots[3:]), push_all(other, shots[3:]))
    assert live.finish().segments == other.finish().segments


def test_a_frame_is_pushed_with_its_own_time() -> None:
    live, other = tiny_model().live(), tiny_model().live()
    shots = seeded(20, 1)
    pushed = [other.push(RGBFrame(pixels, seconds)) for seconds, pixels in shots]
    same_readings(push_all(live, shots), [one for one in pushed if one is not None])
    with pytest.raises(FrameError, match="has its own time"):
        live.push(RGBFrame(plain(RED), 9.0), 9.0)
    with pytest.raises(FrameError, match="a number of seconds, got None"):
        live.push(plain(RED))


def test_the_order_of_the_colours_is_said() -> None:
    live = tiny_model().live()
    for index in range(6):
        reading = live.push(plain(RED)[..., ::-1], index * SPACING, order="bgr")
    assert reading is not None
    assert reading.label == "red"
    with pytest.raises(FrameError, match="order must be 'rgb' or 'bgr', got 'rbg'"):
        live.push(plain(RED), 9.0, order="rbg")  # type: ignore[arg-type]


def test_a_bad_frame_that_is_not_due_is_refused_too() -> None:
    live = tiny_model().live()
    live.push(plain(RED), 0.0)
    with pytest.raises(FrameError):
        live.push(np.zeros((24, 32), np.uint8), 0.01)


def test_frames_may_be_views_and_are_left_alone() -> None:
    wide = np.ascontiguousarray(np.tile(plain(RED), (1, 2, 1)))
    flipped, copy = wide[:, ::-2], wide.copy()
    flipped.setflags(write=False)
    reading = tiny_model().live().push(flipped, 0.0)
    assert reading is not None
    assert (wide == copy).all()


def test_age_is_the_time_from_the_frames_arrival() -> None:
    readings = push_all(tiny_model().live(), [(i * SPACING, plain(RED)) for i in range(6)])
    assert len(readings) == 6
    assert all(0 < reading.age_seconds < 60 for reading in readings)


def test_grey_is_no_known_action() -> None:
    live = tiny_model().live()
    readings = push_all(live, [(i * SPACING, plain(GREY)) for i in range(8)])
    assert [(r.label, r.shown, r.known) for r in readings[4:]] == [(None, None, False)] * 4
    answer = live.finish()
    assert (answer.label, answer.known) == (None, False)
    assert answer.confidence == pytest.approx(1 / 3)
    assert [(s.label, s.confidence) for s in answer.segments] == [(None, None)]


def test_segments_tile_the_stream_and_count_from_its_first_frame() -> None:
    live = tiny_model().live()
    push_all(live, [(50 + i / 25, plain(BLUE if i < 75 else GREEN)) for i in range(200)])
    segments = live.finish().segments
    assert [segment.label for segment in segments] == ["blue", "green"]
    assert segments[0].start_seconds == 0.0
    assert segments[0].end_seconds == segments[1].start_seconds
    # The tiny head weighs the newest looks most, so its readings speak for later than the middle.
    assert segments[1].start_seconds == pytest.approx(2.2)
    assert segments[-1].end_seconds == pytest.approx(8.0)


@pytest.mark.parametrize(
    ("starts", "duration"),
    [((0.0, 100.0), 101.0), ((0.0, 0.52), 1.52), ((50.0, 0.0), 1.0)],
    ids=["a long gap", "a short gap", "back to the start"],
)
def test_the_duration_is_the_end_of_the_latest_frame(
    starts: tuple[float, float], duration: float
) -> None:
    """As in a file: one period after the latest time, whatever gaps the frames have."""
    live = tiny_model().live()
    push_all(live, [(start + i / 25, plain(BLUE)) for start in starts for i in range(25)])
    assert live.finish().segments[-1].end_seconds == pytest.approx(duration)


def test_time_that_runs_back_below_the_first_frame_begins_at_the_zero() -> None:
    live = tiny_model().live()
    push_all(live, [(10 + i * SPACING, plain(RED)) for i in range(10)])
    push_all(live, [(5 + i * SPACING, plain(GREEN)) for i in range(10)])
    (segment,) = live.finish().segments
    assert (segment.label, segment.start_seconds) == ("green", 0.0)
    assert segment.end_seconds == pytest.approx(2.0)


@settings(max_examples=60, deadline=None)
@given(
    stretches=st.lists(
        st.tuples(
            st.floats(-20, 20), st.integers(1, 12), st.sampled_from([RED, GREEN, BLUE, GREY])
        ),
        min_size=1,
        max_size=6,
    ),
    step=st.sampled_from([0.04, SPACING, 0.5]),
)
def test_law_segments_tile_any_stream(
    stretches: list[tuple[float, int, tuple[int, int, int]]], step: float
) -> None:
    """Stretches of one colour that begin anywhere: gaps, and time that runs back."""
    shots = [
        (start + i * step, plain(colour))
        for start, count, colour in stretches
        for i in range(count)
    ]
    live = tiny_model().live()
    push_all(live, shots)
    segments = live.finish().segments
    assert segments[0].start_seconds == 0.0
    assert segments[-1].end_seconds >= max(seconds for seconds, _ in shots) - shots[0][0]
    for earlier, later in pairwise(segments):
        assert earlier.end_seconds == later.start_seconds
        assert earlier.label != later.label
    if segments[-1].end_seconds > 0:  # else it is a single frame
        assert all(s.start_seconds < s.end_seconds for s in segments)


def test_a_stream_that_keeps_no_readings_gives_the_same_answer() -> None:
    model = tiny_model()
    keeping, light = model.live(), model.live(keep_readings=False)
    shots = seeded(80, 5)
    push_all(keeping, shots)
    push_all(light, shots)
    whole, answer = keeping.finish(), light.finish()
    assert answer.readings == ()
    assert len(whole.readings) > 10
    assert answer.probabilities == pytest.approx(whole.probabilities)
    assert [segment.label for segment in answer.segments] == labels_shown(whole.readings)


def labels_shown(readings: Sequence[Reading]) -> list[str | None]:
    """The labels that were shown one after the other."""
    shown = [reading.shown for reading in readings if reading.status == "ready"]
    return [
        label for before, label in zip([object(), *shown], shown, strict=False) if label != before
    ]


def test_a_look_that_never_entered_the_ring_is_a_missed_tick() -> None:
    """A busy worker drops the look at 0.2 s: the one at 0.24 s is due instead."""
    rules, image = tiny_model().card.rules, plain(RED, 16, 16)
    state = StreamState()
    for seconds, wanted, taken in (
        (0.0, "due", True),
        (0.2, "due", False),
        (0.24, "due", True),
        (0.36, "not_due", False),
    ):
        state, moment = looks.see(state, seconds, rules)
        assert moment == wanted
        if taken:
            clock, ticks = fill(state.clock, seconds, rules.sampling)
            state = replace(state, clock=clock)
            one = Look.of(image, seconds, ticks, clock.stretch, rules)
            ((state, _),) = looks.look(tiny_model().engine, rules, [(state, [one])])
    assert state.looks_seen == 2


# The real model on real clips -----------------------------------------------------------------


@pytest.mark.clips
def test_real_streams_interleaved_are_each_alone(
    model: Recognizer, ucf101_clip: Callable[..., Path]
) -> None:
    tracks = [shots_of(ucf101_clip(name)) for name in ("JumpingJack", "PlayingPiano")]
    alone = [push_all(model.live(), track) for track in tracks]
    streams = [model.live(), model.live()]
    got: list[list[Reading]] = [[], []]
    for index in range(max(map(len, tracks))):
        for which, track in enumerate(tracks):
            got[which] += push_all(streams[which], track[index : index + 1])
    same_readings(alone[0], got[0])
    same_readings(alone[1], got[1])
    assert len(alone[0]) > 10


def shots_of(clip: Path) -> list[Shot]:
    with VideoReader(clip, threads=1) as reader:
        return [(frame.time_seconds, frame.to_rgb()) for frame in reader]


@pytest.mark.clips
def test_the_real_networks_do_the_same_in_any_ragged_split(
    model: Recognizer, ucf101_clip: Callable[..., Path]
) -> None:
    """One call over n looks is n calls: nothing is kept between calls, neighbours do not matter."""
    geometry = model.card.input_geometry
    shots = shots_of(ucf101_clip("Lunges"))[:45:5]
    images = np.stack([preprocess(pixels, geometry) for _, pixels in shots])
    whole = model.engine.encode(images)
    for cuts in ([1] * 9, [4, 5], [2, 3, 4]):
        parts = np.split(images, np.cumsum(cuts)[:-1])
        split = np.concatenate([model.engine.encode(part) for part in parts])
        np.testing.assert_allclose(split, whole, atol=1e-4)
    nobody = np.zeros((9, model.card.look_size - whole.shape[1]), np.float32)
    found = np.concatenate([whole, nobody], axis=1)
    ring = [found[: end + 1] for end in range(9)]
    windows = np.stack([looks.window(StreamState(ring=features)) for features in ring])
    logits, known = model.engine.read(windows)
    alone = [model.engine.read(one[None]) for one in windows]
    np.testing.assert_allclose(np.concatenate([pair[0] for pair in alone]), logits, atol=1e-4)
    np.testing.assert_allclose(np.concatenate([pair[1] for pair in alone]), known, atol=1e-5)

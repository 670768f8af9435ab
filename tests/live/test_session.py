"""What one session does with its frames, readings and errors."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from streams import PATIENCE_SECONDS, Clock, WatchedEngine, camera, eventually, picture

from actionstream.errors import FrameError
from actionstream.live import Session, Worker
from actionstream.recognizer import Recognizer
from actionstream.results import Pixels, Reading


@pytest.fixture
def session(model: Recognizer) -> Iterator[Session]:
    with Worker(model) as worker, worker.open() as session:
        yield session


def feed(session: Session, times: list[float]) -> list[Reading]:
    """The readings that frames at these times bring, each awaited."""
    readings = []
    for moment in times:
        if session.offer(picture(1, moment), moment):
            reading = session.wait(PATIENCE_SECONDS)
            assert reading is not None
            readings.append(reading)
    return readings


def test_a_frame_that_is_not_due_is_never_made(session: Session, spacing: float) -> None:
    feed(session, [0.0])
    made: list[float] = []

    def make() -> Pixels:
        made.append(0.0)
        return picture(0, 0.0)

    assert not session.offer(make, 0.4 * spacing)
    assert not session.offer(make, 0.4 * spacing)  # repeated
    assert not session.offer(make, 0.8 * spacing)
    assert made == []
    assert session.statistics().frames_offered == 4
    assert session.statistics().looks == 1


def test_pictures_are_made_in_the_workers_thread(session: Session) -> None:
    names: list[str] = []

    def make() -> Pixels:
        names.append(threading.current_thread().name)
        return picture(0, 0.0)

    session.offer(make, 0.0)
    assert session.wait(PATIENCE_SECONDS) is not None
    assert names == ["actionstream-worker"]


def test_a_gap_and_backwards_time_reset(
    session: Session, model: Recognizer, spacing: float
) -> None:
    steady = [step * spacing for step in range(4)]
    assert [reading.looks_seen for reading in feed(session, steady)] == [1, 2, 3, 4]
    gap = steady[-1] + model.card.reset_after_seconds + 2 * spacing
    assert [reading.looks_seen for reading in feed(session, [gap, gap + spacing])] == [1, 2]
    back = feed(session, [spacing, 2 * spacing])
    assert [reading.looks_seen for reading in back] == [1, 2]
    times = [reading.time_seconds for reading in session.history()]
    assert times == [0.0, spacing, 2 * spacing]  # the newer readings replaced the overlap


def test_reset_is_a_new_stream(session: Session, spacing: float) -> None:
    feed(session, [0.0, spacing])
    session.reset()
    assert session.latest is None
    assert session.history() == ()
    assert session.wait(0.0) is None
    assert [reading.looks_seen for reading in feed(session, [5.0 + spacing])] == [1]
    assert session.statistics().looks == 3


def test_a_reset_by_time_drops_the_looks_of_before(
    watched: tuple[Recognizer, WatchedEngine], spacing: float
) -> None:
    model, engine = watched
    engine.gate.clear()
    with Worker(model) as worker, worker.open() as session:
        session.offer(picture(0, 0.0), 5.0)
        assert engine.entered.wait(PATIENCE_SECONDS)
        session.offer(picture(0, 0.0), 5.0 + spacing)
        assert session.offer(picture(0, 0.0), 1.0)  # backwards: in flight and waiting are void
        engine.gate.set()
        reading = session.wait(PATIENCE_SECONDS)
        assert reading is not None
        assert (reading.time_seconds, reading.looks_seen) == (1.0, 1)
        statistics = session.statistics()
        assert (statistics.looks, statistics.readings, statistics.looks_dropped) == (1, 1, 2)


def test_a_model_that_is_slower_than_the_reset_is_called_too_slow(
    watched: tuple[Recognizer, WatchedEngine], spacing: float
) -> None:
    model, engine = watched
    engine.gate.clear()
    reset = model.card.reset_after_seconds
    steps = [number * spacing for number in range(200)]
    with Worker(model) as worker, worker.open() as session:
        session.offer(picture(0, 0.0), 0.0)
        assert engine.entered.wait(PATIENCE_SECONDS)  # held with the first look from here on
        for moment in (step for step in steps if 0 < step < 1.9 * reset):
            session.offer(picture(0, 0.0), moment)
        assert session.statistics().late_resets == 1
        assert not session.too_slow  # once may be a hiccup
        for moment in (step for step in steps if 1.9 * reset <= step < 2.5 * reset):
            session.offer(picture(0, 0.0), moment)
        assert session.statistics().late_resets == 2
        assert session.too_slow
        assert session.statistics().too_slow
        assert session.latest is None
        engine.gate.set()
        begin = 2.5 * reset
        for number in range(model.card.ready_after + 2):
            assert session.too_slow, "until there is an answer"
            if session.offer(picture(0, 0.0), begin + number * spacing):
                reading = session.wait(PATIENCE_SECONDS)
                if reading is not None and reading.status == "ready":
                    break
        assert not session.too_slow
        assert session.statistics().late_resets == 2


@pytest.mark.parametrize("jump", [100.0, -1.0])
def test_a_gap_of_the_camera_is_not_the_models_slowness(
    watched: tuple[Recognizer, WatchedEngine], jump: float
) -> None:
    model, engine = watched
    engine.gate.clear()
    with Worker(model) as worker, worker.open() as session:
        for number in range(5):
            session.offer(picture(0, 0.0), 10.0 + number * jump)
        assert session.statistics().looks_dropped >= 4
        assert session.statistics().late_resets == 0
        assert not session.too_slow
        engine.gate.set()


def test_a_reset_forgets_slowness(watched: tuple[Recognizer, WatchedEngine]) -> None:
    model, engine = watched
    engine.gate.clear()
    with Worker(model) as worker, worker.open() as session:
        for number in range(200):
            session.offer(picture(0, 0.0), number * model.card.spacing_seconds)
        assert session.too_slow
        session.reset()
        assert not session.too_slow
        assert session.statistics().late_resets > 2
        engine.gate.set()


def test_a_reset_voids_the_look_in_flight(watched: tuple[Recognizer, WatchedEngine]) -> None:
    model, engine = watched
    engine.gate.clear()
    with Worker(model) as worker, worker.open() as session:
        session.offer(picture(0, 0.0), 0.0)
        assert engine.entered.wait(PATIENCE_SECONDS)
        session.reset()
        session.offer(picture(0, 0.0), 10.0)
        engine.gate.set()
        reading = session.wait(PATIENCE_SECONDS)
        assert reading is not None
        assert (reading.time_seconds, reading.looks_seen) == (10.0, 1)
        assert len(session.history()) == 1


def test_frames_that_came_while_the_model_worked_are_remembered(
    watched: tuple[Recognizer, WatchedEngine], spacing: float
) -> None:
    model, engine = watched
    engine.gate.clear()
    with Worker(model) as worker, worker.open() as session:
        session.offer(picture(0, 0.0), 0.0)
        assert engine.entered.wait(PATIENCE_SECONDS)
        assert not session.offer(picture(0, 0.0), 0.5 * spacing)
        engine.gate.set()
        assert session.wait(PATIENCE_SECONDS) is not None
        assert session.offer(picture(0, 0.0), 0.3 * spacing)  # backwards: a new stream


def test_wait_hands_each_reading_out_once(session: Session) -> None:
    assert session.wait(0.0) is None
    session.offer(picture(0, 0.0), 0.0)
    assert session.wait(PATIENCE_SECONDS) is session.latest
    assert session.wait(0.0) is None


def test_history_is_bounded_by_time(model: Recognizer, spacing: float) -> None:
    keep = 5 * spacing
    with Worker(model) as worker, worker.open(keep_seconds=keep) as session:
        for number in range(40):
            feed(session, [number * spacing])
            assert len(session.history()) <= 7
    with Worker(model) as worker, worker.open(keep_seconds=keep) as session:
        readings = feed(session, [number * spacing for number in range(20)])
        kept = session.history()
        assert list(kept) == readings[-len(kept) :]
        assert kept[-1].time_seconds - kept[0].time_seconds == pytest.approx(keep, abs=spacing)


def test_keep_seconds_must_make_sense(model: Recognizer) -> None:
    with Worker(model) as worker:
        for wrong in (-1.0, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="keep_seconds"):
                worker.open(keep_seconds=wrong)
        assert worker.statistics().sessions == 0
        with worker.open(keep_seconds=0.0) as session:
            feed(session, [0.0, 1.0])
            assert len(session.history()) == 1


def test_segments_tile_the_answers_of_the_history(session: Session, model: Recognizer) -> None:
    assert session.segments() == ()
    for pixels, moment in camera(3, 8.0, rate=10.0, start=100.0):
        if session.offer(pixels, moment):
            assert session.wait(PATIENCE_SECONDS) is not None
    ready = [reading for reading in session.history() if reading.status == "ready"]
    segments = session.segments()
    assert segments[0].start_seconds == pytest.approx(ready[0].time_seconds)
    assert segments[-1].end_seconds == pytest.approx(ready[-1].time_seconds)
    for one, following in itertools.pairwise(segments):
        assert one.end_seconds == following.start_seconds
        assert one.label != following.label
    for reading in ready[:-1]:
        (over,) = [
            segment
            for segment in segments
            if segment.start_seconds - 1e-9 <= reading.time_seconds < segment.end_seconds - 1e-9
        ]
        assert over.label == reading.shown


def test_segments_end_where_the_answers_ended(session: Session, model: Recognizer) -> None:
    """A camera that was lost for half a minute: nothing is said of that time."""
    assert model.card.reset_after_seconds < 30
    for start in (100.0, 138.0):
        for pixels, moment in camera(3, 8.0, rate=10.0, start=start):
            if session.offer(pixels, moment):
                assert session.wait(PATIENCE_SECONDS) is not None
    ready = [reading.time_seconds for reading in session.history() if reading.status == "ready"]
    before, after = ([t for t in ready if t < 130], [t for t in ready if t > 130])
    segments = session.segments()
    first = [segment for segment in segments if segment.start_seconds < 130]
    second = segments[len(first) :]
    assert first[-1].end_seconds == pytest.approx(before[-1])
    assert second[0].start_seconds == pytest.approx(after[0])
    assert after[0] > 138, "it warms up first"
    assert second[-1].end_seconds == pytest.approx(after[-1])
    session.offer(pixels, 165.0)
    assert session.wait(PATIENCE_SECONDS) is not None
    assert session.segments()[-1].end_seconds == pytest.approx(after[-1])


def test_a_bad_frame_concerns_its_own_session_only(model: Recognizer, spacing: float) -> None:
    def broken() -> Pixels:
        raise OSError("the converter gave up")

    with Worker(model) as worker, worker.open() as one, worker.open() as other:
        feed(one, [0.0])
        one.offer(broken, spacing)
        assert len(feed(other, [0.0, spacing])) == 2
        eventually(lambda: one.error is not None)
        assert isinstance(one.error, FrameError)
        with pytest.raises(FrameError, match="the converter gave up"):
            one.offer(picture(0, 0.0), 1.2 * spacing)
        # Its tick is still to be filled, and the stream goes on.
        (reading,) = feed(one, [1.4 * spacing])
        assert reading.looks_seen == 2
        statistics = one.statistics()
        assert (statistics.looks, statistics.bad_frames, statistics.looks_dropped) == (2, 1, 0)
        assert other.error is None


def test_an_error_that_is_its_own_cause_does_not_hang_the_worker(
    model: Recognizer, spacing: float
) -> None:
    def broken() -> Pixels:
        error = OSError("round and round")
        raise error from error

    with Worker(model) as worker, worker.open() as one, worker.open() as other:
        one.offer(broken, 0.0)
        eventually(lambda: one.error is not None)
        assert isinstance(one.error, FrameError)
        assert len(feed(other, [0.0, spacing])) == 2


@pytest.mark.parametrize(
    ("pixels", "moment"),
    [
        (np.zeros((4, 4), np.uint8), 0.0),
        (np.zeros((4, 4, 3), np.float32), 0.0),
        (np.zeros((0, 4, 3), np.uint8), 0.0),
        (np.zeros((4, 4, 3), np.uint8), float("nan")),
        (np.zeros((4, 4, 3), np.uint8), "soon"),
    ],
)
def test_what_is_no_frame_is_refused_at_once(
    session: Session, pixels: Pixels, moment: float
) -> None:
    with pytest.raises(FrameError):
        session.offer(pixels, moment)
    assert session.statistics().frames_offered == 0
    assert [reading.looks_seen for reading in feed(session, [0.0])] == [1]


def test_a_failing_callback_is_handed_back(model: Recognizer, spacing: float) -> None:
    def fail(reading: Reading) -> None:
        raise KeyError(reading.looks_seen)

    with Worker(model) as worker, worker.open(on_reading=fail) as session:
        session.offer(picture(0, 0.0), 0.0)
        eventually(lambda: session.error is not None)
        with pytest.raises(KeyError, match="1"):
            session.offer(picture(0, 0.0), spacing)
        assert session.latest is not None
        assert len(feed(session, [2 * spacing])) == 1


def test_statistics_count_and_measure_by_the_clock_that_is_given(
    watched: tuple[Recognizer, WatchedEngine], spacing: float
) -> None:
    model, engine = watched
    clock = Clock()
    with Worker(model, clock=clock) as worker, worker.open() as session:
        empty = session.statistics()
        assert (empty.frames_per_second, empty.readings_per_second) == (0.0, 0.0)
        assert empty.age_p95_seconds == 0.0
        for number in range(40):  # 25 frames a second; every second one is due
            clock.now = number / 25
            engine.before_encode = lambda: clock.advance(0.01)
            if session.offer(picture(0, 0.0), number * spacing / 2):
                assert session.wait(PATIENCE_SECONDS) is not None
        clock.now = 39 / 25
        told = session.statistics()
        assert (told.frames_offered, told.looks, told.readings) == (40, 20, 20)
        assert told.looks_dropped == 0
        assert told.frames_per_second == pytest.approx(25.0)
        assert told.readings_per_second == pytest.approx(12.5)
        assert told.seconds == pytest.approx(39 / 25)
        assert told.age_p50_seconds == pytest.approx(0.01)
        assert told.age_p95_seconds == pytest.approx(0.01)
        clock.advance(60.0)
        assert session.statistics().frames_per_second == 0.0


def test_a_frame_brings_its_own_time(session: Session, spacing: float) -> None:
    class Shot:
        def __init__(self, seconds: float) -> None:
            self.time_seconds = seconds

        def to_rgb(self) -> Pixels:
            return picture(0, self.time_seconds)

    assert session.offer(Shot(3.0))
    reading = session.wait(PATIENCE_SECONDS)
    assert reading is not None
    assert reading.time_seconds == 3.0
    assert not session.offer(Shot(3.0 + 0.4 * spacing))
    for wrong in (picture(0, 0.0), lambda: picture(0, 0.0)):
        with pytest.raises(FrameError, match="its time"):
            session.offer(wrong)

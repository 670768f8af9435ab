"""Laws of the worker: it answers as a stream does, shares fairly, drops evenly, and ends."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streams import PATIENCE_SECONDS, Clock, WatchedEngine, camera, eventually, picture

from actionstream.errors import BusyError, EngineError, FrameError
from actionstream.live import Session, Worker
from actionstream.recognizer import Recognizer
from actionstream.results import Pixels, Reading
from actionstream.video import VideoReader

Watched = tuple[Recognizer, WatchedEngine]


def alone(model: Recognizer, frames: list[tuple[Pixels, float]]) -> list[Reading]:
    """The readings of these frames pushed into a stream of their own."""
    stream = model.live()
    pushed = (stream.push(pixels, moment) for pixels, moment in frames)
    return [reading for reading in pushed if reading is not None]


def offer_and_wait(session: Session, pixels: Pixels, moment: float) -> Reading | None:
    if not session.offer(pixels, moment):
        return None
    reading = session.wait(PATIENCE_SECONDS)
    assert reading is not None
    return reading


def assert_same(got: list[Reading], wanted: list[Reading]) -> None:
    """Equal but for age; numbers to 1e-4, what file and live may differ by."""
    assert len(got) == len(wanted) > 0
    for one, other in zip(got, wanted, strict=True):
        assert (one.status, one.time_seconds, one.looks_seen, one.known, one.shown) == (
            other.status,
            other.time_seconds,
            other.looks_seen,
            other.known,
            other.shown,
        )
        assert one.known_score == pytest.approx(other.known_score, abs=1e-4)
        assert one.shown_confidence == pytest.approx(other.shown_confidence, abs=1e-4)
        if other.probabilities is None:
            assert one.probabilities is None
        else:
            np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-4)


def test_one_session_fed_slowly_gives_a_streams_readings(model: Recognizer) -> None:
    frames = camera(1, 6.0)
    with Worker(model) as worker, worker.open() as session:
        got = [offer_and_wait(session, *frame) for frame in frames]
    readings = [reading for reading in got if reading is not None]
    assert_same(readings, alone(model, frames))
    assert any(reading.status == "ready" for reading in readings)
    assert all(reading.age_seconds > 0 for reading in readings)


@pytest.mark.clips
def test_a_real_clip_gives_the_files_readings(
    shipped: Recognizer, ucf101_clip: Callable[..., Path]
) -> None:
    clip = ucf101_clip("Drumming")
    answer = shipped.recognize(clip)
    with Worker(shipped) as worker, worker.open() as session, VideoReader(clip) as video:
        readings = [session.wait(PATIENCE_SECONDS) for frame in video if session.offer(frame)]
    assert_same(readings, list(answer.readings))
    assert readings[-1].label == answer.label == "Drumming"


def test_interleaved_sessions_are_each_as_if_alone(model: Recognizer) -> None:
    streams = [camera(seed, 5.0, rate=rate) for seed, rate in ((1, 15.0), (2, 25.0), (3, 7.0))]
    moments = sorted(
        (moment, number, index)
        for number, frames in enumerate(streams)
        for index, (_, moment) in enumerate(frames)
    )
    got: list[list[Reading]] = [[], [], []]
    with Worker(model) as worker:
        sessions = [worker.open(on_reading=readings.append) for readings in got]
        for _, number, index in moments:
            offer_and_wait(sessions[number], *streams[number][index])
    for readings, frames in zip(got, streams, strict=True):
        assert_same(readings, alone(model, frames))
    assert not np.allclose(got[0][-1].probabilities, got[1][-1].probabilities, atol=1e-4)


def test_what_waits_is_one_batch_for_encoder_and_head(watched: Watched, spacing: float) -> None:
    model, engine = watched
    engine.gate.clear()
    frames = [camera(seed, 4.0, rate=1 / spacing) for seed in range(5)]
    with Worker(model, max_batch=4) as worker:
        sessions = [worker.open() for _ in frames]
        got: list[list[Reading]] = [[] for _ in frames]
        for step in range(len(frames[0])):
            engine.gate.clear()
            engine.entered.clear()
            sessions[0].offer(*frames[0][step])
            assert engine.entered.wait(PATIENCE_SECONDS)  # held with the first one's look
            for session, mine in zip(sessions[1:], frames[1:], strict=True):
                session.offer(*mine[step])
            engine.gate.set()
            for session, readings in zip(sessions, got, strict=True):
                reading = session.wait(PATIENCE_SECONDS)
                assert reading is not None
                readings.append(reading)
    assert engine.encoded == [1, 4] * len(frames[0])
    assert set(engine.read_batches) == {1, 4}
    for readings, mine in zip(got, frames, strict=True):
        assert_same(readings, alone(model, mine))


def test_a_batch_is_never_larger_than_max_batch(watched: Watched) -> None:
    model, engine = watched
    engine.gate.clear()
    with Worker(model, max_batch=3) as worker:
        sessions = [worker.open() for _ in range(8)]
        for session in sessions:
            session.offer(picture(0, 0.0), 0.0)
        engine.gate.set()
        assert all(session.wait(PATIENCE_SECONDS) for session in sessions)
    assert max(engine.encoded) == 3
    assert sum(engine.encoded) == 8


def test_a_greedy_stream_does_not_starve_a_patient_one(watched: Watched, spacing: float) -> None:
    model, engine = watched
    engine.gate.clear()
    served: list[str] = []
    with Worker(model, max_batch=1) as worker:
        greedy = worker.open(on_reading=lambda reading: served.append("greedy"))
        patient = worker.open(on_reading=lambda reading: served.append("patient"))
        greedy.offer(picture(0, 0.0), 0.0)
        assert engine.entered.wait(PATIENCE_SECONDS)
        for step in range(1, 6):
            greedy.offer(picture(0, 0.0), step * spacing)
        patient.offer(picture(1, 0.0), 0.0)
        for step in range(6, 9):
            greedy.offer(picture(0, 0.0), step * spacing)
        engine.gate.set()
        eventually(lambda: len(served) == 3)
    assert served == ["greedy", "greedy", "patient"]


def test_the_newest_frame_wins_and_missed_ticks_are_counted(
    watched: Watched, spacing: float
) -> None:
    model, engine = watched
    engine.gate.clear()
    with Worker(model) as worker, worker.open() as session:
        session.offer(picture(0, 0.0), 0.0)
        assert engine.entered.wait(PATIENCE_SECONDS)
        asked: list[int] = []
        for step in range(1, 6):
            session.offer(lambda step=step: asked.append(step) or picture(0, 0.0), step * spacing)
        engine.gate.set()
        eventually(lambda: session.statistics().readings == 2)
        assert asked == [5]  # the pictures of the others were never even made
        assert session.statistics().looks_dropped == 4
        assert session.latest is not None
        assert session.latest.time_seconds == 5 * spacing
        assert session.latest.looks_seen == 6  # the fifth look filled the missed ticks


def test_a_newer_frame_of_the_same_tick_is_no_drop(watched: Watched, spacing: float) -> None:
    model, engine = watched
    engine.gate.clear()
    with Worker(model) as worker, worker.open() as session:
        session.offer(picture(0, 0.0), 0.0)
        assert engine.entered.wait(PATIENCE_SECONDS)
        assert not session.offer(picture(0, 0.0), 0.5 * spacing)  # its tick is in flight
        assert session.offer(picture(0, 0.0), 1.0 * spacing)
        assert session.offer(picture(0, 0.0), 1.5 * spacing)
        engine.gate.set()
        eventually(lambda: session.statistics().readings == 2)
        assert session.statistics().looks_dropped == 0
        assert session.latest is not None
        assert session.latest.time_seconds == 1.5 * spacing


def test_a_slow_model_drops_evenly_and_does_not_lag(watched: Watched, spacing: float) -> None:
    """Three streams want three looks a tick of a model that makes one: a third of them each."""
    model, engine = watched
    permits, done, clock = threading.Semaphore(0), threading.Semaphore(0), Clock()
    engine.before_encode = lambda: permits.acquire(timeout=PATIENCE_SECONDS)
    count, ticks = 3, 60
    pixels = picture(0, 0.0)
    with Worker(model, max_batch=1, clock=clock) as worker:
        sessions = [worker.open(on_reading=lambda _: done.release()) for _ in range(count)]
        longest = 0
        for step in range(2 * ticks):
            clock.now = step * spacing / 2
            for session in sessions:
                session.offer(pixels, step * spacing / 2)
            longest = max(longest, len(worker._waiting))
            if step % 2:
                permits.release()
                assert done.acquire(timeout=PATIENCE_SECONDS)
        told = [session.statistics() for session in sessions]
        permits.release(count + 1)
    looks = [statistics.looks for statistics in told]
    assert longest <= count
    assert sum(looks) == ticks
    assert max(looks) - min(looks) <= 1
    assert min(statistics.looks_dropped for statistics in told) >= ticks / 2
    assert max(statistics.age_p95_seconds for statistics in told) <= count * spacing


def test_the_engines_failure_reaches_every_session(watched: Watched) -> None:
    model, engine = watched
    engine.failure = RuntimeError("out of memory")
    with Worker(model) as worker:
        first, second = worker.open(), worker.open()
        waiting: list[BaseException] = []

        def wait() -> None:
            try:
                second.wait(PATIENCE_SECONDS)
            except EngineError as error:
                waiting.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        first.offer(picture(0, 0.0), 0.0)
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
        assert len(waiting) == 1
        for call in (
            lambda: first.offer(picture(0, 0.0), 1.0),
            lambda: first.latest,
            lambda: second.wait(0.0),
            worker.open,
        ):
            with pytest.raises(EngineError, match="out of memory") as raised:
                call()
            assert raised.value.__cause__ is engine.failure
        assert worker.failed
    assert first.closed


def test_places_are_counted(model: Recognizer) -> None:
    with Worker(model, max_sessions=2) as worker:
        first, _second = worker.open(), worker.open()
        with pytest.raises(BusyError, match="2 live sessions"):
            worker.open()
        first.close()
        first.close()
        assert worker.statistics().sessions == 1
        with worker.open():
            assert worker.statistics().sessions == 2
        assert worker.statistics().sessions == 1


def test_nothing_opens_after_close(model: Recognizer) -> None:
    worker = Worker(model)
    session = worker.open()
    worker.close()
    worker.close()
    assert session.closed
    assert session.offer(picture(0, 0.0), 0.0) is False
    assert session.wait(0.0) is None
    with pytest.raises(EngineError, match="closed"):
        worker.open()


def test_wrong_limits_are_refused(model: Recognizer) -> None:
    for limits in ({"max_batch": 0}, {"max_sessions": 0}):
        with pytest.raises(ValueError, match="must be 1 or more"):
            Worker(model, **limits)


def test_close_while_the_model_works(watched: Watched, spacing: float) -> None:
    model, engine = watched
    engine.gate.clear()
    heard: list[Reading] = []
    with Worker(model) as worker:
        session, other = worker.open(on_reading=heard.append), worker.open()
        session.offer(picture(0, 0.0), 0.0)
        assert engine.entered.wait(PATIENCE_SECONDS)
        session.offer(picture(0, 0.0), spacing)
        session.close()
        other.offer(picture(1, 0.0), 0.0)
        engine.gate.set()
        assert other.wait(PATIENCE_SECONDS) is not None
        assert session.history() == ()
        assert session.latest is None
        assert heard == []


def test_the_worker_ends_while_the_model_works(watched: Watched) -> None:
    model, engine = watched
    engine.gate.clear()
    worker = Worker(model)
    session = worker.open()
    session.offer(picture(0, 0.0), 0.0)
    assert engine.entered.wait(PATIENCE_SECONDS)
    closing = threading.Thread(target=worker.close)
    closing.start()
    assert session.wait(PATIENCE_SECONDS) is None  # woken by the close, long before the gate
    assert closing.is_alive()  # it waits for the batch in hand
    engine.gate.set()
    closing.join(PATIENCE_SECONDS)
    assert not closing.is_alive()


def test_a_callback_may_close_its_session_and_the_worker(model: Recognizer) -> None:
    worker = Worker(model)
    done = threading.Event()

    def close(reading: Reading) -> None:
        session.close()
        worker.close()
        done.set()

    session = worker.open(on_reading=close)
    session.offer(picture(0, 0.0), 0.0)
    assert done.wait(PATIENCE_SECONDS)
    worker.close()
    assert not worker._thread.is_alive()


def visit(worker: Worker, spacing: float) -> list[weakref.ref[object]]:
    """Use a session, close it, and return weak references to what it held."""
    session = worker.open(on_reading=lambda reading: None)
    frames = [picture(0, step * spacing) for step in range(4)]
    for step, pixels in enumerate(frames):
        offer_and_wait(session, pixels, step * spacing)
    session.offer(lambda: frames[9], 5 * spacing)  # a failed look must keep nothing either
    eventually(lambda: session.error is not None)
    with pytest.raises(FrameError):
        session.offer(frames[0], 6 * spacing)
    session.offer(frames[0], 7 * spacing)
    watched = [weakref.ref(thing) for thing in (session, *frames)]
    session.close()
    return watched


def test_close_frees_everything_at_once(model: Recognizer, spacing: float) -> None:
    """By reference counts alone: the garbage collector is off."""
    gc.disable()
    try:
        with Worker(model) as worker:
            watched = visit(worker, spacing)
            eventually(lambda: all(reference() is None for reference in watched))
    finally:
        gc.enable()


def test_thousands_of_visitors_leave_nothing(model: Recognizer) -> None:
    pixels = picture(0, 0.0)
    alive: weakref.WeakSet[Session] = weakref.WeakSet()
    with Worker(model, max_sessions=4) as worker:
        threads = threading.active_count()
        for visit in range(2000):
            with worker.open() as session:
                alive.add(session)
                session.offer(pixels, 0.0)
                if visit % 100 == 0:
                    assert session.wait(PATIENCE_SECONDS) is not None
        del session
        assert threading.active_count() == threads
        assert worker.statistics().sessions == 0
        eventually(lambda: not alive)
        assert not worker._waiting


def test_many_threads_offer_at_once(model: Recognizer, spacing: float) -> None:
    pixels = picture(0, 0.0)
    with Worker(model, max_batch=4) as worker:
        sessions = [worker.open() for _ in range(6)]

        def feed(session: Session) -> None:
            for step in range(200):
                session.offer(pixels, step * spacing)

        feeders = [threading.Thread(target=feed, args=(session,)) for session in sessions]
        for feeder in feeders:
            feeder.start()
        for feeder in feeders:
            feeder.join(PATIENCE_SECONDS)
        eventually(
            lambda: all(
                s.statistics().looks + s.statistics().looks_dropped == 200 for s in sessions
            )
        )
        assert all(s.statistics().frames_offered == 200 for s in sessions)
        # One that was encoded while its stream was reset is among the dropped ones.
        assert worker.statistics().looks >= sum(s.statistics().looks for s in sessions) > 0

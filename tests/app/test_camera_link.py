"""A camera's frames through the link, the real worker and the real model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from clips import picture
from streams import eventually

from actionstream.app import camera_page
from actionstream.app.camera_link import BUSY_RETRY_SECONDS, STILL_SECONDS, CameraLink
from actionstream.app.models import Models
from actionstream.live import Worker
from actionstream.recognizer import Recognizer
from actionstream.results import Reading


@pytest.fixture
def worker(model: Recognizer) -> Iterator[Worker]:
    with Worker(model, max_sessions=1) as running:
        yield running


def frame(index: int = 0) -> av.VideoFrame:
    made = av.VideoFrame.from_ndarray(picture(index, (320, 240)), format="rgb24")
    made = made.reformat(format="yuv420p")
    made.pts = index
    return made


@dataclass
class Clock:
    """A clock that stands still until a test moves it."""

    seconds: float = 100.0

    def __call__(self) -> float:
        return self.seconds


def link_on(worker: Worker, clock: Callable[[], float] = time.monotonic) -> CameraLink:
    return CameraLink(worker.open, worker.model.card.ready_after, clock=clock)


@pytest.mark.clips
def test_a_film_is_named_by_its_own_times(worker: Worker, ucf101_clip: Callable[..., Path]) -> None:
    clock = Clock()
    link, ticks = link_on(worker, clock), 0
    with av.open(str(ucf101_clip("PlayingPiano"))) as film:
        for shown in film.decode(video=0):
            clock.seconds = 100 + float(shown.time or 0)
            back = link.recv(shown)
            due = int((clock.seconds - 100 + 0.001) / worker.model.card.spacing_seconds) + 1
            if due > ticks:  # a look was offered: no other one takes its slot
                ticks = due
                eventually(lambda: link.statistics().readings == ticks)  # noqa: B023
            assert (back.width, back.height, back.pts) == (shown.width, shown.height, shown.pts)
    reading = link.shown
    assert reading is not None
    assert reading.shown == "PlayingPiano"
    assert link.minute().segments[-1].label == "PlayingPiano"
    assert link.size == (320, 240)
    assert link.silent_seconds == 0
    kept = link.minute()
    drawn = back.to_ndarray(format="rgb24").astype(int)
    green = (drawn[..., 1] > 150) & (drawn[..., 0] < 90) & (drawn[..., 2] < 150)
    assert green.sum() > 50
    link.end()
    assert link.shown is None
    assert link.minute().readings == kept.readings, "the last minute stays after the end"
    assert link.minute().segments == kept.segments
    assert link.minute().end_seconds == kept.readings[-1].time_seconds


def test_a_mirrored_picture_is_the_camera_s_turned_round(worker: Worker) -> None:
    straight, turned = link_on(worker), CameraLink(worker.open, 8, mirror=True)
    shown = straight.recv(frame()).to_ndarray(format="rgb24").astype(int)
    straight.end()
    mirrored = turned.recv(frame()).to_ndarray(format="rgb24").astype(int)
    turned.end()
    middle = slice(100, 200)  # no plate is there
    assert np.abs(shown[middle] - mirrored[middle, ::-1]).mean() < 6
    assert np.abs(shown[middle] - mirrored[middle]).mean() > 12


def test_the_skeleton_is_drawn_before_the_picture_is_mirrored(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    pose = np.zeros(236, np.float32)
    pose[:132].reshape(33, 4)[[11, 12]] = (0.3, 0.5, 0.0, 0.9), (0.3, 0.8, 0.0, 0.9)
    pose[235] = 0.9
    seen = Reading("ready", 0.0, 8, ("A", "B"), shown="A", shown_confidence=0.5, pose=pose)
    pictures = []
    for skeleton in (False, True):
        link = CameraLink(worker.open, 8, mirror=True)
        link.overlay.skeleton = skeleton
        monkeypatch.setattr(link, "_next_shown", lambda _: seen)
        pictures.append(link.recv(frame()).to_ndarray(format="rgb24").astype(int))
        link.end()
    height, width = pictures[0].shape[:2]
    _, columns = np.nonzero(np.abs(pictures[1] - pictures[0]).max(axis=2) > 60)
    assert columns.mean() == pytest.approx(width - 0.3 * height, abs=4)


def test_a_reading_is_shown_for_half_a_second_or_until_it_changes(worker: Worker) -> None:
    """So that the picture, the heading and the bar say the same figure."""
    clock = Clock()
    link = link_on(worker, clock)
    first, same, other = (
        Reading("ready", 0.0, 8, ("A", "B"), shown=label, shown_confidence=confidence)
        for label, confidence in (("A", 0.5), ("A", 0.6), ("B", 0.7))
    )
    assert link._next_shown(None) is None
    assert link._next_shown(first) is first
    clock.seconds += 0.4
    assert link._next_shown(same) is first
    clock.seconds += 0.2
    assert link._next_shown(same) is same
    assert link._next_shown(other) is other
    assert link._next_shown(None) is None
    link.end()


def test_every_frame_gives_one_frame_and_none_waits_for_the_model(model: Recognizer) -> None:
    release = threading.Event()

    def slow_picture() -> np.ndarray:
        release.wait(60)
        return picture(0, (320, 240))

    with Worker(model) as worker, worker.open() as other:
        other.offer(slow_picture, 0.0)  # the worker is stuck with this until it is released
        link = link_on(worker)
        for index in range(40):
            assert isinstance(link.recv(frame(index)), av.VideoFrame)
        assert link.statistics().frames_offered == 40
        assert link.shown is None
        assert not release.is_set()
        release.set()
        link.end()


def test_the_place_is_taken_at_the_first_frame_and_given_back_at_the_end(worker: Worker) -> None:
    link = link_on(worker)
    assert (link.state, worker.statistics().sessions) == ("waiting", 0)
    link.recv(frame())
    assert (link.state, worker.statistics().sessions) == ("running", 1)
    link.end()
    link.end()
    assert (link.state, worker.statistics().sessions) == ("ended", 0)
    late = frame(1)
    assert link.recv(late) is late
    assert worker.statistics().sessions == 0


def test_the_page_shows_a_camera_whose_pictures_come_before_it_is_said_to_play(
    worker: Worker,
) -> None:
    """On a busy server seconds go by in between: "Ready, press Start" was wrong there."""
    clock = Clock()
    link = link_on(worker, clock)
    assert not camera_page._is_on(None, playing=False)
    assert not camera_page._is_on(link, playing=False)
    assert "Connecting" in camera_page._before(link)
    link.recv(frame())
    assert camera_page._is_on(link, playing=False)
    assert "Warming up" in camera_page._reading(link)
    link.end()
    assert not camera_page._is_on(link, playing=False)
    assert "The camera has stopped" in camera_page._before(link)


def test_a_camera_without_a_place_gets_one_when_it_is_free(worker: Worker) -> None:
    clock = Clock()
    first, second = link_on(worker, clock), link_on(worker, clock)
    first.recv(frame())
    assert second.recv(frame()).width == 160
    assert second.state == "busy"
    first.end()
    clock.seconds += BUSY_RETRY_SECONDS - 0.01
    second.recv(frame(1))
    assert second.state == "busy", "it asks only now and then"
    clock.seconds += 0.01
    second.recv(frame(2))
    assert (second.state, worker.statistics().sessions) == ("running", 1)
    second.end()


def test_who_waits_for_a_place_gets_a_small_picture_now_and_then(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that those who are served keep the processor: only decoding cannot be spared."""
    clock = Clock()
    monkeypatch.setattr("actionstream.app.camera_link.from_webrtc", None)
    with worker.open():
        link = link_on(worker, clock)
        back = [link.recv(frame(index)) for index in range(3)]
        assert link.state == "busy"
        assert back[0] is back[1] is back[2]
        assert (back[0].width, back[0].height) == (160, 120)
        clock.seconds += STILL_SECONDS
        assert link.recv(frame(3)) is not back[0]
        link.end()


def test_a_vast_picture_is_shrunk_before_anything_else(worker: Worker) -> None:
    link = link_on(worker)
    vast = av.VideoFrame(3840, 2160, "yuv420p")
    back = link.recv(vast)
    assert (back.width, back.height) == (1280, 720)
    assert link.size == (3840, 2160)
    link.end()


def test_the_minute_is_told_by_the_clock_of_now(worker: Worker) -> None:
    clock, spacing = Clock(), worker.model.card.spacing_seconds
    link, needed = link_on(worker, clock), worker.model.card.ready_after
    for index in range(needed):
        clock.seconds = 100 + index * spacing
        link.recv(frame(index))
        eventually(lambda: link.statistics().readings == index + 1)  # noqa: B023
    (segment,) = link.minute().segments
    assert segment.start_seconds == segment.end_seconds == clock.seconds
    clock.seconds += 1.0
    assert link.minute().end_seconds - link.minute().segments[-1].end_seconds == 1.0
    link.end()


def test_a_page_that_is_gone_for_a_moment_gets_its_place_again(worker: Worker) -> None:
    link = link_on(worker)
    link.recv(frame())
    link.pause()
    assert worker.statistics().sessions == 0
    link.recv(frame(1))
    assert (worker.statistics().sessions, link.shown) == (0, None)
    link.resume()
    link.recv(frame(2))
    assert worker.statistics().sessions == 1
    link.end()


def test_a_camera_whose_first_frame_does_not_come_is_silent(worker: Worker) -> None:
    clock = Clock()
    link = link_on(worker, clock)
    clock.seconds += 3
    assert link.silent_seconds == 3
    link.end()
    clock.seconds += 3
    assert link.silent_seconds == 3


def test_a_camera_that_stops_sending_is_stalled(worker: Worker) -> None:
    clock = Clock()
    link = link_on(worker, clock)
    clock.seconds += 3
    assert link.stalled_seconds == 0, "not before the first frame"
    link.recv(frame())
    clock.seconds += 1
    assert link.stalled_seconds == 1
    link.recv(frame(1))
    assert link.stalled_seconds == 0
    link.end()
    clock.seconds += 2
    assert link.stalled_seconds == 2, "the page may not know of the end"


def test_a_worker_that_stops_leaves_the_picture_going(model: Recognizer) -> None:
    worker = Worker(model)
    link = link_on(worker)
    link.recv(frame())
    worker.close()
    assert isinstance(link.recv(frame(1)), av.VideoFrame)
    link.end()


def test_the_cap_is_over_all_models_together(model: Recognizer) -> None:
    models = Models(None, 1)
    name = models.names()[0]
    session = models.open_session(name)
    assert models.is_full()
    with pytest.raises(Exception, match="all 1 live sessions are in use"):
        models.open_session(name)
    session.close()
    assert models.live_sessions() == 0
    models.close()

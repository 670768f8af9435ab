"""A look of two halves: the picture's feature and the person's pose, in files, streams and batches.

The networks are small ONNX graphs (`posing`); a red and a green dot are the body.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from posing import COLOURS, body, pose_model
from readings import same_readings

from actionstream.inference import look as looks
from actionstream.inference.file import read_frames
from actionstream.inference.look import StreamState
from actionstream.inference.pose import POSE_SIZE, SQUARE, PoseState
from actionstream.live.worker import Worker
from actionstream.recognizer import Recognizer, list_models, load
from actionstream.results import Reading, RGBFrame
from actionstream.video import VideoReader

EMPTY = np.full((240, 320, 3), 40, np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    return pose_model(tmp_path_factory.mktemp("pose") / "bundle")


def film(seed: int, count: int = 60) -> list[RGBFrame]:
    """A body that sways at an uneven rate; away for a while, and one gap resets the stream."""
    chance = np.random.default_rng(seed)
    steps = chance.uniform(0.05, 0.13, count)
    steps[count * 2 // 3] = 5.0
    frames = []
    for index, seconds in enumerate(np.cumsum(steps)):
        sway = 0.1 * np.sin(index / 3 + seed)
        away = 12 <= index < 20
        picture = EMPTY if away else body((0.6 + sway, 0.55), (0.6 - sway, 0.25))
        frames.append(RGBFrame(picture, float(seconds)))
    return frames


def pushed(model: Recognizer, frames: Sequence[RGBFrame]) -> list[Reading]:
    live = model.live()
    return [reading for frame in frames if (reading := live.push(frame)) is not None]


def same_poses(one: Sequence[Reading], other: Sequence[Reading]) -> None:
    for left, right in zip(one, other, strict=True):
        assert (left.pose is None) == (right.pose is None)
        if left.pose is not None:
            np.testing.assert_allclose(left.pose, right.pose, atol=1e-4)


def test_the_ring_holds_the_picture_and_behind_it_the_pose(model: Recognizer) -> None:
    live = model.live()
    reading = live.push(body(), 0.0)
    assert reading is not None
    assert live.state.ring is not None
    assert live.state.ring.shape == (1, COLOURS + POSE_SIZE)
    assert live.state.ring[0, :COLOURS] == pytest.approx(body().mean((0, 1)) / 255, abs=0.02)
    assert (live.state.ring[0, COLOURS:] == reading.pose).all()
    assert reading.pose[SQUARE] == pytest.approx([0.7, 0.55, 0.75, 0.0], abs=0.02)


def test_a_file_gives_what_a_stream_gives(model: Recognizer) -> None:
    frames = film(1)
    live, answer = pushed(model, frames), model.recognize(frames)
    same_readings(live, answer.readings, tolerance=1e-4)
    same_poses(live, answer.readings)
    found = [reading.pose is not None for reading in live]
    assert 0 < sum(found) < len(found)
    assert any(reading.status == "ready" for reading in live)


def test_the_pose_counts_in_the_answer(model: Recognizer) -> None:
    """A body and a plate of the same mean colour differ by the pose alone."""
    still = body()
    plate = np.broadcast_to(still.mean((0, 1)).astype(np.uint8), still.shape)
    one, other = (
        model.recognize([RGBFrame(np.array(picture), i / 5) for i in range(20)])
        for picture in (still, plate)
    )
    assert one.probabilities is not None
    assert other.probabilities is not None
    assert np.abs(one.probabilities - other.probabilities).max() > 0.01


def test_one_batch_over_streams_gives_what_each_gives_alone(model: Recognizer) -> None:
    """Looks of several streams at once, of one and of four each, as worker and file take them."""
    rules, films = model.card.rules, [film(seed) for seed in range(3)]
    states = [StreamState() for _ in films]
    got: list[list[Reading]] = [[] for _ in films]
    for begin in range(0, 60, 4):
        batch = []
        for index, frames in enumerate(films):
            due = []
            for frame in frames[begin : begin + 4]:
                states[index], one = looks.take(states[index], frame, rules)
                due += [] if one is None else [one]
            batch.append((states[index], due))
        for index, (state, readings) in enumerate(looks.look(model.engine, rules, batch)):
            states[index] = state
            got[index] += readings
    for frames, readings in zip(films, got, strict=True):
        alone = pushed(model, frames)
        same_readings(alone, readings, tolerance=1e-4)
        same_poses(alone, readings)


def test_a_worker_gives_what_a_stream_gives(model: Recognizer) -> None:
    frames = film(2)
    with Worker(model) as worker, worker.open() as session:
        got = [session.wait(20.0) for f in frames if session.offer(f.pixels, f.time_seconds)]
    readings = [reading for reading in got if reading is not None]
    alone = pushed(model, frames)
    same_readings(alone, readings, tolerance=1e-4)
    same_poses(alone, readings)


@pytest.mark.parametrize("cut", [1, 14, 30, 41])
def test_kept_and_put_back_it_follows_the_same_person(model: Recognizer, cut: int) -> None:
    frames, live = film(3), model.live()
    for frame in frames[:cut]:
        live.push(frame)
    kept = pickle.loads(pickle.dumps(live.state))
    live.reset()
    assert live.state.pose == PoseState()
    live.state = kept
    rest = [reading for frame in frames[cut:] if (reading := live.push(frame)) is not None]
    whole = pushed(model, frames)[-len(rest) :]
    same_readings(whole, rest)
    same_poses(whole, rest)


def test_a_new_stretch_follows_nobody(model: Recognizer) -> None:
    """After a gap the old square would still find this body; a search finds its own."""
    live = model.live()
    live.push(body(), 0.0)
    followed = live.push(body(), 0.2)
    searched = live.push(body(), 100.0)
    first = model.live().push(body(), 0.0)
    assert followed is not None
    assert searched is not None
    assert first is not None
    assert (searched.pose == first.pose).all()
    assert (searched.pose != followed.pose).any()


def test_an_array_that_is_filled_again_is_no_other_picture(model: Recognizer) -> None:
    """Frames wait for their batch: what the caller does with the array meanwhile must not count."""
    frames, buffer = film(4), np.empty_like(EMPTY)

    def reused():
        for frame in frames:
            buffer[:] = frame.pixels
            yield buffer, frame.time_seconds

    same_poses(pushed(model, frames), model.recognize(reused()).readings)


@pytest.mark.parametrize(("picture", "kinds"), [(EMPTY, ["no_person"]), (body(), [])])
def test_nobody_is_said_in_the_answer(
    model: Recognizer, picture: np.ndarray, kinds: list[str]
) -> None:
    frames = [RGBFrame(picture, index / 10) for index in range(40)]
    live = model.live(keep_readings=False)
    for frame in frames:
        live.push(frame)
    for answer in (model.recognize(frames), live.finish()):
        assert [notice.kind for notice in answer.warnings] == kinds
    assert all(reading.pose is None for reading in model.recognize(frames).readings) == bool(kinds)


def test_the_time_that_the_pose_takes_is_told(model: Recognizer) -> None:
    frames = film(5)
    with_pose = read_frames(frames, model.engine, model.card.rules)
    assert with_pose.encode_seconds > 0
    assert with_pose.total.people == sum(r.pose is not None for r in pushed(model, frames))


# The real networks on real clips ---------------------------------------------------------------


@pytest.mark.clips
@pytest.mark.parametrize("label", ["JumpingJack", "Diving"])
def test_a_real_clip_gives_as_a_file_what_it_gives_frame_by_frame(
    ucf101_clip: Callable[..., Path], label: str
) -> None:
    model = next(m for m in map(load, list_models()) if m.card.pose is not None)
    clip = ucf101_clip(label)
    answer = model.recognize(clip)
    with VideoReader(clip) as reader:
        frames = [RGBFrame(frame.to_rgb(), frame.time_seconds) for frame in reader]
    live = pushed(model, frames)
    same_readings(live, answer.readings, tolerance=1e-4)
    same_poses(live, answer.readings)
    assert any(reading.pose is not None for reading in live)

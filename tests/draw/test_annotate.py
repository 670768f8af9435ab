"""Annotated videos: the right reading on the right frame, in a file that plays, with its sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import make_clip
from tiny import BLUE, GREY, RED, plain, tiny_model

from actionstream.draw import annotate as module
from actionstream.draw import draw_reading
from actionstream.draw.annotate import annotate, newest
from actionstream.draw.reading import GREEN as HEADLINE
from actionstream.errors import VideoNotFoundError, VideoWriteError
from actionstream.recognizer import Recognizer
from actionstream.results import Pixels, Reading
from actionstream.video import VideoReader, probe


def long_clip(path: Path, **how: object) -> Path:
    """Four seconds of blue, of grey and of red at 10 frames a second."""
    pictures = [plain(colour, 320, 240) for colour in (BLUE, GREY, RED) for _ in range(40)]
    return make_clip(path, size=(320, 240), rate=10, pictures=pictures, frames=120, **how)  # type: ignore[arg-type]


def frames_of(path: Path) -> list[tuple[float, Pixels]]:
    with VideoReader(path) as reader:
        return [(frame.time_seconds, frame.to_rgb()) for frame in reader]


def is_green(picture: Pixels) -> bool:
    """Whether the headline's green stands in the upper left corner."""
    corner = picture[:60, :200].astype(int)
    return bool((np.abs(corner - np.array(HEADLINE)).max(axis=2) < 40).sum() > 20)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str | None, str, int]]:
    """What was drawn on each frame: label shown, status, looks needed; drawn for real, too."""
    calls: list[tuple[str | None, str, int]] = []

    def watched(pixels: Pixels, shown: str | None, *rest: Any, **how: Any) -> Pixels:
        calls.append((shown, how["status"], how["looks_needed"]))
        return draw_reading(pixels, shown, *rest, **how)

    monkeypatch.setattr(module, "draw_reading", watched)
    return calls


def test_each_frame_carries_what_is_shown_at_its_time(
    tmp_path: Path, drawn: list[tuple[str | None, str, int]]
) -> None:
    clip, model = long_clip(tmp_path / "clip.mp4"), tiny_model()
    answer = model.recognize(clip)
    annotate(clip, answer, tmp_path / "out.mp4")
    assert len(drawn) == 120
    live, expected = model.live(), []
    for seconds, pixels in frames_of(clip):
        reading = live.push(pixels, seconds)
        expected.append(reading.shown if reading else expected[-1])
    assert [shown for shown, _, _ in drawn] == expected
    assert {None, "blue", "red"} == set(expected)
    assert [status for _, status, _ in drawn[:7]] == ["warming_up"] * 6 + ["ready"]
    assert {needed for _, _, needed in drawn} == {4}


def test_the_action_is_green_and_no_known_action_is_not(tmp_path: Path) -> None:
    clip, model = long_clip(tmp_path / "clip.mp4"), tiny_model()
    answer = model.recognize(clip)
    annotate(clip, answer, tmp_path / "out.mp4")
    pictures = dict(frames_of(tmp_path / "out.mp4"))
    assert [segment.label for segment in answer.segments] == ["blue", None, "red"]
    ready = [reading for reading in answer.readings if reading.status == "ready"]
    nearest = []
    for segment in answer.segments:  # what is shown comes later, with the delay of a camera
        times = [reading.time_seconds for reading in ready if reading.shown == segment.label]
        middle = times[len(times) // 2]
        nearest.append(pictures[min(pictures, key=lambda t: abs(t - middle))])
    assert [is_green(picture) for picture in nearest] == [True, False, True]
    assert np.abs(nearest[0][-20:, -20:].mean((0, 1)) - np.array(BLUE)).max() < 12


def test_times_size_and_codec_are_kept(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 0.6, 0.62, 1.3, 1.9, 2.0, 2.8]
    clip = make_clip(tmp_path / "clip.mp4", times=times, size=(162, 122))
    annotate(clip, tiny_model().recognize(clip), tmp_path / "out.mp4")
    facts = probe(tmp_path / "out.mp4")
    assert (facts.codec, facts.pixel_format) == ("h264", "yuv420p")
    assert (facts.width, facts.height) == (162, 122)
    assert [seconds for seconds, _ in frames_of(tmp_path / "out.mp4")] == pytest.approx(
        times, abs=1e-3
    )


@pytest.mark.parametrize(("size", "written"), [((64, 48), (320, 240)), ((8, 6), (320, 240))])
def test_a_video_too_small_for_words_is_enlarged(
    size: tuple[int, int], written: tuple[int, int], tmp_path: Path
) -> None:
    pictures = [plain(BLUE, *size)] * 40
    clip = make_clip(tmp_path / "clip.mp4", size=size, rate=10, pictures=pictures, frames=40)
    annotate(clip, tiny_model().recognize(clip), tmp_path / "out.mp4")
    facts, (_, last) = probe(tmp_path / "out.mp4"), frames_of(tmp_path / "out.mp4")[-1]
    assert (facts.width, facts.height) == written
    assert is_green(last)
    assert np.abs(last[-100:].mean((0, 1)) - np.array(BLUE)).max() < 12


def test_the_track_is_as_long_as_the_clip(tmp_path: Path) -> None:
    """Its average rate is 2.2 frames a second, and its last frame stays for 0.04 s."""
    times = [0.0, 0.04, 0.08, 0.12, 0.9, 1.9, 2.9, 3.9, 4.0]
    clip = make_clip(tmp_path / "clip.mp4", times=times)
    answer = tiny_model().recognize(clip)
    annotate(clip, answer, tmp_path / "out.mp4")
    assert answer.video is not None
    assert answer.video.duration_seconds == pytest.approx(4.04, abs=1e-3)
    assert probe(tmp_path / "out.mp4").duration_seconds == pytest.approx(4.04, abs=1e-3)


def test_sound_is_kept(tmp_path: Path) -> None:
    clip = long_clip(tmp_path / "clip.mp4", audio="aac")
    annotate(clip, tiny_model().recognize(clip), tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as written:
        assert [stream.type for stream in written.streams] == ["video", "audio"]
        sound = written.streams.audio[0]
        assert sound.duration is not None
        assert float(sound.duration * sound.time_base) == pytest.approx(12, abs=0.2)
        loud = [np.abs(frame.to_ndarray()).max() for frame in written.decode(audio=0)]
        assert max(loud) > 0.1


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_is_right(rotation: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stored picture is turned, the annotated one stands upright and says so."""
    monkeypatch.setattr(module.Corner, "choose", lambda *_: "top left")
    clip = make_clip(tmp_path / "clip.mp4", size=(160, 240), rotation=rotation, frames=20)
    annotate(clip, tiny_model().recognize(clip), tmp_path / "out.mp4")
    facts = probe(tmp_path / "out.mp4")
    assert (facts.width, facts.height, facts.rotation_degrees) == (160, 240, 0)
    source, written = frames_of(clip)[-1][1], frames_of(tmp_path / "out.mp4")[-1][1]
    below = slice(140, 240)  # the plate stands above
    assert np.abs(source[below].astype(int) - written[below].astype(int)).mean() < 8


def test_progress_and_cancel(tmp_path: Path) -> None:
    clip = long_clip(tmp_path / "clip.mp4")
    answer, seen = tiny_model().recognize(clip), []
    annotate(clip, answer, tmp_path / "out.mp4", progress=lambda *now: seen.append(now))
    assert [seconds for seconds, *_ in seen] == pytest.approx([i / 10 for i in range(120)])
    assert seen[-1][1:] == (pytest.approx(12.0), str(clip))

    class Cancelled(Exception):
        pass

    def cancel(seconds: float, duration: float | None, source: str) -> None:
        if seconds > 1:
            raise Cancelled

    before = (tmp_path / "out.mp4").read_bytes()
    with pytest.raises(Cancelled):
        annotate(clip, answer, tmp_path / "out.mp4", progress=cancel)
    assert (tmp_path / "out.mp4").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "out.mp4"]


def test_wrong_targets_and_answers(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=20)
    answer, before = tiny_model().recognize(clip), clip.read_bytes()
    with pytest.raises(VideoWriteError, match="does not exist"):
        annotate(clip, answer, tmp_path / "no" / "out.mp4")
    with pytest.raises(ValueError, match="without readings"):
        annotate(clip, replace(answer, readings=()), tmp_path / "out.mp4")
    with pytest.raises(VideoNotFoundError):
        annotate(tmp_path / "gone.mp4", answer, tmp_path / "out.mp4")
    with pytest.raises(VideoWriteError):
        annotate(clip, answer, clip)
    assert clip.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_the_newest_reading_at_or_before_each_time() -> None:
    readings = [Reading("warming_up", t, i, ("a",)) for i, t in enumerate((0.0, 0.2, 0.4))]
    times = [(t, None) for t in (0.0, 0.1, 0.2, 0.3, 0.4, 9.0)]
    assert [r.looks_seen for _, _, r in newest(times, readings)] == [0, 0, 1, 1, 2, 2]
    assert [r.looks_seen for _, _, r in newest([(0.5, None)], readings)] == [2]
    late = [Reading("ready", 1.0, 4, ("a",))]
    assert [r.looks_seen for _, _, r in newest([(0.0, None)], late)] == [4]


@pytest.mark.clips
def test_a_real_clip(model: Recognizer, ucf101_clip: Callable[..., Path], tmp_path: Path) -> None:
    clip = ucf101_clip("PushUps")
    answer = model.recognize(clip)
    annotate(clip, answer, tmp_path / "out.mp4")
    with VideoReader(clip) as source, VideoReader(tmp_path / "out.mp4") as written:
        pairs = list(zip(source, written, strict=True))
    assert answer.video is not None
    assert len(pairs) == answer.video.frames_read
    assert [a.time_seconds for a, _ in pairs] == pytest.approx(
        [b.time_seconds for _, b in pairs], abs=1e-3
    )

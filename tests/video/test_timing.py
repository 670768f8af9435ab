"""Whatever became of a file's times, frames come in order, at times that rise, and it is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clips import index_of, make_clip
from damage import ahead, decode_order, interleaved, no_times, patched, right

from actionstream.video import VideoReader, probe
from actionstream.video.timing import Rate, RisingClock, measure_rate

B_FRAMES: dict[str, Any] = {"options": {"bf": "3", "preset": "medium", "b-adapt": "0"}}
EVERY_40_MS = [i / 25 for i in range(60)]
Damage = Callable[[Path, Path], Path]


def _read(clip: Path) -> tuple[list[float], list[str], VideoReader]:
    with VideoReader(clip) as reader:
        frames = [(frame.time_seconds, index_of(frame.to_rgb())) for frame in reader]
    assert [index for _, index in frames] == [i % 26 for i in range(len(frames))]
    return [time for time, _ in frames], [notice.kind for notice in reader.warnings], reader


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("film") / "a.mp4", frames=60, **B_FRAMES)


@pytest.mark.parametrize("name", ["b.mp4", "b.mkv", "b.flv", "b.ts", "b.mov"])
def test_stamps_in_the_order_of_decoding(tmp_path: Path, film: Path, name: str) -> None:
    times, said, reader = _read(decode_order(film, tmp_path / name))
    assert times == pytest.approx(EVERY_40_MS, abs=2e-3)
    assert said == ["clock_repaired"]
    assert reader.duration_seconds == pytest.approx(2.4, abs=2e-3)
    assert _read(right(film, tmp_path / name))[1] == [], "right stamps are left alone"


def _joined(clip: Path, folder: Path, second: Path | None = None) -> Path:
    joined = folder / "joined.ts"
    joined.write_bytes(clip.read_bytes() + (second or clip).read_bytes())
    return joined


def test_a_clock_that_restarts(tmp_path: Path, film: Path) -> None:
    once = right(film, tmp_path / "once.ts")
    with VideoReader(_joined(once, tmp_path)) as reader:
        times = [frame.time_seconds for frame in reader]
    assert times == pytest.approx([i / 25 for i in range(120)], abs=2e-3)
    assert [notice.kind for notice in reader.warnings][:1] == ["clock_repaired"]
    assert not reader.truncated


@pytest.mark.parametrize("name", ["b.mp4", "b.mkv", "b.ts"])
def test_a_clock_that_jumps_ahead_and_stays_there(tmp_path: Path, film: Path, name: str) -> None:
    times, said, reader = _read(ahead(film, tmp_path / name, 5000, 32))
    # Frames that a jump parts from others of their GOP may come in another order once.
    assert times == pytest.approx(EVERY_40_MS, abs=0.09)
    assert times == sorted(times)
    assert "clock_repaired" in said
    assert reader.duration_seconds < 2.6
    assert not reader.truncated


@pytest.mark.parametrize("shift", [-1.0, 5000.0, 90_000.0])
def test_single_wild_stamps_and_jumps_in_a_transport_stream(tmp_path: Path, shift: float) -> None:
    plain = make_clip(tmp_path / "a.ts", frames=60)
    wild = patched(plain, tmp_path / "wild.ts", lambda i: shift if i % 13 == 12 else 0)
    times, said, _ = _read(wild)
    assert times == pytest.approx(EVERY_40_MS, abs=1e-3)
    assert said == ["clock_repaired"]
    stays = patched(plain, tmp_path / "stays.ts", lambda i: shift if i >= 30 else 0)
    times, said, _ = _read(stays)
    assert times == pytest.approx(EVERY_40_MS, abs=1e-3)
    assert said == ["clock_repaired"]


@pytest.mark.parametrize("name", ["b.mp4", "b.mkv", "b.ts", "b.flv"])
def test_a_real_pause_stays_a_pause(tmp_path: Path, name: str) -> None:
    times = [i / 25 for i in range(30)] + [31 + i / 25 for i in range(30)]
    read, said, _ = _read(make_clip(tmp_path / name, times=times))
    assert read == pytest.approx(times, abs=2e-3)
    assert said == []


@pytest.mark.parametrize(("name", "stays"), [("b.mp4", True), ("b.mkv", False)])
def test_minutes_are_a_pause_where_the_frame_before_is_said_to_last(
    tmp_path: Path, name: str, stays: bool
) -> None:
    times = [i / 25 for i in range(30)] + [240 + i / 25 for i in range(30)]
    read, said, _ = _read(make_clip(tmp_path / name, times=times))
    assert read[30] == pytest.approx(240 if stays else 1.2, abs=2e-3)
    assert said == ([] if stays else ["clock_repaired"])


@pytest.mark.parametrize("audio", ["aac", None])
def test_minutes_are_a_pause_where_the_sound_goes_on(tmp_path: Path, audio: str | None) -> None:
    times = [i / 25 for i in range(30)] + [200 + i / 25 for i in range(30)]
    clip = interleaved(make_clip(tmp_path / "a.mkv", times=times, audio=audio), tmp_path / "b.mkv")
    read, _, _ = _read(clip)
    assert read[30] == pytest.approx(200 if audio else 1.2, abs=2e-3)


def test_no_times_at_all(tmp_path: Path, film: Path) -> None:
    times, said, reader = _read(no_times(film, tmp_path / "a.mkv"))
    assert times == pytest.approx(EVERY_40_MS)
    assert said == ["no_times"]
    assert reader.duration_seconds == pytest.approx(2.4)


@pytest.mark.parametrize("name", ["a.avi", "a.y4m", "a.mp4"])
def test_a_thousand_frames_a_second_are_a_wrong_header(tmp_path: Path, name: str) -> None:
    codec = {"a.avi": "libx264", "a.y4m": "rawvideo", "a.mp4": "libx264"}[name]
    clip = make_clip(tmp_path / name, rate=1000, frames=60, codec=codec)
    times, said, reader = _read(clip)
    assert times == pytest.approx(EVERY_40_MS)
    assert said == ["no_times"]
    assert reader.probe.frame_rate == probe(tmp_path / name).frame_rate == 25


def test_a_header_that_lies_about_the_rate_changes_no_time(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", frames=60)
    data = clip.read_bytes()
    place = data.index(b"\x23\xe3\x83") + 4  # the track's DefaultDuration in ns
    size = data[place - 1] & 0x7F
    clip.write_bytes(data[:place] + (1_000_000).to_bytes(size, "big") + data[place + size :])
    times, said, reader = _read(clip)
    assert times == pytest.approx(EVERY_40_MS, abs=1e-3)
    assert reader.probe.frame_rate == pytest.approx(25, rel=0.03)
    assert said == []


def test_one_picture_every_three_seconds_is_said(tmp_path: Path) -> None:
    times, said, _ = _read(make_clip(tmp_path / "a.mp4", times=[3.0 * i for i in range(12)]))
    assert times == pytest.approx([3.0 * i for i in range(12)])
    assert said == ["few_looks"]


@pytest.mark.parametrize(
    ("stamps", "header", "rate", "believed"),
    [
        ([0, 0.08, 0.04, 0.16, 0.12], 25, 25, True),
        ([0, 0.08, 0.04, 0.16, 0.12], None, 25, True),
        ([0, 0.04, 0.08, 0.12], 1000, 25, True),
        ([0, 0.033, 0.066, 0.1], 29.97, 29.97, True),
        ([0.0] * 9, 30, 30, False),
        ([None] * 9, 1000, 25, False),
        ([i / 1000 for i in range(60)], 1000, 25, False),
        ([0, 0, 0.066, 0.066, 0.132, 0.132, 0.198], None, 33, True),
        ([i // 25 for i in range(64)], 25, 25, True),
        ([0, 10, 20, 30], None, 0.1, True),
        ([0.0], 0.001, 0.001, True),
    ],
)
def test_the_rate_is_that_of_the_times_unless_they_are_absurd(
    stamps: list[float | None], header: float | None, rate: float, believed: bool
) -> None:
    measured = measure_rate(stamps, header)
    assert measured.frames_a_second == pytest.approx(rate, rel=0.1)
    assert measured.believed is believed


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        # whole seconds only, as some recorders write: counted in between
        ([i // 25 for i in range(75)], [i / 25 for i in range(75)]),
        # a clock that stands still for 2 s and goes on
        ([0.0] * 50 + [0.04 * i for i in range(1, 26)], [i / 25 for i in range(75)]),
        # a last frame far behind the others
        ([0, 0.04, 0.08, 9000], [0, 0.04, 0.08, 0.12]),
        ([0, 0.04, None, 0.12], [0, 0.04, 0.08, 0.12]),
    ],
)
def test_the_rising_clock(stamps: list[float | None], times: list[float]) -> None:
    clock = RisingClock(Rate(25, True))
    placed = [seconds for _, seconds, _ in clock.placed((i, s, 0.0) for i, s in enumerate(stamps))]
    assert placed == pytest.approx(times, abs=0.021)
    assert placed == sorted(set(placed))

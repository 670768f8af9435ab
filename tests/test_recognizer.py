"""Files: the same readings as live, whatever the batch; odd files have a stated result."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import make_clip, make_sound
from conftest import HAS_TORCH
from readings import numbers, same_readings
from tiny import BLUE, GREEN, GREY, RED, by_hand, engine_of, plain, tiny_model

import actionstream
from actionstream.draw.reading import GREEN as GREEN_WORDS
from actionstream.errors import (
    BundleError,
    EngineError,
    FrameError,
    NoFramesError,
    UnreadableVideoError,
    VideoError,
    VideoNotFoundError,
)
from actionstream.evaluation.verify import compare, play, verify_clip
from actionstream.inference import accumulator
from actionstream.inference import file as file_reading
from actionstream.inference import look as looks
from actionstream.recognizer import Recognizer
from actionstream.results import Answer, Pixels, Reading, RGBFrame
from actionstream.video import VideoReader

COLOURS = (BLUE, GREY, RED, GREEN)


def colours(seconds: float, each: float = 1.0) -> list[Pixels]:
    """25 pictures a second: `each` seconds of blue, of grey, of red, of green."""
    return [plain(COLOURS[int(i / 25 / each) % 4], 64, 48) for i in range(round(seconds * 25))]


def colour_clip(path: Path, *, seconds: float = 4.0) -> Path:
    pictures = colours(seconds)
    return make_clip(path, pictures=pictures, frames=len(pictures))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_clip(tmp_path_factory.mktemp("clips") / "colours.mp4")


def agree(left: Answer, right: Answer) -> None:
    """The readings and the answers are alike to 1e-4, the segments' times included."""
    found = compare("file and live", left, right)
    assert found.first is None, found.first
    assert found.readings == len(left.readings) > 0
    ends = [[segment.end_seconds for segment in answer.segments] for answer in (left, right)]
    assert ends[0] == pytest.approx(ends[1], abs=1e-6)


# File = live ----------------------------------------------------------------------------------


def test_a_file_gives_what_a_live_stream_of_its_frames_gives(clip: Path) -> None:
    model = tiny_model()
    answer = model.recognize(clip)
    assert len(answer.readings) == 20
    agree(answer, play(clip, model))


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("variable rate", [0.0, 0.04, 0.2, 0.21, 0.5, 0.9, 0.98, 1.0, 1.3, 2.6, 2.64, 2.9, 3.1]),
        ("a gap that resets", [*np.arange(0, 2, 0.1), *np.arange(5, 7, 0.1)]),
        ("slower than the looks", list(np.arange(0, 9, 0.75))),
    ],
)
def test_file_and_live_agree_at_any_times(name: str, times: list[float], tmp_path: Path) -> None:
    pictures = [plain(COLOURS[i // 3 % 4], 64, 48) for i in range(len(times))]
    path = make_clip(tmp_path / "clip.mp4", times=[float(t) for t in times], pictures=pictures)
    model = tiny_model()
    found = compare(name, model.recognize(path), play(path, model))
    assert found.first is None, found.first
    assert found.readings >= 9


@pytest.mark.parametrize("batch", [1, 3, 7, 1000])
def test_the_batch_changes_nothing(
    batch: int, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call over n looks, n calls, and any ragged split: also across a reset."""
    times = [*np.arange(0, 2.1, 0.1), *np.arange(5, 6.3, 0.1)]
    pictures = [plain(COLOURS[i // 3 % 4], 64, 48) for i in range(len(times))]
    broken = make_clip(tmp_path / "gap.mp4", times=[float(t) for t in times], pictures=pictures)
    for path in (clip, broken):
        model = tiny_model()
        expected = model.recognize(path)
        monkeypatch.setattr(file_reading, "BATCH", batch)
        got = model.recognize(path)
        monkeypatch.undo()
        same_readings(expected.readings, got.readings)
        assert got.segments == expected.segments
        assert got.probabilities == pytest.approx(expected.probabilities)


@pytest.mark.clips
@pytest.mark.parametrize("label", ["PushUps", "JumpRope", "PlayingPiano"])
def test_real_clip_as_file_live_and_in_pytorch(
    label: str, model: Recognizer, model_folder: Path, ucf101_clip: Callable[..., Path]
) -> None:
    path = ucf101_clip(label, 2)
    other = actionstream.load(model_folder, engine="torch", threads=1) if HAS_TORCH else None
    found = verify_clip(path, model, other=other)
    assert found.ok, [str(comparison.first) for comparison in found.comparisons]
    assert len(found.comparisons) == 1 + HAS_TORCH
    assert all(c.readings == len(found.answer.readings) >= 10 for c in found.comparisons)


# The four mutations: a file must break on them, too -------------------------------------------


def check_colours(folder: Path) -> None:
    """What a clip of four colours says, against the pictures as they were drawn."""
    drawn = colours(16, each=4)
    path = make_clip(folder / "four.mp4", pictures=drawn, frames=len(drawn))
    model = tiny_model()
    answer, live = model.recognize(path), model.live()
    for index, pixels in enumerate(drawn):
        live.push(pixels, index / 25)
    expected = live.finish()
    assert len(answer.readings) == len(expected.readings) == 80
    seen = [COLOURS[int(reading.time_seconds / 4 + 1e-6) % 4] for reading in answer.readings]
    for index, reading in enumerate(answer.readings[3:], start=4):
        assert numbers(reading) == pytest.approx(by_hand(seen[:index])[0], abs=0.03)
    for one, two in zip(answer.readings, expected.readings, strict=True):
        assert one.time_seconds == pytest.approx(two.time_seconds)
        assert numbers(one) == pytest.approx(numbers(two), abs=0.03)  # H.264 keeps colours nearly
    assert [segment.label for segment in answer.segments] == ["blue", None, "red", "green"]
    starts = [segment.start_seconds for segment in answer.segments]
    assert starts == pytest.approx([s.start_seconds for s in expected.segments], abs=0.21)


def test_a_file_says_what_was_drawn(tmp_path: Path) -> None:
    check_colours(tmp_path)


def swap_red_and_blue(patch: pytest.MonkeyPatch) -> None:
    real = looks.preprocess
    swapped = lambda p, g: np.ascontiguousarray(real(p, g)[..., ::-1])  # noqa: E731
    patch.setattr(looks, "preprocess", swapped)


def forget_the_ring(patch: pytest.MonkeyPatch) -> None:
    real = looks.window
    patch.setattr(looks, "window", lambda state: real(replace(state, ring=state.ring[-1:])))


def every_second_frame(patch: pytest.MonkeyPatch) -> None:
    real, count = looks.step, iter(range(10**6))
    moments = ("due", "not_due")
    patch.setattr(looks, "step", lambda *args: (real(*args)[0], moments[next(count) % 2]))


def shift_labels(patch: pytest.MonkeyPatch) -> None:
    real = accumulator.segments
    patch.setattr(
        accumulator,
        "segments",
        lambda runs, labels, end: real(runs, labels[1:] + labels[:1], end),
    )


@pytest.mark.parametrize(
    "mutate", [swap_red_and_blue, forget_the_ring, every_second_frame, shift_labels]
)
def test_each_mutation_is_caught(
    mutate: Callable[[pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate(monkeypatch)
    with pytest.raises(AssertionError):
        check_colours(tmp_path)


# The answer -----------------------------------------------------------------------------------


def test_the_answer_of_a_file(clip: Path) -> None:
    model = tiny_model()
    answer = model.recognize(clip)
    assert answer.source == str(clip)
    assert answer.model == {"name": "tiny", "fingerprint": "0" * 12}
    assert answer.video is not None
    facts = answer.video
    assert (facts.width, facts.height, facts.frame_rate) == (64, 48, 25.0)
    assert (facts.frames_read, facts.frames_encoded) == (100, 20)
    assert (facts.corrupt_packets, facts.truncated) == (0, False)
    assert facts.duration_seconds == pytest.approx(4.0)
    assert answer.timing is not None
    assert answer.timing.total_seconds > answer.timing.decode_seconds > 0
    assert engine_of(model).batches == [4] * 5
    assert answer.segments[0].start_seconds == 0.0
    assert answer.segments[-1].end_seconds == pytest.approx(4.0)
    assert all(reading.age_seconds == 0 for reading in answer.readings)


def test_the_answer_is_the_mean_over_all_readings_calibrated_for_clips(clip: Path) -> None:
    model = tiny_model()
    answer = model.recognize(clip)
    ready = [r for r in answer.readings if r.probabilities is not None]
    assert len(ready) == 17
    mean = np.mean([r.probabilities for r in ready], axis=0, dtype=np.float64)
    powers = mean ** (1 / model.card.file_temperature)
    assert answer.probabilities == pytest.approx(powers / powers.sum(), abs=1e-6)
    assert answer.known_score == pytest.approx(np.mean([r.known_score for r in ready]))


def test_to_dict_has_the_keys_of_the_contract(clip: Path) -> None:
    fields = json.loads(tiny_model().recognize(clip, source="a.mp4").to_json(top=9))
    assert list(fields) == [
        *("source", "status", "label", "confidence", "known", "known_score"),
        *("top", "segments", "video", "timing", "model", "several", "warnings"),
    ]
    assert fields["source"] == "a.mp4"
    assert [list(entry) for entry in fields["top"]] == [["label", "confidence"]] * 3
    assert list(fields["segments"][0]) == ["start_seconds", "end_seconds", "label", "confidence"]
    assert list(fields["video"]) == [
        *("duration_seconds", "frame_rate", "width", "height", "frames_read"),
        *("frames_encoded", "corrupt_packets", "truncated"),
    ]
    assert list(fields["timing"]) == ["total_seconds", "decode_seconds", "encode_seconds"]


def greens(pixels: Pixels) -> int:
    """How many pixels have the green of a known action's headline, as H.264 leaves it."""
    return int((np.abs(pixels.astype(int) - GREEN_WORDS).max(axis=2) < 40).sum())


@pytest.mark.clips
def test_an_answer_is_drawn_onto_its_video(
    model: Recognizer, ucf101_clip: Callable[..., Path], tmp_path: Path
) -> None:
    clip = ucf101_clip("PushUps")
    answer = model.recognize(clip)
    assert answer.readings[-1].shown == "PushUps"
    answer.save(tmp_path / "saved.mp4")
    answer.annotate(str(clip), str(tmp_path / "drawn.mp4"))
    for name in ("saved.mp4", "drawn.mp4"):
        with VideoReader(clip) as source, VideoReader(tmp_path / name) as written:
            pairs = [(a.to_rgb(), b.to_rgb()) for a, b in zip(source, written, strict=True)]
            assert written.probe.codec == "h264"
            assert len(pairs) == written.frames_read == source.frames_read > 40
            assert written.duration_seconds == pytest.approx(source.duration_seconds, abs=0.01)
        before, after = pairs[-1]
        assert greens(after) > greens(before) + 50


def test_an_answer_is_saved_only_where_its_video_is(clip: Path, tmp_path: Path) -> None:
    model = tiny_model()
    model.recognize(clip).save(tmp_path / "OUT.MP4")
    with VideoReader(tmp_path / "OUT.MP4") as written:
        assert len(list(written)) == 100
    with pytest.raises(VideoNotFoundError):
        model.recognize(np.stack(colours(1.0)), fps=25.0).save(tmp_path / "frames.mp4")
    with pytest.raises(ValueError, match="without readings"):
        model.recognize_or_error(tmp_path / "gone.mp4").save(tmp_path / "gone-drawn.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["OUT.MP4"]


# Frames and bytes -----------------------------------------------------------------------------


def test_frames_in_memory_give_the_answer_of_a_stream() -> None:
    model, drawn = tiny_model(), colours(4.0)
    live = model.live()
    for index, pixels in enumerate(drawn):
        live.push(pixels, index / 25)
    expected = live.finish()
    ways = {
        "array": model.recognize(np.stack(drawn), fps=25.0),
        "pairs": model.recognize((pixels, i / 25) for i, pixels in enumerate(drawn)),
        "frames": model.recognize([RGBFrame(pixels, i / 25) for i, pixels in enumerate(drawn)]),
    }
    for answer in ways.values():
        same_readings(expected.readings, answer.readings)
        assert answer.segments == expected.segments
        assert (answer.source, answer.video) == ("frames", None)
        assert answer.timing is not None


def test_a_file_may_be_bytes_or_open(clip: Path, tmp_path: Path) -> None:
    model = tiny_model()
    expected = model.recognize(clip)
    with clip.open("rb") as stream:
        from_stream = model.recognize(stream)
    from_bytes = model.recognize(clip.read_bytes())
    for answer in (from_stream, from_bytes):
        same_readings(expected.readings, answer.readings)
        assert answer.video == expected.video
    assert (from_stream.source, from_bytes.source) == (str(clip), "video")
    with pytest.raises(VideoError, match=r"^video: "):
        model.recognize(b"no video" * 99)


@pytest.mark.parametrize(
    ("video", "fps", "message"),
    [
        (7, None, "a video is a path, bytes, .* got int"),
        (np.zeros((3, 8, 8, 3), np.uint8), None, "an array of frames needs its fps"),
        (np.zeros((3, 8, 8, 3), np.uint8), 0.0, "needs its fps, a number above 0, got 0.0"),
        (np.zeros((8, 8, 3), np.uint8), 25.0, r"is uint8 \[T, H, W, 3\], got \[8, 8, 3\]"),
        (np.zeros((3, 8, 8, 3), np.float32), 25.0, "got float32"),
        ([(plain(RED), 0.0)], 25.0, "fps is for arrays"),
        ([plain(RED)], None, "a number of seconds, got None"),
        (io.StringIO("text"), None, "opened for bytes"),
    ],
)
def test_what_is_no_video_is_one_error_that_says_what_is(
    video: object, fps: float | None, message: str
) -> None:
    with pytest.raises(FrameError, match=message):
        tiny_model().recognize(video, fps=fps)  # type: ignore[arg-type]


def test_no_frame_at_all() -> None:
    with pytest.raises(NoFramesError, match="there is no frame"):
        tiny_model().recognize([])


def test_models_are_listed_and_print_short(model: Recognizer) -> None:
    assert model.card.name in str(model)
    assert len(repr(model)) < 200
    assert actionstream.list_models() == sorted(actionstream.list_models()) != []
    for name in actionstream.list_models():
        assert actionstream.load(name, threads=1).labels


# Odd files ------------------------------------------------------------------------------------


def test_one_frame(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "one.mp4", frames=1, pictures=[plain(RED, 64, 48)])
    model = tiny_model()
    answer = model.recognize(path)
    assert [r.status for r in answer.readings] == ["warming_up", "ready"]
    assert (answer.label, answer.known) == ("red", True)
    assert [(s.start_seconds, s.label) for s in answer.segments] == [(0.0, "red")]
    found = compare("live", answer, play(path, model))
    assert found.first is None


def test_a_clip_too_short_to_be_ready_gets_one_reading(tmp_path: Path) -> None:
    path = colour_clip(tmp_path / "short.mp4", seconds=0.4)
    model = tiny_model()
    answer = model.recognize(path)
    assert [r.status for r in answer.readings] == ["warming_up", "warming_up", "ready"]
    assert answer.readings[-1].time_seconds == answer.readings[-2].time_seconds == 0.2
    assert answer.label == "blue"
    agree(answer, play(path, model))


def test_a_truncated_file_answers_with_what_is_there(tmp_path: Path) -> None:
    whole = colour_clip(tmp_path / "whole.mkv")
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    model = tiny_model()
    full, part = model.recognize(whole), model.recognize(cut)
    assert part.video is not None
    assert part.video.truncated
    assert part.error is None
    assert 4 <= len(part.readings) < len(full.readings)
    same_readings(full.readings[: len(part.readings)], part.readings)


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("not a video\n" * 50)
    make_sound(folder / "sound.mp4")
    (folder / "list.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.ts\n")
    return {
        "not_found": (folder / "nowhere.mp4", "nowhere.mp4"),
        "empty": (folder / "empty.mp4", "empty.mp4"),
        "unreadable": (folder / "text.mp4", "text.mp4"),
        "no_video": (folder / "sound.mp4", "sound.mp4"),
        "unsupported": (folder / "list.m3u8", "list.m3u8"),
    }


def test_a_bad_file_is_one_error_that_names_it(tmp_path: Path) -> None:
    model = tiny_model()
    files = bad_files(tmp_path)
    assert len(files) == 5
    for kind, (path, name) in files.items():
        with pytest.raises(VideoError, match=name) as caught:
            model.recognize(path)
        assert caught.value.kind == kind
        assert "\n" not in str(caught.value)


def test_many_go_on_past_a_bad_one(tmp_path: Path, clip: Path) -> None:
    bad = [path for path, _ in bad_files(tmp_path).values()]
    answers = list(tiny_model().recognize_many([bad[0], clip, *bad[1:], clip]))
    assert [answer.source for answer in answers] == [str(p) for p in (bad[0], clip, *bad[1:], clip)]
    kinds = [None if a.error is None else a.error.kind for a in answers]
    assert kinds == ["not_found", None, "empty", "unreadable", "no_video", "unsupported", None]
    assert answers[0].to_dict() == {
        "source": str(bad[0]),
        "status": "error",
        "error": {"kind": "not_found", "message": f"{bad[0]}: no such file"},
    }


def test_many_are_answered_one_by_one(clip: Path) -> None:
    asked: list[Path] = []

    def paths() -> Iterator[Path]:
        for _ in range(3):
            asked.append(clip)
            yield clip

    seen: list[tuple[int, int | None, str]] = []
    answers = tiny_model().recognize_many(paths(), progress=lambda *now: seen.append(now))
    assert next(answers).error is None
    assert seen == [(0, 3, str(clip))]
    assert len(list(answers)) == 2
    assert [done for done, _, _ in seen] == [0, 1, 2, 3]


def test_progress_is_told_and_may_cancel(clip: Path) -> None:
    seen: list[tuple[float, float | None, str]] = []
    tiny_model().recognize(clip, progress=lambda *now: seen.append(now))
    assert [seconds for seconds, *_ in seen] == pytest.approx([0.6, 1.4, 2.2, 3.0, 3.8])
    assert all(rest == [pytest.approx(4.0), str(clip)] for _, *rest in seen)

    class Cancelled(Exception):
        pass

    def cancel(seconds: float, duration: float | None, source: str) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        tiny_model().recognize(clip, progress=cancel)


def test_every_reading_is_told_at_once(clip: Path) -> None:
    told: list[Reading] = []
    counts: list[int] = []
    answer = tiny_model().recognize(
        clip, progress=lambda *_: counts.append(len(told)), on_reading=told.append
    )
    assert [id(one) for one in told] == [id(one) for one in answer.readings]
    assert counts == [4, 8, 12, 16, 20], "as soon as they are there"


def test_one_model_serves_threads(clip: Path, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    other = colour_clip(tmp_path / "other.mp4", seconds=2.5)
    model = tiny_model()
    expected = {path: model.recognize(path) for path in (clip, other)}
    work = [clip, other] * 6
    with ThreadPoolExecutor(4) as pool:
        for path, answer in zip(work, pool.map(model.recognize, work), strict=True):
            same_readings(answer.readings, expected[path].readings)


# load -----------------------------------------------------------------------------------------


def test_load_names_what_is_wrong(model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="neither a folder nor a shipped variant"):
        actionstream.load("no-such-variant")
    with pytest.raises(BundleError, match=r"card\.json: missing"):
        actionstream.load(tmp_path)
    with pytest.raises(EngineError, match="engine must be one of onnx, torch, got 'tf'"):
        actionstream.load(model_folder, engine="tf")  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="device must be"):
        actionstream.load(model_folder, device="tpu")
    with pytest.raises(EngineError, match="threads must be at least 1"):
        actionstream.load(model_folder, threads=0)


@pytest.mark.parametrize("threads", [1, 2])
def test_one_setting_gives_the_threads(model_folder: Path, threads: int) -> None:
    found = actionstream.load(model_folder, threads=threads)
    assert cv2.getNumThreads() == threads
    assert f"{threads} threads" in found.engine.describe()


def test_a_model_tells_what_it_is(model: Recognizer) -> None:
    assert model.labels == tuple(model.card.labels)
    assert len(model.fingerprint) == 12
    assert model.identity == {"name": model.card.name, "fingerprint": model.fingerprint}
    with pytest.raises(AttributeError):
        model.threads = 2  # type: ignore[misc]


# verify ---------------------------------------------------------------------------------------


def test_verify_names_the_first_difference(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    real, calls = looks.preprocess, iter(range(1000))

    def damaged(pixels: np.ndarray, geometry: object) -> np.ndarray:
        """The 13th look of the live run is too dark; 20 looks of the file came before."""
        image = real(pixels, geometry)  # type: ignore[arg-type]
        return image // 2 if next(calls) == 20 + 12 else image

    monkeypatch.setattr(looks, "preprocess", damaged)
    found = verify_clip(clip, model)
    (live,) = found.comparisons
    assert not found.ok
    assert live.first is not None
    assert live.first.startswith("reading 12 at 2.400 s: probability of ")
    apart = float(live.first.removesuffix(" apart").rpartition(" ")[2])
    assert apart > found.tolerance
    assert live.largest["probability"] >= apart - 0.005


def test_verify_counts_readings(clip: Path) -> None:
    model = tiny_model()
    fewer = replace(model.recognize(clip), readings=model.recognize(clip).readings[:-1])
    found = compare("fewer", model.recognize(clip), fewer)
    assert found.readings == 19
    assert found.first == "the answers: number of readings is 20 and 19"


def test_verify_refuses_two_bundles(clip: Path, model: Recognizer) -> None:
    with pytest.raises(ValueError, match="two bundles"):
        verify_clip(clip, tiny_model(), other=model)


def test_verify_of_a_bad_file_is_its_error(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("no video" * 99)
    with pytest.raises(UnreadableVideoError):
        verify_clip(path, tiny_model())


def test_only_frames_that_are_due_are_converted(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from actionstream.video import DecodedFrame

    real, converted = DecodedFrame.to_rgb, []
    monkeypatch.setattr(
        DecodedFrame, "to_rgb", lambda self: converted.append(self.time_seconds) or real(self)
    )
    answer = tiny_model().recognize(clip)
    assert converted == [reading.time_seconds for reading in answer.readings]
    with VideoReader(clip) as reader:
        assert len(list(reader)) == 100


def test_one_path_counts_as_a_list_of_one(model: Recognizer, tmp_path: Path) -> None:
    """And not as a list of its letters."""
    path = str(tmp_path / "absent.mp4")
    assert [answer.source for answer in model.recognize_many(path)] == [path]

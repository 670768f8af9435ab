"""`actionstream predict` as its users run it: order, formats, bad files among good ones, codes."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_process import COMMAND, Result, Run, environment
from clips import make_clip
from damage import scrambled_sound

from actionstream.draw import display_name
from actionstream.recognizer import Recognizer
from actionstream.video import VIDEO_EXTENSIONS, VideoReader

Predict = Callable[..., Result]


@pytest.fixture
def predict(run_cli: Run, model_folder: Path) -> Predict:
    def run(*words: str | Path, **how: Any) -> Result:
        return run_cli("predict", *words, "--model", model_folder, "--threads", 1, **how)

    return run


def objects(done: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.lines]


def test_bad_files_among_good_ones(
    predict: Predict, videos: Path, bad: dict[str, str], model: Recognizer
) -> None:
    """One object a source, in the order given; the good ones are done; exit code 1."""
    words = ["videos/a.avi", *bad.values(), "videos/b/one.mp4", "videos/a.avi"]
    done = predict(*words, "--json", "--top", "2")
    assert done.code == 1
    found = objects(done)
    assert [entry["source"] for entry in found] == words
    statuses = ["ok", "error", "error", "error", "error", "ok", "ok"]
    assert [entry["status"] for entry in found] == statuses
    assert [entry["error"]["kind"] for entry in found[1:5]] == list(bad)
    for name, entry in zip(bad.values(), found[1:5], strict=True):
        assert list(entry) == ["source", "status", "error"]
        assert entry["error"]["message"].startswith(f"{name}: ")
    good = found[0]
    assert list(good) == [
        *("source", "status", "label", "confidence", "known", "known_score"),
        *("top", "segments", "video", "timing", "model", "several", "warnings"),
    ]
    assert [len(good["top"]), good["video"]["frames_read"]] == [2, 30]
    assert good["model"] == {"name": model.card.name, "fingerprint": model.fingerprint}
    alike = [{k: v for k, v in entry.items() if k != "timing"} for entry in (good, found[6])]
    assert alike[0] == alike[1]
    assert "Traceback" not in done.err


@pytest.mark.parametrize("typed", ["./mixed", "mixed//", ".//mixed/./", "mixed/*"])
def test_an_error_begins_with_its_source_as_it_stands_there(
    predict: Predict, videos: Path, tmp_path: Path, typed: str
) -> None:
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "bad.mp4").write_text("hello")
    (entry,) = objects(predict(typed, "--json"))
    assert entry["source"].endswith("/bad.mp4")
    assert entry["error"]["message"].startswith(f"{entry['source']}: ")
    row = predict(typed).lines[-1]
    assert row.count("bad.mp4") == 1


def test_the_command_line_says_what_the_library_says(
    predict: Predict, videos: Path, model: Recognizer
) -> None:
    (entry,) = objects(predict("videos/b/one.mp4", "--json", "--top", "99"))
    answer = model.recognize(videos / "b" / "one.mp4", source="videos/b/one.mp4")
    assert len(entry["top"]) == len(model.labels)
    expected = answer.to_dict(top=99)
    assert entry.pop("timing").keys() == expected.pop("timing").keys()
    assert entry == expected


def test_folders_patterns_stdin_and_options_between_sources(predict: Predict, videos: Path) -> None:
    done = predict("videos", "--json", "videos/*.avi", "-", stdin=b"videos/b/one.mp4\n")
    assert (done.code, done.err) == (0, "")
    assert [entry["source"] for entry in objects(done)] == [
        *("videos/a.avi", "videos/b/one.mp4"),
        *("videos/a.avi", "videos/b/one.mp4"),
    ]


def test_names_that_begin_with_a_dash(run_cli: Run, model_folder: Path, tmp_path: Path) -> None:
    make_clip(tmp_path / "-x.mp4", frames=12)
    done = run_cli("predict", "--model", model_folder, "--json", "--", "-x.mp4")
    assert [entry["source"] for entry in objects(done)] == ["-x.mp4"]


def test_a_folder_without_videos_is_wrong_use(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    done = predict("none")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("actionstream: no video found: none (looked for .264 ")
    assert all(extension in done.err for extension in VIDEO_EXTENSIONS)


def test_csv(predict: Predict, videos: Path, bad: dict[str, str]) -> None:
    done = predict("videos/a.avi", bad["no_video"], "--csv")
    assert done.code == 1
    good, failed = csv.DictReader(done.lines)
    assert (good["source"], good["status"], good["error_kind"]) == ("videos/a.avi", "ok", "")
    assert float(good["top1_confidence"]) == float(good["confidence"])
    assert (failed["status"], failed["error_kind"], failed["top1"]) == ("error", "no_video", "")


def test_table(predict: Predict, videos: Path, bad: dict[str, str], model: Recognizer) -> None:
    done = predict("videos", bad["empty"])
    assert done.code == 1
    assert done.lines[0].split() == ["SOURCE", "ACTION", "SURE", "TOP", "3", "WHEN"]
    best = model.recognize(videos / "a.avi").top(1)[0]
    assert f"{display_name(best.label)} {best.confidence:.0%}" in done.lines[1]
    rows = [line for line in done.lines if not line.startswith(" ")]  # the others are notes
    assert [row.split()[0] for row in rows[1:]] == ["videos/a.avi", "videos/b/one.mp4", "empty.mp4"]
    assert "error: " in rows[-1]


def test_output_file(predict: Predict, videos: Path, tmp_path: Path) -> None:
    done = predict("videos", "--json", "--output", "out.jsonl")
    assert (done.code, done.out) == (0, "")
    assert done.err == "actionstream: wrote 2 results to out.jsonl\n"
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["source"] for line in lines] == ["videos/a.avi", "videos/b/one.mp4"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--output", "videos/a.avi"], "is one of the sources and would be overwritten"),
        (["--output", "no/such/folder.txt"], "No such file or directory"),
        (["--annotate", "out.mp4"], "2 videos need a folder"),
        (["--annotate", "videos/b/../b/one.mp4"], "2 videos need a folder"),
        (["--annotate", "out.avi"], "annotated videos are MP4: name it out.mp4, or out.avi/"),
    ],
)
def test_writing_where_it_must_not(
    predict: Predict, videos: Path, words: list[str], says: str
) -> None:
    before = (videos / "a.avi").read_bytes()
    done = predict("videos", *words)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert (videos / "a.avi").read_bytes() == before


def test_results_that_are_there_are_replaced_only_if_asked(
    predict: Predict, videos: Path, tmp_path: Path
) -> None:
    """The table may be a day's work: not even the model is loaded before the refusal."""
    for name in ("out.csv", "drawn.mp4"):
        (tmp_path / name).write_text("older")
    words = ["videos/a.avi", "--csv", "--output", "out.csv", "--annotate", "drawn.mp4"]
    done = predict(*words)
    assert (done.code, done.out) == (2, "")
    assert "out.csv, drawn.mp4 would be overwritten; --overwrite allows it" in done.err
    assert (tmp_path / "out.csv").read_text() == (tmp_path / "drawn.mp4").read_text() == "older"
    assert predict(*words, "--overwrite").code == 0
    assert (tmp_path / "out.csv").read_text().startswith("source,status,")
    assert (tmp_path / "drawn.mp4").stat().st_size > 1000


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
def test_an_absurd_source_costs_itself_only(predict: Predict, videos: Path, tmp_path: Path) -> None:
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    (videos / "round").symlink_to("../videos")
    words = ["loop.mp4", "x" * 300 + ".mp4", "x" * 5000 + ".mp4", "loop.mp4/a.mp4", "0", "videos"]
    done = predict(*words, "--json", "--annotate", "drawn")
    assert done.code == 1
    found = objects(done)
    assert [entry["status"] for entry in found] == ["error"] * 5 + ["ok"] * 2
    assert "Traceback" not in done.err
    assert "actionstream webcam" in found[4]["error"]["message"]


def test_annotating_one_video_over_itself_is_refused(predict: Predict, videos: Path) -> None:
    before = (videos / "b" / "one.mp4").read_bytes()
    done = predict("videos/b/one.mp4", "--annotate", "videos/../videos/b/one.mp4")
    assert done.code == 2
    assert "would be overwritten" in done.err
    assert (videos / "b" / "one.mp4").read_bytes() == before


def test_annotate_one(predict: Predict, videos: Path, tmp_path: Path) -> None:
    done = predict("videos/a.avi", "--json", "--annotate", "out.mp4")
    assert (done.code, len(done.lines)) == (0, 1)
    assert done.err == "actionstream: wrote 1 annotated video: out.mp4\n"
    with VideoReader(tmp_path / "out.mp4") as reader:
        assert reader.probe.codec == "h264"
        assert len(list(reader)) == 30


def test_a_skeleton_is_drawn_where_the_model_has_a_pose(
    run_cli: Run, videos: Path, tmp_path: Path
) -> None:
    posing = pytest.importorskip("posing", reason="needs the extra 'test'")
    model = posing.pose_bundle(tmp_path / "bundle")
    make_clip(tmp_path / "body.mp4", pictures=[posing.body()] * 20, size=(320, 240), frames=20)
    drawn = {}
    for name, words in (("plain.mp4", ()), ("drawn.mp4", ("--skeleton",))):
        done = run_cli(
            "predict", "body.mp4", "--json", "--annotate", name, "--model", model, *words
        )
        assert done.code == 0, done.err
        with VideoReader(tmp_path / name) as reader:
            drawn[name] = next(iter(reader)).to_rgb().astype(int)
    changed = np.abs(drawn["plain.mp4"] - drawn["drawn.mp4"]).max(axis=2) > 60
    rows, columns = np.nonzero(changed)
    assert 20 < changed.sum() < 3000
    assert columns.mean() / 240 == pytest.approx(0.7, abs=0.05)  # along the body's line
    assert 0.2 < rows.min() / 240 < rows.max() / 240 < 0.6


def test_a_skeleton_without_a_video_or_a_pose_is_refused(
    run_cli: Run, videos: Path, tmp_path: Path
) -> None:
    plain = pytest.importorskip("plain_bundle", reason="needs the extra 'test'")
    model = plain.plain_bundle(tmp_path / "bundle")
    for words, said in (
        (("predict", "videos/a.avi"), "--annotate, which is not given"),
        (("predict", "videos/a.avi", "--annotate", "out.mp4"), "plain reads no pose"),
        (("webcam", "0"), "plain reads no pose"),
    ):
        done = run_cli(*words, "--skeleton", "--model", model)
        assert done.code == 2
        assert said in done.err


def test_what_became_of_the_sound_is_said(predict: Predict, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "noise.ts", frames=50, audio="aac")
    scrambled_sound(clip, every=2)
    done = predict("noise.ts", "--json", "--annotate", "out.mp4")
    assert done.code == 0
    assert "actionstream: --annotate: out.mp4: damaged packets of its sound, left out" in done.err


def test_annotate_many_into_a_folder(
    predict: Predict, videos: Path, tmp_path: Path, bad: dict[str, str]
) -> None:
    words = ["videos", "videos/a.avi", bad["empty"]]
    done = predict(*words, "--json", "--annotate", "drawn")
    assert done.code == 1
    assert done.err == "actionstream: wrote 3 annotated videos: drawn\n"
    written = sorted(
        p.relative_to(tmp_path / "drawn").as_posix() for p in tmp_path.rglob("drawn/**/*")
    )
    assert written == ["a-2.mp4", "a.mp4", "b", "b/one.mp4"]


def test_a_video_that_cannot_be_annotated_keeps_its_answer(
    predict: Predict, videos: Path, tmp_path: Path
) -> None:
    (tmp_path / "drawn").write_text("a file stands where the folder should be")
    done = predict("videos", "--json", "--annotate", "drawn")
    assert done.code == 1
    assert [entry["status"] for entry in objects(done)] == ["ok", "ok"]
    assert done.err.count("actionstream: --annotate: ") == 2


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are text there")
def test_a_name_that_is_no_text_comes_back_as_itself(predict: Predict, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xf0\x9f\x8e\xac.mp4")
    make_clip(tmp_path / "clip.mp4", frames=12).rename(tmp_path / name)
    done = predict(".", "--json")
    assert done.code == 0
    (entry,) = objects(done)
    assert entry["source"] == f"./{name}"
    assert (tmp_path / entry["source"]).is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_interrupted_what_is_finished_is_printed(
    number: int, code: int, videos: Path, tmp_path: Path, model_folder: Path
) -> None:
    """The second clip takes long; the line of the first is there, and nothing half-written."""
    long = make_clip(tmp_path / "long.mp4", frames=40)
    words = ["videos/a.avi", *[long.name] * 400, "--json", "--annotate", "drawn"]
    process = subprocess.Popen(
        [*COMMAND, "predict", *words, "--model", str(model_folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment(),
        preexec_fn=partial(signal.signal, number, signal.SIG_DFL),  # nohup leaves SIGHUP ignored
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(0.3)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert json.loads(first)["source"] == "videos/a.avi"
    rest = out.decode().splitlines()
    assert len(rest) < 400
    assert all(json.loads(line)["status"] == "ok" for line in rest)
    assert b"Traceback" not in err
    assert [p.name for p in (tmp_path / "drawn").iterdir() if p.name.startswith(".")] == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")
@pytest.mark.parametrize("shared", [False, True])
def test_progress_shows_on_a_terminal_and_leaves_the_results_alone(
    shared: bool, videos: Path, tmp_path: Path, model_folder: Path
) -> None:
    """Also where stdout is the same terminal: the line steps aside while a result is printed."""
    import pty

    watcher, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "predict", "videos", "--json", "--model", str(model_folder)],
        stdout=terminal if shared else subprocess.PIPE,
        stderr=terminal,
        cwd=tmp_path,
        env=environment() | {"TERM": "xterm"},
    )
    os.close(terminal)
    shown = read_all(watcher)
    out = shown if shared else process.communicate(timeout=60)[0].decode()
    assert process.wait(timeout=60) == 0
    results = [line[line.index("{") :] for line in out.splitlines() if "{" in line]
    assert [json.loads(line)["source"] for line in results] == [
        *("videos/a.avi", "videos/b/one.mp4"),
    ]
    drawn = [int(percent) for percent in re.findall(r"(\d+)%", shown)]
    assert max(drawn) > 0, "the line never moved"  # which steps are drawn depends on the speed
    assert ("{" in shown) == shared


def read_all(descriptor: int) -> str:
    parts = []
    while True:
        try:
            part = os.read(descriptor, 65536)
        except OSError:  # Linux says so at the end
            break
        if not part:
            break
        parts.append(part)
    os.close(descriptor)
    return b"".join(parts).decode()


@pytest.mark.clips
def test_real_clips(predict: Predict, ucf101_clip: Callable[..., Path]) -> None:
    clips = [ucf101_clip("PushUps"), ucf101_clip("PlayingPiano", 3)]
    found = objects(predict(*clips, "--json"))
    assert [entry["source"] for entry in found] == [str(clip) for clip in clips]
    for entry in found:
        assert entry["video"]["frames_encoded"] >= 10
        assert entry["segments"][0]["start_seconds"] == 0.0
        assert entry["segments"][-1]["end_seconds"] == entry["video"]["duration_seconds"]

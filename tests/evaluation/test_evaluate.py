"""Evaluation: figures worked out by hand, through the real path, into reports and cards."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import clips
import numpy as np
import plain_bundle
import pytest
import tiny
from cli_process import environment
from memories import small_memory

from actionstream.bundle import card as cards
from actionstream.bundle.card import Card
from actionstream.bundle.folder import open_bundle, write_bundle
from actionstream.bundle.memory import write_memory
from actionstream.datasets import Clip
from actionstream.errors import BundleError, DatasetError
from actionstream.evaluation.evaluate import Evaluation, Outcome, evaluate, match_labels
from actionstream.evaluation.report import find_fonts, to_text, write_figures, write_report
from actionstream.recognizer import Recognizer
from actionstream.results import Answer

LABELS = ("PushUps", "JumpRope", "Lunges")


def outcome(
    label: str | None, group: str, shares: tuple[float, ...], known_score: float
) -> Outcome:
    """A clip and its answer; 0.5 is the threshold of what counts as known."""
    clip = Clip(Path(f"{group}.mp4"), label, f"{label}/{group}", f"{label}-{group}")
    probabilities = np.array(shares, np.float32)
    answer = Answer(clip.path.name, LABELS, probabilities, known_score >= 0.5, known_score)
    return Outcome(clip, answer, answer.top(1)[0].label)


@pytest.fixture
def made() -> Evaluation:
    """Four clips of known actions of which three are right, one of these unknown; two others."""
    known = (
        outcome("PushUps", "1", (0.8, 0.1, 0.1), 0.9),
        outcome("PushUps", "2", (0.6, 0.3, 0.1), 0.4),
        outcome("PushUps", "3", (0.3, 0.7, 0.0), 0.8),
        outcome("JumpRope", "1", (0.1, 0.5, 0.4), 0.7),
    )
    others = (
        outcome(None, "1", (0.4, 0.3, 0.3), 0.2),
        outcome(None, "2", (0.9, 0.1, 0.0), 0.75),
    )
    return Evaluation(LABELS, known, others, listed=6, failed=("x.mp4: empty file",))


def test_figures_by_hand(made: Evaluation) -> None:
    assert made.top1().value == 0.75
    assert made.top1_shown().value == 0.5  # the second is right, but "no known action" was said
    assert made.top3().value == 1.0
    assert made.class_mean() == pytest.approx((2 / 3 + 1) / 2)
    assert made.per_class() == pytest.approx({"PushUps": 2 / 3, "JumpRope": 1.0})
    assert made.known_kept().value == 0.75
    refused = made.negatives_refused()
    assert refused is not None
    assert refused.value == 0.5
    # 0.9 and 0.8 beat both others, 0.4 and 0.7 one: six of eight pairs
    assert made.ood_area() == pytest.approx(6 / 8)
    assert made.confusions() == [("PushUps", "JumpRope", 1)]
    # bins of 1/15: 0.8, 0.6 and 0.5 right, 0.7 wrong, each alone in its bin
    assert made.calibration_error() == pytest.approx((0.2 + 0.4 + 0.5 + 0.7) / 4, abs=1e-6)


def test_figures_as_json_and_text(made: Evaluation) -> None:
    found = json.loads(json.dumps(made.to_dict()))
    assert (found["evaluated"], found["listed"], found["others"]) == (4, 6, 2)
    assert found["comparable"] is True
    assert found["failed"] == ["x.mp4: empty file"]
    assert found["top1"]["value"] == 0.75
    assert found["top1"]["interval"][0] <= 0.75 <= found["top1"]["interval"][1]
    assert found["confusions"] == [["PushUps", "JumpRope", 1]]
    lines = to_text(made).splitlines()
    assert lines[0] == "clips              4 evaluated / 6 listed"
    assert lines[1].startswith("top-1              0.750 [")
    assert "PushUps taken for JumpRope: 1" in lines
    assert lines[-1] == "failed: x.mp4: empty file"


def test_without_others_there_is_nothing_about_them(made: Evaluation) -> None:
    alone = Evaluation(LABELS, made.known_clips, (), listed=4)
    assert alone.negatives_refused() is None
    assert alone.ood_area() is None
    assert alone.to_dict()["others_refused"] is None
    assert "others refused" not in to_text(alone)


def test_what_is_not_comparable_says_so(made: Evaluation, tmp_path: Path) -> None:
    doubtful = replace(made, comparable=False)
    assert doubtful.to_dict()["comparable"] is False
    assert to_text(doubtful).splitlines()[1].startswith("not comparable     the model may have")
    assert "not comparable" not in to_text(made)
    for name, one in (("doubtful", doubtful), ("made", made)):
        write_report(one, tmp_path / name)
    assert '"comparable": false' in (tmp_path / "doubtful" / "evaluation.json").read_text()
    pictures = [(tmp_path / n / "confusion.png").read_bytes() for n in ("doubtful", "made")]
    assert pictures[0] != pictures[1]  # it has a title
    bundle = write_figures(
        open_bundle(plain_bundle.plain_bundle(tmp_path / "b")), doubtful, "split 1"
    )
    measured = [one for one in bundle.card.measured.figures if one.how != "made up for a test"]
    assert len(measured) == 5
    assert all(one.how.endswith("; not comparable") for one in measured)
    assert "not comparable" in (bundle.path / "README.md").read_text()


def test_a_model_of_a_leaking_split_is_never_comparable(colours: dict[str, Path]) -> None:
    model, red = tiny.tiny_model(), [clip_of(colours, "red", "red")]
    assert not model.card.training.comparable
    assert not evaluate(model, red).comparable
    training = model.card.training.model_copy(update={"comparable": True})
    card = model.card.model_copy(update={"training": training})
    honest = Recognizer(replace(model.bundle, card=card), tiny.TinyEngine())
    assert evaluate(honest, red).comparable
    assert not evaluate(honest, red, comparable=False).comparable


def test_report_files(made: Evaluation, tmp_path: Path) -> None:
    write_report(made, tmp_path / "report")
    names = sorted(one.name for one in (tmp_path / "report").iterdir())
    assert names == ["clips.csv", "confusion.png", "evaluation.json"]
    found = json.loads((tmp_path / "report" / "evaluation.json").read_text())
    assert found == json.loads(json.dumps(made.to_dict()))
    with (tmp_path / "report" / "clips.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["label"], row["said"], row["known"]) for row in rows[1:3]] == [
        ("PushUps", "PushUps", "False"),
        ("PushUps", "JumpRope", "True"),
    ]
    assert rows[-1]["label"] == ""
    picture = (tmp_path / "report" / "confusion.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Plain clips of 1.2 s for the model that names colours."""
    folder = tmp_path_factory.mktemp("colours")
    shown = {"red": tiny.RED, "green": tiny.GREEN, "blue": tiny.BLUE, "grey": tiny.GREY}
    for name, colour in shown.items():
        pictures = [tiny.plain(colour)] * 12
        clips.make_clip(
            folder / f"{name}.mp4", size=(32, 24), rate=10, frames=12, pictures=pictures
        )
    return {name: folder / f"{name}.mp4" for name in shown}


def clip_of(colours: dict[str, Path], name: str, label: str | None) -> Clip:
    return Clip(colours[name], label, f"group/{name}", name)


def test_evaluation_goes_through_recognition(colours: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video")
    listed = [clip_of(colours, name, name) for name in ("red", "green")]
    listed += [clip_of(colours, "blue", "red"), Clip(broken, "blue", "group/b", "broken")]
    reports: list[tuple[float, float | None, str]] = []
    found = evaluate(
        tiny.tiny_model(),
        listed,
        listed=10,
        negatives=[clip_of(colours, "grey", None)],
        progress=lambda *report: reports.append(report),
    )
    assert [report[:2] for report in reports] == [(done, 5) for done in range(1, 6)]
    assert [(one.clip.stem, one.best) for one in found.known_clips] == [
        ("red", "red"),
        ("green", "green"),
        ("blue", "blue"),
    ]
    assert found.top1().value == pytest.approx(2 / 3)
    assert (len(found.known_clips), found.listed) == (3, 10)
    assert len(found.failed) == 1
    assert str(broken) in found.failed[0]
    refused = found.negatives_refused()
    assert refused is not None
    assert refused.value == 1.0  # grey is no known action
    assert found.ood_area() == 1.0


def test_what_cannot_be_evaluated(colours: dict[str, Path], tmp_path: Path) -> None:
    model = tiny.tiny_model()
    with pytest.raises(
        DatasetError, match=r"none of an action that the model knows \(left out: Run, Hop\)"
    ):
        evaluate(model, [clip_of(colours, "red", name) for name in ("Run", "Hop")])
    with pytest.raises(DatasetError, match="there is no clip to evaluate"):
        evaluate(model, [])
    gone = Clip(tmp_path / "gone.mp4", "red", "g", "gone")
    with pytest.raises(DatasetError, match=r"no clip could be evaluated: .*gone\.mp4"):
        evaluate(model, [gone], negatives=[clip_of(colours, "grey", None)])


def test_figures_go_into_the_card_and_nowhere_else(made: Evaluation, tmp_path: Path) -> None:
    before = open_bundle(plain_bundle.plain_bundle(tmp_path / "bundle"))
    weights = {name: (before.path / name).read_bytes() for name in before.card.files}
    after = write_figures(before, made, "split 1")
    assert after.path == before.path
    assert {name: (after.path / name).read_bytes() for name in before.card.files} == weights
    assert after.fingerprint != before.fingerprint
    figures = {one.name: one for one in after.card.measured.figures}
    assert list(figures) == [
        "top-1",
        "top-1 as answered",
        "top-3",
        "kept as known",
        "others refused",
    ]
    top1 = figures["top-1"]
    assert (top1.value, top1.evaluated, top1.listed) == (0.75, 4, 6)
    assert "split 1, test list" in top1.how
    assert after.card.measured.per_class == pytest.approx({"PushUps": 2 / 3, "JumpRope": 1.0})
    same = before.card.model_dump(exclude={"measured", "limits"})
    assert after.card.model_dump(exclude={"measured", "limits"}) == same
    weak, passed = after.card.limits[len(before.card.limits) :]
    assert weak == "On the test clips it is weak at PushUps (0.67)."
    assert passed.startswith("On the test clips of other actions and of none it names one of its")
    again = write_figures(after, made, "split 1")
    assert again.fingerprint == after.fingerprint  # replaced, not added
    assert (
        "0.75" in (after.path / "README.md").read_text()
        or "75" in (after.path / "README.md").read_text()
    )


def test_what_the_bundle_has_besides_is_kept(made: Evaluation, tmp_path: Path) -> None:
    def make(place: Path) -> None:
        plain_bundle.write_parts(place)
        write_memory(place / "memory.safetensors", small_memory(len(plain_bundle.LABELS)))

    def make_card(files: dict[str, str]) -> Card:
        return cards.parse(json.dumps(plain_bundle.card_content(files)))

    before = write_bundle(tmp_path / "b", make, make_card)
    after = write_figures(before, made, "split 1")
    assert after.card.files == before.card.files
    assert "memory.safetensors" in after.card.files
    assert open_bundle(after.path).fingerprint == after.fingerprint


def test_a_card_of_other_files_is_refused(made: Evaluation, tmp_path: Path) -> None:
    bundle = write_figures(open_bundle(plain_bundle.plain_bundle(tmp_path / "b")), made, "split 1")
    with (bundle.path / "head.onnx").open("ab") as file:
        file.write(b"0")
    with pytest.raises(BundleError, match=r"head\.onnx"):
        open_bundle(bundle.path)


def test_labels_match_whatever_their_case_and_the_rest_is_named(
    colours: dict[str, Path], made: Evaluation
) -> None:
    clips = [clip_of(colours, "red", "RED"), clip_of(colours, "green", "Green")]
    clips += [clip_of(colours, "blue", "Teal"), clip_of(colours, "grey", "Teal")]
    matched, left_out = match_labels(clips, tiny.LABELS)
    assert [clip.label for clip in matched] == ["red", "green"]
    assert left_out == {"Teal": 2}
    found = evaluate(tiny.tiny_model(), clips)
    assert (len(found.known_clips), found.listed, found.top1().value) == (2, 2, 1.0)
    assert found.to_dict()["left_out"] == {"Teal": 2}
    assert "does not know: Teal (2)" in to_text(found)
    assert "left out" not in to_text(made)


def test_letters_that_the_plain_font_lacks_get_another_font(
    made: Evaluation, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of an installed font that has them, else a warning names them; a report is written."""
    pytest.importorskip("matplotlib")
    assert find_fonts("PushUps é") == ["DejaVu Sans"]
    assert not caplog.records
    fonts = find_fonts("\u5065\u8eab")
    assert len(fonts) > 1 or "no installed font has \u5065\u8eab" in caplog.text
    labels = ("\u5065\u8eab", "JumpRope", "Lunges")
    first = replace(made.known_clips[0].clip, label=labels[0])
    known = (replace(made.known_clips[0], clip=first, best=labels[0]),)
    write_report(replace(made, labels=labels, known_clips=known), tmp_path)
    assert (tmp_path / "confusion.png").stat().st_size > 1000


def test_no_torch_is_loaded(tmp_path: Path) -> None:
    code = (
        "import sys, actionstream.evaluation.report, "
        "actionstream.datasets.check; sys.exit('torch' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, env=environment()).returncode == 0
    )

"""What `evaluate` counts, refuses and calls not comparable: on small lists in UCF101's form."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import moving
import pytest
from conftest import HAS_TORCH

from actionstream import cli
from actionstream.bundle.folder import open_bundle

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(not HAS_TORCH, reason="the bundle is made with the extra 'train'"),
]

TRAIN = ("PushUps g08_c01", "PushUps g09_c01", "JumpRope g08_c01", "Punch g08_c01")
TEST = (
    *("PushUps g01_c01", "PushUps g01_c02", "JumpRope g01_c01"),
    *("Punch g01_c01", "Punch g01_c02", "Punch g01_c03"),
)
ABSENT = {"PushUps g09_c01", "PushUps g01_c02", "Punch g01_c02", "Punch g01_c03"}


def path_of(root: Path, clip: str) -> Path:
    label, part = clip.split()
    return root / label / f"v_{label}_{part}.mp4"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six of ten listed clips. The small bundle knows PushUps and JumpRope, but not Punch."""
    root = tmp_path_factory.mktemp("evaluate")
    for seed, clip in enumerate((*TRAIN, *TEST)):
        if clip not in ABSENT:
            moving.write_clip(path_of(root / "clips", clip), 0.3, seed=seed)
    for name, listed in (("train", TRAIN), ("test", TEST)):
        rows = [str(path_of(Path(), clip).with_suffix(".avi")) for clip in listed]
        (root / "clips" / f"{name}list01.txt").write_text("\n".join(rows))
    return root


@pytest.fixture(scope="module")
def bundle(made: Path) -> Path:
    """The small bundle, as if trained on official split 1."""
    import bundles

    return with_training(bundles.small_bundle(made / "bundle"), split="UCF101 split 1")


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """Clips and lists that the test may change."""
    shutil.copytree(made / "clips", tmp_path / "clips")
    return tmp_path / "clips"


def with_training(bundle: Path, **changed: Any) -> Path:
    """The bundle in its place, with other facts about its training on the card."""
    card = json.loads((bundle / "card.json").read_text())
    card["training"] |= changed
    (bundle / "card.json").write_text(json.dumps(card))
    return bundle


def words(bundle: Path, data: Path, *more: str) -> list[str]:
    return ["evaluate", str(bundle), "--data", str(data), "--threads", "1", *more]


@pytest.mark.parametrize(
    ("more", "evaluated", "listed"),
    [
        ((), 2, 3),
        (("--labels", "JumpRope,Punch"), 1, 1),
        (("--subset", "train"), 2, 3),
        (("--subset", "all"), 4, 6),
    ],
)
def test_only_labels_that_the_model_knows_count_as_listed(
    bundle: Path,
    made: Path,
    more: tuple[str, ...],
    evaluated: int,
    listed: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(words(bundle, made / "clips", "--json", *more)) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["evaluated"], found["listed"]) == (evaluated, listed)


def test_the_card_gets_the_same_count_and_the_test_list_is_comparable(
    bundle: Path, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(bundle, tmp_path / "bundle")
    report = tmp_path / "report"
    assert cli.main(words(copy, made / "clips", "--write-card", "--report", str(report))) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("clips              2 evaluated / 3 listed\ntop-1 ")
    assert "not comparable" not in captured.out + captured.err
    figures = {one.name: one for one in open_bundle(copy).card.measured.figures}
    assert (figures["top-1"].evaluated, figures["top-1"].listed) == (2, 3)
    assert "not comparable" not in (copy / "README.md").read_text()
    assert json.loads((report / "evaluation.json").read_text())["comparable"] is True


@pytest.mark.parametrize(
    ("changed", "subset", "reason"),
    [
        ({"split": "HMDB51 split 1"}, "test", "was trained on 'HMDB51 split 1'"),
        ({"comparable": False}, "test", "clips of one source are in several subsets"),
        ({}, "train", "the model was trained on clips of this subset"),
        ({}, "all", "the model was trained on clips of this subset"),
    ],
)
def test_what_is_not_comparable_says_so_everywhere(
    bundle: Path,
    made: Path,
    tmp_path: Path,
    changed: dict[str, Any],
    subset: str,
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = with_training(shutil.copytree(bundle, tmp_path / "bundle"), **changed)
    asked = words(other, made / "clips", "--subset", subset)
    assert cli.main([*asked, "--report", str(tmp_path / "report")]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[1].startswith("not comparable     the model may have seen")
    assert reason in captured.err
    assert "so the figures are not comparable" in captured.err
    assert json.loads((tmp_path / "report" / "evaluation.json").read_text())["comparable"] is False
    before = (other / "card.json").read_bytes()
    assert cli.main([*asked, "--write-card"]) == 2
    assert (other / "card.json").read_bytes() == before


def test_a_clip_on_two_sides_is_refused_by_name(
    bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copyfile(path_of(data, "PushUps g01_c01"), path_of(data, "PushUps g08_c01"))
    assert cli.main(words(bundle, data)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    offenders = "v_PushUps_g08_c01 and v_PushUps_g01_c01"
    assert f"train and test share 1 contents ({offenders})" in captured.err
    assert cli.main(words(bundle, data, "--subset", "all", "--json")) == 0  # one subset: no pairs
    assert json.loads(capsys.readouterr().out)["comparable"] is False


def test_a_leak_among_actions_that_the_model_does_not_know_is_no_matter(
    bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copyfile(path_of(data, "Punch g01_c01"), path_of(data, "Punch g08_c01"))
    assert cli.main(words(bundle, data, "--json")) == 0
    assert json.loads(capsys.readouterr().out)["evaluated"] == 2


@pytest.mark.parametrize(("subset", "named"), [("test", "test"), ("all", "all")])
def test_other_clips_are_compared_too(
    bundle: Path, data: Path, subset: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    others = data.parent / "others"
    others.mkdir()
    shutil.copyfile(path_of(data, "JumpRope g01_c01"), others / "walk.mp4")
    assert cli.main(words(bundle, data, "--negatives", str(others), "--subset", subset)) == 2
    offenders = "v_JumpRope_g01_c01 and walk"
    assert f"{named} and negatives share 1 contents ({offenders})" in capsys.readouterr().err


def test_no_clip_is_hashed_twice(
    bundle: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Loading compares clips of one subset, the guard those of all: each asks for hashes."""
    size = max(path.stat().st_size for path in data.rglob("*.mp4"))
    for path in data.rglob("*.mp4"):
        with path.open("ab") as file:  # an MP4 may end with anything
            file.write(bytes(size - path.stat().st_size))
    read: Counter[str] = Counter()
    digest = hashlib.file_digest

    def counted(file: Any, name: str) -> Any:
        if str(data) in str(file.name):
            read[Path(file.name).stem] += 1
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    assert cli.main(words(bundle, data)) == 0
    assert len(read) == 6
    assert set(read.values()) == {1}
    capsys.readouterr()


def test_labels_with_a_comma_and_of_another_case(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in ("pushups", "Clean, Jerk", "Run"):
        for number in range(2):
            path = tmp_path / "own" / label / f"v_{number}_g0{number}_c01.mp4"
            moving.write_clip(path, 0.3, seed=len(label) + number)
    asked = [*words(bundle, tmp_path / "own", "--layout", "folder", "--json"), "--subset", "all"]
    assert cli.main([*asked, "--labels", 'pushUPS,"Clean, Jerk"']) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["evaluated"], found["left_out"]) == (2, {"Clean, Jerk": 2})
    assert cli.main([*asked, "--labels", "pushups", "--labels", "Run"]) == 0
    assert json.loads(capsys.readouterr().out)["left_out"] == {"Run": 2}

"""A shipped model is taught real clips, and what comes out is a bundle like any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from memories import small_memory

import actionstream
from actionstream import BundleError, DatasetError
from actionstream.bundle.folder import Bundle, open_bundle, resolve, write_bundle
from actionstream.bundle.memory import MEMORY_NAME, write_memory
from actionstream.cli import main
from actionstream.recognizer import Recognizer
from actionstream.teaching.estimate import known_scores
from actionstream.teaching.head import HeadGraph
from actionstream.teaching.taught import Taught, moves
from actionstream.teaching.windows import find_clips, gather, read_windows
from actionstream.video import VideoReader

NEW = ("BalanceBeam", "BoxingSpeedBag")
TOLERANCE = 1e-4
"""Between engines, and between a file and a stream: the project's."""


def with_memory(to: Path) -> Bundle:
    """Lite0 with a memory: its own, or one of random windows where it ships without."""
    shipped = open_bundle(resolve("lite0"))

    def make(place: Path) -> None:
        for name in shipped.card.files:
            shutil.copyfile(shipped.path / name, place / name)
        if MEMORY_NAME not in shipped.card.files:
            layers = HeadGraph(shipped.head_path).layers
            sizes = [layers[name].weight.shape[1] for name in ("picture", "pose")]
            memory = small_memory(len(shipped.card.labels), *sizes, each=3)
            write_memory(place / MEMORY_NAME, memory)

    return write_bundle(to, make, lambda files: shipped.card.model_copy(update={"files": files}))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return with_memory(tmp_path_factory.mktemp("base") / "base")


@pytest.fixture(scope="module")
def model(base: Bundle) -> Recognizer:
    return actionstream.load(base.path, threads=1)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> dict[str, list[Path]]:
    folder = data_dir / "ucf101_few"
    root = tmp_path_factory.mktemp("clips")
    for label in NEW:
        (root / label).mkdir()
        for clip in training_clips(folder / label)[:3]:
            shutil.copyfile(clip, root / label / clip.name)
    return find_clips(root)


def training_clips(folder: Path) -> list[Path]:
    """Clips of the training list, one of each group first."""
    found = [path for path in sorted(folder.glob("*.mp4")) if "_g0" not in path.name]
    return sorted(found, key=lambda path: path.stem[-2:])


@pytest.fixture(scope="module")
def taught(model: Recognizer, clips: dict[str, list[Path]]) -> Taught:
    return actionstream.teach(model, clips)


@pytest.fixture(scope="module")
def bundle(taught: Taught, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return taught.save(tmp_path_factory.mktemp("taught") / "mine")


pytestmark = pytest.mark.clips


def test_it_knows_old_and_new(
    bundle: Bundle, model: Recognizer, taught: Taught, clips: dict[str, list[Path]]
) -> None:
    assert bundle.card.labels == (*model.labels, *NEW)
    assert bundle.card.name == "mine"
    assert set(bundle.card.files) == set(model.card.files)
    card = bundle.card.taught
    assert card is not None
    assert taught.estimate is not None
    assert card.labels == NEW
    assert card.estimate == taught.estimate.recall
    assert card.clips == {"BalanceBeam": 3, "BoxingSpeedBag": 3}
    groups = {label: len({path.stem[:-4] for path in clips[label]}) for label in NEW}
    assert card.sources == groups == {"BalanceBeam": 2, "BoxingSpeedBag": 2}
    assert any("few clips of BalanceBeam (3), BoxingSpeedBag (3)" in one for one in card.warnings)
    share, left_out = card.estimate["BalanceBeam"], card.left_out["BalanceBeam"]
    line = f"| BalanceBeam | {share:.2f} | {left_out:.2f} | {card.refused[NEW[0]]:.2f} | 3 | 2 |"
    assert line in (bundle.path / "README.md").read_text().splitlines()


def test_the_clips_it_learned_get_their_labels(
    bundle: Bundle, clips: dict[str, list[Path]]
) -> None:
    model = actionstream.load(bundle.path, threads=1)
    for label in NEW:
        answer = model.recognize(clips[label][0])
        assert answer.top(1)[0].label == label


def test_a_file_is_read_as_a_stream(bundle: Bundle, clips: dict[str, list[Path]]) -> None:
    model, path = actionstream.load(bundle.path, threads=1), clips[NEW[0]][1]
    stream = model.live()
    with VideoReader(path) as reader:
        for frame in reader:
            stream.push(frame.to_rgb(), frame.time_seconds)
    live, file = stream.finish(), model.recognize(path)
    np.testing.assert_allclose(live.probabilities, file.probabilities, atol=TOLERANCE)
    assert live.known_score == pytest.approx(file.known_score, abs=TOLERANCE)


@pytest.mark.torch
def test_both_engines_say_the_same(bundle: Bundle, clips: dict[str, list[Path]]) -> None:
    pytest.importorskip("torch")
    path = clips[NEW[1]][0]
    one, other = (
        actionstream.load(bundle.path, engine=engine, threads=1).recognize(path)
        for engine in ("onnx", "torch")
    )
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=TOLERANCE)
    assert one.known_score == pytest.approx(other.known_score, abs=TOLERANCE)


def test_the_known_score_is_the_graphs(
    bundle: Bundle, clips: dict[str, list[Path]], model: Recognizer
) -> None:
    """Thresholds are chosen on what NumPy says of the scores; the graph must say the same."""
    made = Taught.of(bundle)
    windows = read_windows(model, clips[NEW[0]][0])
    _, expected = actionstream.load(bundle.path, threads=1).engine.read(windows)
    probe = made.graph.read(windows)
    scores = {
        n: getattr(probe, n) @ one.weight.T + one.bias for n, one in made.graph.layers.items()
    }
    found = known_scores(
        scores["picture"] + scores["pose"], scores["order"], moves(made, windows), made.graph.known
    )
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_without_change_the_graph_is_the_same(
    base: Bundle, model: Recognizer, tmp_path: Path, clips: dict[str, list[Path]]
) -> None:
    again = actionstream.load(Taught.of(base).save(tmp_path / "same").path, threads=1)
    windows = read_windows(model, clips[NEW[0]][0])
    for one, other in zip(model.engine.read(windows), again.engine.read(windows), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_forgotten_leaves_the_rest_alone(
    bundle: Bundle, model: Recognizer, tmp_path: Path, clips: dict[str, list[Path]]
) -> None:
    fewer = Taught.of(bundle).forget(["Basketball", NEW[0]]).save(tmp_path / "fewer")
    windows = read_windows(model, clips[NEW[1]][0])
    whole = actionstream.load(bundle.path, threads=1)
    kept = [whole.labels.index(label) for label in fewer.card.labels]
    before, _ = whole.engine.read(windows)
    after, _ = actionstream.load(fewer.path, threads=1).engine.read(windows)
    np.testing.assert_array_equal(before[:, kept], after)
    assert fewer.card.taught is not None
    assert fewer.card.taught.labels == (NEW[1],)
    assert bundle.card.taught is not None
    assert fewer.card.taught.estimate == {NEW[1]: bundle.card.taught.estimate[NEW[1]]}


def test_it_can_be_taught_again(
    bundle: Bundle, clips: dict[str, list[Path]], tmp_path: Path
) -> None:
    model = actionstream.load(bundle.path, threads=1)
    found = actionstream.teach(model, {"Beam": clips[NEW[0]]}, forget=[NEW[0]])
    again = found.save(tmp_path / "again")
    assert again.card.labels[-2:] == (NEW[1], "Beam")
    assert again.card.taught is not None
    assert set(again.card.taught.estimate) == {NEW[1], "Beam"}
    answer = actionstream.load(again.path, threads=1).recognize(clips[NEW[1]][0])
    assert answer.top(1)[0].label == NEW[1]


def test_sources_are_told_from_names(clips: dict[str, list[Path]]) -> None:
    found = gather(clips)
    assert len({one.source for one in found.clips}) == 4
    assert found.guessed == ()
    pieces = gather({"wave": ["a/take-1.mp4", "a/take-2.mp4", "a/take-3.mp4"]})
    assert {one.source for one in pieces.clips} == {"take"}
    alone = gather({"wave": ["a/red.mp4", "a/green.mp4", "a/blue.mp4"]})
    assert alone.guessed == ("wave",)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "at least 3 clips: there is none"),
        ({"wave": ["a.mp4", "b.mp4"]}, r"at least 3 clips: too few of wave \(2\)"),
        ({"Basketball": ["a.mp4", "b.mp4", "c.mp4"]}, "knows Basketball already"),
    ],
)
def test_what_cannot_be_taught(model: Recognizer, given: dict[str, list[str]], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        actionstream.teach(model, given)


def test_a_bundle_without_a_memory_says_so(tmp_path: Path, base: Bundle) -> None:
    def make(place: Path) -> None:
        for name in set(base.card.files) - {MEMORY_NAME}:
            shutil.copyfile(base.path / name, place / name)

    bare = write_bundle(
        tmp_path / "bare", make, lambda files: base.card.model_copy(update={"files": files})
    )
    with pytest.raises(BundleError, match=r"has no memory\.safetensors, which teaching needs"):
        Taught.of(bare)


def test_the_command_prints_what_to_expect(
    base: Bundle, clips: dict[str, list[Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(clips[NEW[0]][0].parents[1])
    words = ["teach", root, "--from", str(base.path), "--to", str(tmp_path / "small"), "--only"]
    assert main([*words, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["labels"] == list(NEW)
    assert set(facts["estimate"]["recall"]) == set(NEW)
    assert facts["estimate"]["old_before"] is None
    assert facts["timing"]["encode_seconds"] > 0
    assert open_bundle(tmp_path / "small").fingerprint == facts["fingerprint"]
    again = ["teach", "--from", str(tmp_path / "small"), "--forget", NEW[0]]
    assert main([*again, "--rename", f"{NEW[1]}=Bag", "--to", str(tmp_path / "one")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'one'}: one, 1 actions\n"
    assert open_bundle(tmp_path / "one").card.labels == ("Bag",)
    assert main([*words[:-1], "--overwrite", "--rename", "a=b"]) == 2
    assert "rename the folder" in capsys.readouterr().err
    assert main(["teach", "--to", str(tmp_path / "two")]) == 2
    assert "name a folder of clips, --forget or --rename" in capsys.readouterr().err

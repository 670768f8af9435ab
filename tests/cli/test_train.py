"""`train`, `evaluate` and `export` as their users run them, on tiny clips of three colours."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import clips
import moving
import pytest
from cli_process import COMMAND, environment
from conftest import HAS_TORCH

from actionstream import cli
from actionstream.bundle.card import file_digest
from actionstream.bundle.folder import open_bundle
from actionstream.recognizer import load

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(not HAS_TORCH, reason="training needs the extra 'train'"),
]

PATIENCE_SECONDS = 280
SMALL = [
    *("--set", "encoder=efficientnet_lite0", "--set", "input_size=64"),
    *("--set", "views=2", "--set", "spacing_seconds=0.1", "--set", "ready_after=4"),
    *("--set", "folds=3", "--set", "epochs=10", "--set", "batch_size=4"),
    *("--set", "learning_rate=0.003", "--set", "average_decay=0.9", "--set", "options.hidden=8"),
]


@dataclass(frozen=True)
class Place:
    """Clips, a bundle of 64 pixels to start from, and a store that the runs share."""

    root: Path

    @property
    def data(self) -> list[str]:
        return [
            *("--data", str(self.root / "clips"), "--layout", "folder"),
            *("--negatives", str(self.root / "others")),
        ]

    def train(self, out: str) -> list[str]:
        """The words after `actionstream` for a run in this folder."""
        return [
            *("train", *self.data, "--recipe", "lite0", *SMALL),
            *("--init", str(self.root / "small"), "--store", str(self.root / "store")),
            *("--out", str(self.root / out), "--seed", "3"),
        ]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Four clips a colour, of which one is held out, and three clips of something else."""
    import bundles

    root = tmp_path_factory.mktemp("training")
    moving.colour_split(root / "clips", groups=3)
    (root / "others").mkdir()
    for number in range(3):
        shown = [clips.picture(3 * i + number) for i in range(20)]
        path = root / "others" / f"{number}.mp4"
        clips.make_clip(path, rate=12.5, frames=20, pictures=shown)
    bundles.small_bundle(root / "small")
    return Place(root)


@dataclass(frozen=True)
class Trained:
    folder: Path
    out: str
    err: str

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle"


@pytest.fixture(scope="module")
def trained(place: Place) -> Trained:
    """A run of the real command that nobody disturbed."""
    done = subprocess.run(
        [*COMMAND, *place.train("run")],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=place.root,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Trained(place.root / "run", done.stdout, done.stderr)


def test_train_writes_a_bundle_that_knows_its_clips(place: Place, trained: Trained) -> None:
    assert trained.out == f"{trained.bundle}\n"
    model = load(trained.bundle, threads=1)
    assert model.labels == ("Archery", "Biking", "Diving")
    assert model.card.geometry.input_size == 64  # the encoder is that of --init
    assert model.card.training.clips == 9
    assert model.card.training.no_action_clips == 3
    right = 0
    for path in (place.root / "clips").rglob("*.mp4"):
        right += model.recognize(path).top(1)[0].label == path.parent.name
    assert right >= 11  # twelve clips


def test_progress_is_on_stderr(trained: Trained) -> None:
    for stage in ("encoding clips: 12/12", "fold 3 of 3, loss", "final head, loss", "exporting"):
        assert stage in trained.err
    assert "fold 1 of 3" not in trained.out


def test_the_cards_command_names_no_folder_of_this_machine(place: Place, trained: Trained) -> None:
    card = (trained.bundle / "card.json").read_text()
    assert str(place.root) not in card
    assert str(Path.home()) + "/" not in card
    command = json.loads(card)["training"]["command"]
    assert command.startswith("actionstream train --data clips --layout folder --negatives others")
    assert "--set options.hidden=8" in command
    assert "--init small" in command


@pytest.mark.parametrize(
    ("word", "portable"),
    [
        ("/data/clips", "clips"),
        ("--data=/data/clips", "--data=clips"),
        ("--data=clips", "--data=clips"),
        ("epochs=3", "epochs=3"),
        ("data/clips", "data/clips"),
        ("--split", "--split"),
    ],
)
def test_words_of_a_command(word: str, portable: str) -> None:
    from actionstream.cli.train import _portable

    assert _portable([word]) == [portable]


def test_killed_and_resumed_it_gives_the_same_bundle(
    place: Place, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGKILL after the first fold; the weights are then those of the run left in peace."""
    words = place.train("killed")
    process = subprocess.Popen(
        [*COMMAND, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=place.root,
    )
    assert process.stderr is not None
    assert any(line.startswith("fold 1 of 3") for line in process.stderr)  # waits for it
    os.kill(process.pid, signal.SIGKILL)
    process.stderr.close()
    assert process.wait(30) == -signal.SIGKILL
    folder = place.root / "killed"
    assert (folder / "folds" / "fold0.ckpt").exists()
    assert not (folder / "bundle").exists()
    assert cli.main(words) == 2
    assert "holds a run already; go on with --resume" in capsys.readouterr().err
    assert cli.main([*words, "--resume"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{folder / 'bundle'}\n"
    assert "fold 1 of 3" not in captured.err  # not trained again
    same_weights(folder / "bundle", trained.bundle)


def same_weights(a: Path, b: Path) -> None:
    """Encoder and head bit for bit; the OOD score's, which come out of a decomposition whose
    last bits BLAS does not promise, to 1e-6 of the largest.
    """
    from safetensors.torch import load_file

    one, other = (load_file(place / "weights.safetensors") for place in (a, b))
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        if name.startswith("known."):
            tolerance = 1e-6 * float(other[name].abs().max())
            assert float((tensor - other[name]).abs().max()) <= tolerance, name
        else:
            assert tensor.equal(other[name]), name


def test_evaluate_prints_reports_and_writes_the_card(
    place: Place, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    before = open_bundle(trained.bundle)
    report = place.root / "report"
    words = ["evaluate", str(trained.bundle), *place.data, "--json", "--write-card"]
    assert cli.main([*words, "--report", str(report), "--threads", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["evaluated"], found["listed"], found["others"]) == (3, 3, 3)
    with (report / "clips.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    right = [row["label"] == row["said"] for row in rows if row["label"]]
    assert found["top1"]["value"] == pytest.approx(sum(right) / 3)
    assert (report / "confusion.png").stat().st_size > 1000
    after = open_bundle(trained.bundle)
    assert after.fingerprint != before.fingerprint
    assert after.card.files == before.card.files
    figures = {one.name: one for one in after.card.measured.figures}
    assert figures["top-1"].value == pytest.approx(found["top1"]["value"])
    assert figures["cross-validated top-1"] == before.card.measured.figures[0]


def test_evaluate_as_text_and_on_another_side(
    place: Place, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(trained.bundle), *place.data[:4]]
    assert cli.main([*words, "--subset", "train", "--labels", "Archery,Diving"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("clips              6 evaluated / 6 listed\nnot comparable ")
    assert "others refused" not in out
    assert cli.main([*words, "--subset", "validation"]) == 2
    assert "no clip in the subset 'validation'" in capsys.readouterr().err
    assert cli.main([*words, "--subset", "train", "--write-card"]) == 2
    assert "--write-card is for the test list" in capsys.readouterr().err


def test_evaluate_clips_of_labels_that_the_model_does_not_know(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        moving.write_clip(tmp_path / "Hopping" / f"v_Hopping_g0{number}_c01.mp4", 0.1, seed=number)
    data = ["--data", str(tmp_path), "--layout", "folder"]
    assert cli.main(["evaluate", str(trained.bundle), *data]) == 2
    assert "none of an action that the model knows" in capsys.readouterr().err


def test_export_makes_the_bundle_again(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = str(trained.folder / "final.ckpt")
    assert cli.main(["export", checkpoint, "--to", str(tmp_path / "again")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'again'}\n"
    for name in open_bundle(trained.bundle).card.files:
        assert file_digest(tmp_path / "again" / name) == file_digest(trained.bundle / name)
    assert cli.main(["export", checkpoint, "--to", str(tmp_path)]) == 2
    assert "exists" in capsys.readouterr().err
    head = str(trained.folder / "head.ckpt")
    assert cli.main(["export", head, "--to", str(tmp_path / "head")]) == 2
    assert "head.ckpt: " in capsys.readouterr().err
    assert not (tmp_path / "head").exists()


def test_an_experiment_is_one_line(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*place.train("experiments"), "--experiment", "--set", "epochs=2"]
    assert cli.main([*words, "--set", "options.hidden=4", "--set", "head=lstm"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    printed = json.loads(line)
    folder = place.root / "experiments"
    (recorded,) = (folder / "records.jsonl").read_text().splitlines()
    stamped = json.loads(recorded)
    assert stamped.pop("time").endswith("Z")
    assert stamped == printed
    assert printed["kind"] == "experiment"
    assert printed["recipe"]["options"]["hidden"] == 4
    assert printed["recipe"]["epochs"] == 2
    assert printed["cross_validation"]["clips"] == 9
    assert 0 <= printed["cross_validation"]["top1"] <= 1
    assert not list(folder.rglob("*.ckpt"))
    assert not (folder / "bundle").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "epochs"], "--set takes FIELD=VALUE, got 'epochs'"),
        (["--set", "epoch=3"], "a recipe has no 'epoch'"),
        (["--set", "folds=2"], "folds of a recipe is at least 3, got 2"),
        (["--set", "options.dropout=5"], "head 'lstm' with options"),
        (["--set", "folds=13"], "come from 12 sources, which cannot be divided into 13 folds"),
        (["--set", "options.hiden=1"], "hiden"),
        (["--recipe", "lite9"], "there is no recipe 'lite9'"),
        (["--set", "encoder=resnet18"], "its encoder is efficientnet_lite0, the recipe's"),
        (["--set", "input_size=96"], "its encoder takes 64 pixels, the recipe's 96"),
        (["--init", "absent"], "neither a folder nor a shipped variant"),
        (["--negatives", "absent"], "absent: not a folder"),
    ],
)
def test_wrong_use(
    place: Place,
    more: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main([*place.train("wrong"), *more]) == 2
    assert message in capsys.readouterr().err
    assert not (place.root / "wrong").exists()


def test_classes_of_too_few_sources_are_refused(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two sources of a class one is held out to test, the other cannot be divided into folds."""
    for label, hue, groups in (("Run", 0.1, 4), ("Hop", 0.6, 2)):
        for group in range(1, groups + 1):
            stem = f"v_{label}_g0{group}_c01"
            moving.write_clip(tmp_path / "clips" / label / f"{stem}.mp4", hue, seed=group)
    words = [*Place(tmp_path).train("out"), "--init", str(place.root / "small")]
    words[words.index("--negatives") + 1] = str(place.root / "others")
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert "all of its training clips come from one source" in error
    assert not (tmp_path / "out").exists()  # told before the long work

"""End-to-end training on frames: it learns, freezes, resumes exactly, leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import end_to_end_training
import moving
import numpy as np
import psutil
import pytest
import torch
from torch import Tensor
from torchvision.models import resnet18

import actionstream
from actionstream.datasets import Clip, Split
from actionstream.errors import LeakError, TrainingError
from actionstream.networks.encoders import build_encoder
from actionstream.networks.heads import LSTMHead, build_head
from actionstream.progress import Progress
from actionstream.training.common.calibrate import ClipOutput, fit_temperatures
from actionstream.training.common.checkpoint import load_checkpoint
from actionstream.training.common.recipe import CLASSIC, EndToEndRecipe, Phase, Settings
from actionstream.training.end_to_end.fit_networks import (
    TrainedNetworks,
    _Networks,
    train_networks,
    trained_modules,
)
from actionstream.training.end_to_end.train import calibrate, hold_out, read_outputs, train

pytestmark = pytest.mark.torch

TINY, LEARNING = end_to_end_training.TINY, end_to_end_training.LEARNING
SEED = 3


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return moving.colour_split(tmp_path_factory.mktemp("colours"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ResNet18 as torchvision would download it, but with random weights."""
    torch.manual_seed(11)
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(resnet18(weights=None).state_dict(), path)
    return path


Reports = list[tuple[float, float | None, str]]


@dataclass
class Run:
    """Networks after all phases, where that was, and what was reported."""

    networks: TrainedNetworks
    folder: Path
    reports: Reports


def quiet(done: float, total: float | None, what: str) -> None:
    """Reports to nobody."""


def _run(
    split: Split,
    recipe: EndToEndRecipe,
    folder: Path,
    weights: Path | None,
    *,
    seed: int = SEED,
    progress: Progress | None = None,
    workers: int = 2,
) -> Run:
    reports: Reports = []

    def tell(*report: Any) -> None:
        reports.append(report)
        if progress is not None:
            progress(*report)

    settings = Settings(folder, folder, seed=seed, weights=weights, workers=workers)
    clips = hold_out(split, (), recipe, seed).train
    networks = train_networks(clips, split.labels, recipe, settings, tell)
    return Run(networks, folder, reports)


@pytest.fixture(scope="module")
def tuned(split: Split, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """ResNet18 from a file, both phases."""
    return _run(split, TINY, tmp_path_factory.mktemp("tuned"), weights)


@pytest.fixture(scope="module")
def learned(split: Split, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Lite0 with its ImageNet weights, enough epochs to tell the colours."""
    return _run(split, LEARNING, tmp_path_factory.mktemp("learned"), None)


@pytest.fixture(scope="module")
def start(weights: Path) -> dict[str, Tensor]:
    """What the encoder of `tuned` started from."""
    return build_encoder("resnet18", pretrained=weights).trunk.state_dict()


def test_the_classic_recipe() -> None:
    """ResNet18 of ImageNet, 16 frames of 112 pixels, LSTM of 256, dropout 0.5, linear, 2 phases."""
    assert (CLASSIC.encoder, CLASSIC.input_size) == ("resnet18", 112)
    encoder = build_encoder("resnet18", pretrained=False, input_size=112)
    head = build_head(CLASSIC.head, encoder.spec.feature_size, 101, **CLASSIC.options)
    shapes = {name: tuple(value.shape) for name, value in head.state_dict().items()}
    assert shapes == {
        "lstm.weight_ih_l0": (4 * 256, 512),
        "lstm.weight_hh_l0": (4 * 256, 256),
        "lstm.bias_ih_l0": (4 * 256,),
        "lstm.bias_hh_l0": (4 * 256,),
        "linear.weight": (101, 256),
        "linear.bias": (101,),
    }
    assert head.get_submodule("dropout").p == 0.5  # type: ignore[comparison-overlap]
    windows = torch.zeros(2, 16, 112, 112, 3, dtype=torch.uint8)
    with torch.no_grad():
        assert _Networks(encoder, head)(windows).shape == (2, 101)
    frozen, tuned = CLASSIC.phases
    assert (frozen.trains, tuned.trains) == ("none", "last_stage")
    assert 0 < tuned.encoder_learning_rate < tuned.learning_rate
    assert json.loads(json.dumps(CLASSIC.facts()))["phases"][1]["trains"] == "last_stage"


def test_phases_follow_each_other() -> None:
    places = [LEARNING.phase_at(epoch) for epoch in range(LEARNING.epochs)]
    first, second = LEARNING.phases
    assert places == [*((first, at) for at in range(6)), (second, 0), (second, 1)]
    with pytest.raises(ValueError, match="8 epochs"):
        LEARNING.phase_at(8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Phase(0, 1e-3), "needs an epoch"),
        (lambda: Phase(1, 1e-3, trains="all"), "above 0 exactly when"),
        (lambda: Phase(1, 1e-3, 1e-4), "above 0 exactly when"),
        (lambda: replace(TINY, phases=()), "at least one phase"),
        (lambda: replace(TINY, options={}), "normalise='none' or 'l2'"),
    ],
)
def test_recipes_that_make_no_sense(make: Callable[[], object], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        make()


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0"])
def test_the_last_stage_is_the_end_of_the_encoder(name: str) -> None:
    """No parameter comes after it, some come before it, and it is worth training."""
    encoder = build_encoder(name, pretrained=False, input_size=32)
    stage = {id(p) for part in trained_modules(encoder, "last_stage") for p in part.parameters()}
    ours = [id(p) in stage for p in encoder.parameters()]
    first = ours.index(True)
    assert first > 0
    assert all(ours[first:])
    assert sum(p.numel() for p in encoder.parameters() if id(p) in stage) > 0.2 * sum(
        p.numel() for p in encoder.parameters()
    )
    everything = {id(p) for part in trained_modules(encoder, "all") for p in part.parameters()}
    assert everything == {id(p) for p in encoder.parameters()}
    assert trained_modules(encoder, "none") == ()


def test_it_learns(learned: Run, split: Split) -> None:
    networks = learned.networks
    assert len(networks.losses) == 8
    assert networks.losses[-1] < 0.5 * networks.losses[0]
    clips = hold_out(split, (), LEARNING, SEED).train
    outputs = read_outputs(networks.encoder, networks.head, clips, split.labels, LEARNING, quiet)
    said = [split.labels[int(one.logits.mean(axis=0).argmax())] for one in outputs]
    right = sum(label == clip.label for label, clip in zip(said, clips, strict=True))
    assert right >= len(clips) - 1, said  # 9 clips of 3 actions: 3 right by chance


def test_whole_groups_are_held_out(split: Split) -> None:
    parts = hold_out(split, (), TINY, SEED)
    assert (len(parts.train), len(parts.validation)) == (9, 3)
    assert {clip.label for clip in parts.validation} == set(split.labels)
    assert not {c.group for c in parts.train} & {c.group for c in parts.validation}
    assert {*parts.train, *parts.validation} == set(split.train)


def test_progress_counts_every_batch_of_every_epoch(tuned: Run) -> None:
    assert [done for done, _, _ in tuned.reports] == list(range(1, 11))
    assert {total for _, total, _ in tuned.reports} == {10}
    assert tuned.reports[-1][2].startswith("epoch 2 of 2, loss ")


def test_only_the_last_stage_moved(tuned: Run, start: dict[str, Tensor]) -> None:
    """All else is the file's to the bit after both phases, the batch norms' statistics too."""
    after = tuned.networks.encoder.trunk.state_dict()
    moved = {name for name, old in start.items() if not torch.equal(old, after[name])}
    trainable = {
        name
        for name, _ in tuned.networks.encoder.trunk.named_parameters()
        if name.startswith("layer4.")
    }
    assert moved == trainable
    assert len(trainable) == 15


def test_the_first_phase_leaves_the_encoder_alone(
    split: Split, weights: Path, start: dict[str, Tensor], tmp_path: Path
) -> None:
    recipe = replace(TINY, phases=TINY.phases[:1])
    networks = _run(split, recipe, tmp_path, weights).networks
    after = networks.encoder.trunk.state_dict()
    assert all(torch.equal(old, after[name]) for name, old in start.items())


def test_all_of_an_encoder_can_train(split: Split, tmp_path: Path) -> None:
    recipe = replace(LEARNING, input_size=32, phases=(Phase(1, 1e-3, 1e-4, "all"),))
    networks = _run(split, recipe, tmp_path, None).networks
    before = build_encoder(recipe.encoder).trunk.named_parameters()
    after = networks.encoder.trunk.parameters()
    pairs = zip(before, after, strict=True)
    unmoved = [name for (name, old), new in pairs if torch.equal(old, new)]
    assert unmoved == []


SHORT = replace(
    LEARNING,
    input_size=32,
    phases=(replace(LEARNING.phases[0], epochs=2), replace(LEARNING.phases[1], epochs=2)),
)


@pytest.fixture(scope="module")
def short(split: Split, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of 5 batches an epoch that nobody disturbs."""
    return _run(split, SHORT, tmp_path_factory.mktemp("short"), None)


class _StopError(Exception):
    """Ends a run in the middle of an epoch."""


@pytest.mark.parametrize("batches", [6, 12, 18])
def test_a_resumed_run_gives_the_same_weights(
    split: Split, short: Run, tmp_path: Path, batches: int
) -> None:
    """Broken off within the first phase, at the change, within the second; other threads."""

    def stop(done: float, total: float | None, what: str) -> None:
        if done == batches:
            raise _StopError

    with pytest.raises(_StopError):
        _run(split, SHORT, tmp_path, None, workers=0, progress=stop)
    resumed = _run(split, SHORT, tmp_path, None, workers=0).networks
    assert resumed.losses == short.networks.losses
    for name in ("encoder", "head"):
        one, other = (getattr(who, name).state_dict() for who in (resumed, short.networks))
        assert list(one) == list(other)
        assert all(torch.equal(one[key], other[key]) for key in one), name


def test_another_seed_gives_other_weights(split: Split, short: Run, tmp_path: Path) -> None:
    recipe = replace(SHORT, phases=SHORT.phases[:1])
    other = _run(split, recipe, tmp_path, None, seed=SEED + 1).networks
    assert other.losses[0] != short.networks.losses[0]


def test_a_run_that_is_there_is_not_overwritten(
    split: Split, weights: Path, tuned: Run, tmp_path: Path
) -> None:
    settings = Settings(tuned.folder, tuned.folder, seed=SEED, weights=weights)
    with pytest.raises(TrainingError, match="holds a run already; go on with --resume"):
        train(split, (), TINY, settings, quiet)
    for seed, recipe, start, named in (
        (4, TINY, weights, "its seed"),
        (SEED, TINY, None, "its start"),
        (SEED, replace(TINY, batch_size=3), weights, "its recipe"),
    ):
        with pytest.raises(TrainingError, match=f"belongs to another run \\({named}"):
            _run(split, recipe, tuned.folder, start, seed=seed)


def test_weights_that_are_not_there(split: Split, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="there is no such file of weights"):
        _run(split, TINY, tmp_path, tmp_path / "absent.pth")


def test_leaks_are_refused_unless_the_split_says_that_it_leaks(
    split: Split, tmp_path: Path
) -> None:
    seen = split.train[0]
    leaking = replace(split, test=(*split.test, replace(seen, stem="v_Other_g01_c01")))
    settings = Settings(tmp_path, tmp_path)
    with pytest.raises(LeakError, match="train and test share"):
        train(leaking, (), TINY, settings, quiet)
    with pytest.raises(LeakError, match="negatives share"):
        train(split, (replace(seen, label=None),), TINY, settings, quiet)
    assert not list(tmp_path.iterdir())
    assert hold_out(replace(leaking, leaking=True), (), TINY, SEED).train


def test_clips_that_cannot_be_read_are_left_out_and_named(
    split: Split, weights: Path, tmp_path: Path
) -> None:
    broken = Clip(tmp_path / "v_Diving_g09_c01.mp4", "Diving", "Diving/g09", "v_Diving_g09_c01")
    broken.path.write_bytes(b"not a video")
    recipe = replace(TINY, phases=TINY.phases[:1])
    parts = {"validation": split.train[:4:3], "train": (*split.train[1:3], broken)}
    some = replace(split, **parts)  # type: ignore[arg-type]
    networks = _run(some, recipe, tmp_path / "some", weights).networks
    assert list(networks.failed) == [broken.stem]
    assert str(broken.path) in networks.failed[broken.stem]
    none = replace(some, train=(broken,))
    with pytest.raises(TrainingError, match=r"none of the 1 training clips.*v_Diving_g09_c01"):
        _run(none, recipe, tmp_path / "none", weights)


def test_a_killed_training_leaves_nothing_behind(weights: Path, tmp_path: Path) -> None:
    """SIGKILL with loader threads under way: no process stays, and the run can go on."""
    folder = tmp_path / "run"
    script = Path(end_to_end_training.__file__)
    tests, package = script.parent, Path(actionstream.__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (package, tests)))}
    process = subprocess.Popen(
        [sys.executable, script, tmp_path / "clips", folder, weights],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert any("epoch 3 of" in line for line in process.stdout)  # waits for it
    family = [process, *psutil.Process(process.pid).children(recursive=True)]
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    process.stdout.read()  # ends when nobody holds the pipe any more
    deadline = time.monotonic() + 5
    while any(psutil.pid_exists(one.pid) for one in family):
        assert time.monotonic() < deadline, "a process of the killed training lives on"
        time.sleep(0.05)
    content = torch.load(folder / "frames.ckpt", weights_only=True)
    state = load_checkpoint(folder / "frames.ckpt", content["identity"])
    assert state["epoch"] >= 2
    assert len(state["losses"]) == state["epoch"]


def test_temperatures_of_known_logits() -> None:
    """Logits that are three times too sure are cooled by three."""
    random = np.random.default_rng(0)
    outputs = []
    for number in range(400):
        fair = random.normal(0, 1.5, 3)
        shares = np.exp(fair) / np.exp(fair).sum()
        target = int(random.choice(3, p=shares))
        clip = Clip(Path(f"{number}"), "abc"[target], f"{number}", f"{number}")
        logits = np.repeat(3 * fair[None], 4, axis=0).astype(np.float32)
        outputs.append(ClipOutput(clip, target, logits))
    head = LSTMHead(4, 3, hidden=4)
    ood, plain = calibrate(head, outputs, thresholds=False)
    assert plain.temperatures.reading == pytest.approx(3.0, rel=0.15)
    assert plain.temperatures.file == pytest.approx(1.0, rel=0.05)  # readings alike: nothing left
    assert (plain.threshold, plain.known_threshold) == (0.0, 0.0)
    _, kept = calibrate(head, outputs, thresholds=True)
    assert 1 / 3 < kept.threshold < 1
    assert kept.known_threshold == pytest.approx(kept.threshold, abs=0.01)
    with torch.no_grad():  # the thresholds are of what the graph will say
        said = ood(torch.zeros(4, 16, 4), torch.from_numpy(outputs[0].logits)).numpy()
    assert kept.clip_scores[0] == pytest.approx(said.mean(), abs=1e-5)


def test_clips_that_are_all_right_make_nothing_certain() -> None:
    clip = Clip(Path("a"), "a", "a", "a")
    output = ClipOutput(clip, 0, np.array([[1.0, 0.5], [0.8, 0.7]], dtype=np.float32))
    found = fit_temperatures([output])
    assert (found.reading, found.file) == (1.0, 1.0)


@pytest.fixture(scope="module")
def exported(split: Split, learned: Run) -> Path:
    """The run's folder after the command went on with it: nothing left to train, only to export."""
    settings = Settings(learned.folder, learned.folder, seed=SEED, resume=True)
    bundle = train(split, (), LEARNING, settings, quiet)
    assert bundle.path == learned.folder / "bundle"
    return learned.folder


def test_the_bundle_answers_as_the_networks_that_were_trained(
    exported: Path, learned: Run, split: Split
) -> None:
    model = actionstream.load(exported / "bundle")
    networks, clips = learned.networks, hold_out(split, (), LEARNING, SEED).train
    outputs = read_outputs(networks.encoder, networks.head, clips, split.labels, LEARNING, quiet)
    for output in outputs:
        answer = model.recognize(output.clip.path)
        best = output.logits.mean(axis=0)
        ready = [reading for reading in answer.readings if reading.status == "ready"]
        assert len(ready) == len(output.logits)
        assert answer.top(1)[0].label == split.labels[int(best.argmax())]
        card = model.card
        shares = np.exp(output.logits / card.temperature)
        shares /= shares.sum(axis=1, keepdims=True)
        mean = shares.mean(axis=0) ** (1 / card.file_temperature)
        # features were rounded to half precision
        assert answer.confidence == pytest.approx((mean / mean.sum()).max(), abs=0.01)
        assert 0.34 < answer.confidence < 0.999
    right = [model.recognize(o.clip.path).label == o.clip.label for o in outputs]
    assert sum(right) >= len(right) - 1


def test_the_card_is_honest(exported: Path, split: Split) -> None:
    card = actionstream.load(exported / "bundle").card
    assert card.labels == split.labels
    assert (card.encoder.name, card.head.name) == ("efficientnet_lite0", "lstm")
    assert (card.training.clips, card.training.no_action_clips) == (9, 0)
    assert card.training.clips_per_label == dict.fromkeys(split.labels, 3)
    assert card.training.recipe == json.loads(json.dumps(LEARNING.facts()))
    assert card.training.comparable
    assert card.training.data == (
        "colours: 9 of 12 listed clips, 3 labels, groups g02 to g05; "
        "3 further clips held out by group for calibration"
    )
    figure = card.measured.figures[0]
    assert (figure.name, figure.evaluated, figure.listed) == ("validation top-1", 3, 3)
    assert (card.threshold, card.known_threshold) == (0.0, 0.0)
    assert any('never says "no known action"' in limit for limit in card.limits)
    assert "ImageNet weights" in card.licence.weights
    record = json.loads((exported / "records.jsonl").read_text())
    assert record["bundle"] == actionstream.load(exported / "bundle").fingerprint
    assert len(record["losses"]) == LEARNING.epochs

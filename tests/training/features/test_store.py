"""The feature store: what serving encodes, whole entries only, and a key for all that matters."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import bundles
import clips
import numpy as np
import pytest
import tiny
import torch
import toy
from cli_process import environment
from numpy.typing import NDArray

from actionstream.bundle.card import Card
from actionstream.bundle.folder import Bundle
from actionstream.datasets import Clip, load_negatives
from actionstream.engines.onnx import OnnxEncoder, open_encoder
from actionstream.errors import TrainingError
from actionstream.inference.preprocess import Geometry, fingerprint
from actionstream.inference.sampling import SamplingRule
from actionstream.networks.ood import InferenceHead, build_inference_head
from actionstream.recognizer import Recognizer
from actionstream.training.common.windows import Features, inference_windows, random_windows
from actionstream.training.features import store as store_module
from actionstream.training.features.store import FeatureStore, load_samples

pytestmark = pytest.mark.torch

TESTS = Path(__file__).resolve().parent.parent.parent
HALF = 2.0**-11
"""Features are stored as float16: half a unit in the last of 11 bits, relative."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve clips of other lengths and rates."""
    place = tmp_path_factory.mktemp("clips")
    for number in range(12):
        shown = [clips.picture(i + number) for i in range(20 + 3 * number)]
        clips.make_clip(
            place / f"clip{number:02}.mp4",
            rate=(10, 15, 25)[number % 3],
            frames=len(shown),
            pictures=shown,
        )
    return place


@pytest.fixture(scope="module")
def encoder_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write_encoder(tmp_path_factory.mktemp("encoder") / "encoder.onnx")


@pytest.fixture(scope="module")
def listed(folder: Path) -> tuple[Clip, ...]:
    return load_negatives(folder)


@pytest.fixture(scope="module")
def filled(
    listed: tuple[Clip, ...], encoder_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> FeatureStore:
    """A store with two views of all clips that nobody disturbed."""
    store = toy.open_store(tmp_path_factory.mktemp("store"), encoder_file)
    assert store.fill(listed, range(2)) == []
    return store


def contents(store: FeatureStore) -> dict[str, bytes]:
    """Name and bytes of the arrays of every entry."""
    found = {}
    for path in sorted(store.folder.rglob("*.npz")):
        with np.load(path) as file:
            found[path.name] = file["features"].tobytes() + file["filled"].tobytes()
    return found


class ToyEngine:
    """The toy encoder in front of a real head: what a bundle would serve."""

    name = "onnx"
    device = "cpu"

    def __init__(self, encoder: OnnxEncoder, head: InferenceHead) -> None:
        self._encoder, self._head = encoder, head

    def describe(self) -> str:
        return "toy"

    def encode(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._encoder.encode(images)

    def read(
        self, features: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with torch.inference_mode():
            logits, known = self._head(torch.from_numpy(features))
        return logits.numpy(), known.numpy()


def toy_card() -> Card:
    fields = tiny.tiny_card().model_dump()
    fields |= {
        "encoder": {"name": "toy", "feature_size": toy.FEATURES, "precision": "float32"},
        "geometry": {"input_size": toy.SIZE, "window_fraction": 1.0},
        "spacing_seconds": toy.SPACING,
        "reset_after_seconds": toy.RULE.reset_after_seconds,
        "preprocessing_fingerprint": fingerprint(toy.GEOMETRY, toy.SPACING),
    }
    return Card.model_validate(fields)


def test_the_served_view_gives_the_very_readings_of_recognize(
    filled: FeatureStore, listed: tuple[Clip, ...], encoder_file: Path
) -> None:
    """Same frames, same ticks, same windows; the features differ by their rounding alone."""
    torch.manual_seed(0)
    inference_head = build_inference_head(
        "lstm", toy.FEATURES, 3, {"hidden": 8, "known": "logistic"}
    )
    inference_head.head.fit(torch.rand(30, 16, toy.FEATURES))
    bundles.fill_ood(inference_head.known)
    engine = ToyEngine(open_encoder(encoder_file, threads=1), inference_head)
    model = Recognizer(Bundle(Path("toy"), toy_card(), "0" * 12), engine)  # type: ignore[arg-type]
    compared = 0
    for clip, sample in zip(listed, load_samples(filled, listed, toy.LABELS, 1), strict=True):
        answer = model.recognize(clip.path)
        ready = [one for one in answer.readings if one.status == "ready"]
        logits, known = engine.read(inference_windows(sample, model.card.ready_after))
        shares = np.exp(logits.astype(np.float64) / model.card.temperature)
        shares /= shares.sum(axis=1, keepdims=True)
        assert len(shares) == len(ready)
        np.testing.assert_allclose(
            shares, np.stack([one.probabilities for one in ready]), atol=2e-3
        )
        np.testing.assert_allclose(known, [one.known_score for one in ready], atol=2e-3)
        compared += len(ready)
    assert compared > 100


def test_stored_features_are_those_of_the_encoder_on_the_same_frames(
    encoder_file: Path, tmp_path: Path
) -> None:
    """Frames at 25 a second, ticks every 0.1 s: frames 0, 3, 5, 8, 10, ... are looked at."""
    path = clips.make_clip(tmp_path / "one.mp4", frames=26)
    clip = Clip(path, None, "one", "one")
    store = toy.open_store(tmp_path / "store", encoder_file)
    store.fill([clip], [0])
    looks = store.load(clip)
    assert (looks.looks.dtype, looks.filled.tolist()) == (np.dtype(np.float16), [1] * 11)
    from actionstream.inference.preprocess import preprocess
    from actionstream.video import VideoReader

    with VideoReader(path) as reader:
        shown = [frame.to_rgb() for frame in reader]
    due = [0, 3, 5, 8, 10, 13, 15, 18, 20, 23, 25]
    images = np.stack([preprocess(shown[index], toy.GEOMETRY) for index in due])
    expected = open_encoder(encoder_file, threads=1).encode(images)
    np.testing.assert_allclose(looks.looks.astype(np.float32), expected, rtol=HALF, atol=1e-7)


def test_ticks_repeat_the_look_that_filled_them() -> None:
    features = Features(np.array([[1], [2]], np.float16), np.array([1, 3], np.int16))
    assert features.ticks()[:, 0].tolist() == [1, 2, 2, 2]
    assert features.ends().tolist() == [1, 4]


def test_another_view_is_another_sight_of_the_clip(
    filled: FeatureStore, listed: tuple[Clip, ...]
) -> None:
    for clip in listed:
        plain, other = filled.load(clip, "v0"), filled.load(clip, "v1")
        count = min(len(plain.looks), len(other.looks))
        assert np.abs(plain.looks[:count] - other.looks[:count]).max() > 0.02
    assert len({len(filled.load(clip, "v1").looks) for clip in listed}) > 3


def test_filling_again_does_nothing(filled: FeatureStore, listed: tuple[Clip, ...]) -> None:
    before = {path: path.stat().st_mtime_ns for path in filled.folder.rglob("*.npz")}
    assert len(before) == 24
    reports: list[tuple[Any, ...]] = []
    filled.fill(listed, range(2), progress=lambda *report: reports.append(report))
    assert reports == [(done, 12, "encoding clips") for done in range(1, 13)]
    assert {path: path.stat().st_mtime_ns for path in filled.folder.rglob("*.npz")} == before


def test_a_killed_filling_leaves_whole_entries_and_the_next_one_ends_it(
    filled: FeatureStore,
    folder: Path,
    listed: tuple[Clip, ...],
    encoder_file: Path,
    tmp_path: Path,
) -> None:
    words = [sys.executable, TESTS / "training_to_kill.py", "fill", tmp_path, encoder_file, folder]
    done = subprocess.run(
        words, env=environment(), capture_output=True, timeout=280, check=False, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    store = toy.open_store(tmp_path, encoder_file)
    left = contents(store)
    whole = contents(filled)
    assert 8 <= len(left) < len(whole)  # four clips in two views, and no more than half
    assert left.items() <= whole.items()
    store.fill(listed, range(2))
    assert contents(store) == whole


def test_a_damaged_entry_is_noticed_and_encoded_again(
    filled: FeatureStore, listed: tuple[Clip, ...], encoder_file: Path, tmp_path: Path
) -> None:
    store = toy.open_store(tmp_path, encoder_file)
    store.fill(listed[:3], [0])
    flipped, cut, emptied = (store.path(clip, "v0") for clip in listed[:3])
    data = bytearray(flipped.read_bytes())
    data[len(data) // 2] ^= 1  # inside the features: the archive's directory is untouched
    flipped.write_bytes(data)
    cut.write_bytes(cut.read_bytes()[:-30])
    emptied.write_bytes(b"")
    assert zipfile.is_zipfile(flipped)
    for clip in listed[:3]:
        assert not store.has(clip, "v0")
        with pytest.raises(TrainingError, match="not a stored clip .*; fill the store"):
            store.load(clip, "v0")
    store.fill(listed[:3], [0])
    for clip in listed[:3]:
        assert store.load(clip, "v0").looks.tobytes() == filled.load(clip, "v0").looks.tobytes()


def test_code_in_an_entry_is_not_run(
    listed: tuple[Clip, ...], encoder_file: Path, tmp_path: Path
) -> None:
    store = toy.open_store(tmp_path, encoder_file)
    path = store.path(listed[0], "v0")
    path.parent.mkdir()
    with path.open("wb") as file:
        np.savez(file, features=np.array([print], dtype=object), filled=np.array([1]))
    with pytest.raises(TrainingError, match="not a stored clip"):
        store.load(listed[0])


def test_clips_that_cannot_be_read_are_reported_and_the_others_stored(
    listed: tuple[Clip, ...], encoder_file: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video")
    bad = [Clip(broken, "a", "a", "broken"), Clip(tmp_path / "gone.mp4", "a", "b", "gone")]
    store = toy.open_store(tmp_path / "store", encoder_file)
    failed = store.fill([listed[0], *bad, listed[1]], [0], workers=1)
    assert [one.clip for one in failed] == bad
    assert "broken.mp4: " in failed[0].cause
    assert failed[1].cause == f"{tmp_path / 'gone.mp4'}: no such file"
    assert store.has(listed[0], "v0")
    assert store.has(listed[1], "v0")
    assert not list(store.folder.rglob("*.tmp"))


def test_failures_are_told_in_the_order_of_the_clips(encoder_file: Path, tmp_path: Path) -> None:
    """Whichever thread ends first: the same clips give the same report."""
    bad = [Clip(tmp_path / f"{number}.mp4", None, "g", str(number)) for number in range(40)]
    bad[0].path.write_bytes(bytes(30_000_000))  # the first takes the longest
    bad[7].path.write_bytes(b"not a video")
    store = toy.open_store(tmp_path / "store", encoder_file)
    failed = store.fill(bad, [0], workers=4)
    assert [one.clip for one in failed] == bad


def test_a_clip_of_one_frame_is_stored_in_every_view(encoder_file: Path, tmp_path: Path) -> None:
    """Views other than the one of inference begin at a later phase, where such a clip is over."""
    path = clips.make_clip(tmp_path / "one.mp4", frames=1)
    clip = Clip(path, None, "g", "one")
    store = toy.open_store(tmp_path / "store", encoder_file)
    assert store.fill([clip], range(5)) == []
    for view in range(5):
        looks = store.load(clip, f"v{view}")
        assert looks.looks.shape == (1, toy.FEATURES)
        assert looks.filled.tolist() == [1]
    (sample,) = load_samples(store, [clip], (), 5)
    assert inference_windows(sample, 4).shape == (1, 16, toy.FEATURES)
    assert random_windows([sample], 4, np.random.default_rng(0)).shape == (1, 16, toy.FEATURES)


def test_an_error_that_is_no_clips_fault_ends_the_filling(
    listed: tuple[Clip, ...], encoder_file: Path, tmp_path: Path
) -> None:
    store = toy.open_store(tmp_path / "store", encoder_file)
    (store.folder / store.path(listed[0], "v0").parent.name).write_text("a file in the way")
    with pytest.raises(OSError, match="exists"):
        store.fill(listed[:1], [0])


def test_a_clip_listed_twice_is_stored_once(
    listed: tuple[Clip, ...], encoder_file: Path, tmp_path: Path
) -> None:
    store = toy.open_store(tmp_path, encoder_file)
    assert store.fill([listed[0]] * 6, [0], workers=4) == []
    assert len(contents(store)) == 1


def test_the_key_changes_with_all_that_decides_the_features(
    encoder_file: Path, tmp_path: Path
) -> None:
    brighter = toy.write_encoder(tmp_path / "brighter.onnx", brightness=1.1)
    encoder = open_encoder(encoder_file, threads=1)
    stores = [
        toy.open_store(tmp_path, encoder_file),
        toy.open_store(tmp_path, brighter, encoder=encoder),
        toy.open_store(tmp_path, encoder_file, geometry=Geometry(toy.SIZE, 0.9)),
        toy.open_store(tmp_path, encoder_file, rule=SamplingRule(0.12, 1.5)),
        toy.open_store(tmp_path, encoder_file, rule=replace(toy.RULE, reset_after_seconds=1.0)),
    ]
    assert len({store.folder for store in stores}) == len(stores)
    assert toy.open_store(tmp_path, encoder_file).folder == stores[0].folder


@pytest.mark.parametrize("name", ["VIEWS_VERSION", "VIEWS_SEED"])
def test_the_key_changes_with_the_recipe_of_the_views(
    encoder_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = toy.open_store(tmp_path, encoder_file).folder
    monkeypatch.setattr(store_module, name, getattr(store_module, name) + 1)
    assert toy.open_store(tmp_path, encoder_file).folder != before


def test_an_entry_belongs_to_the_clips_bytes(
    listed: tuple[Clip, ...], encoder_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(listed[0].path.read_bytes())
    clip = Clip(path, None, "g", "clip")
    first = toy.open_store(tmp_path / "store", encoder_file).path(clip, "v0")
    path.write_bytes(listed[1].path.read_bytes())
    assert toy.open_store(tmp_path / "store", encoder_file).path(clip, "v0") != first


def test_threads_of_a_filling_end_with_it(
    listed: tuple[Clip, ...], encoder_file: Path, tmp_path: Path
) -> None:
    toy.open_store(tmp_path, encoder_file).fill(listed[:2], [0], workers=3)
    assert not [one for one in threading.enumerate() if one.name.startswith("store")]

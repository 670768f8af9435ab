"""Bundles from files: complete, opened once, refused as a whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import posing
import pytest
from plain_bundle import plain_bundle

from actionstream.bundle.folder import Bundle, open_bundle
from actionstream.errors import BundleError, TrainingError
from actionstream.training.assemble import assemble, stored_as_float16, with_float16_storage


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundle(posing.pose_bundle(tmp_path_factory.mktemp("assemble") / "bundle"))


def parts(bundle: Bundle, *left_out: str) -> dict[str, Path]:
    return {name: bundle.path / name for name in bundle.card.files if name not in left_out}


def test_the_card_says_what_the_graphs_are(bundle: Bundle) -> None:
    card = bundle.card
    assert set(card.files) == {
        *("encoder.onnx", "head.onnx", "pose.onnx", "person.onnx", "LICENSE-pose.txt")
    }
    assert card.pose is not None
    assert card.pose.feature_size == posing.POSE_SIZE
    assert card.look_size == posing.COLOURS + posing.POSE_SIZE
    assert card.encoder.precision == "float32"
    text = (bundle.path / "README.md").read_text(encoding="utf-8")
    assert card.pose.name in text
    assert card.pose.licence in text
    assert "Apache License" in (bundle.path / "LICENSE-pose.txt").read_text(encoding="utf-8")


def fields(bundle: Bundle) -> dict[str, object]:
    return bundle.card.model_dump(exclude={"files", "pose"}, exclude_unset=True)


def test_files_that_are_missing_or_foreign_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    for files in (
        parts(bundle, "head.onnx"),
        {**parts(bundle), "x.bin": bundle.path / "head.onnx"},
    ):
        with pytest.raises(TrainingError, match=r"head\.onnx|x\.bin"):
            assemble(tmp_path / "new", files, fields(bundle))
    with pytest.raises(BundleError, match=r"person\.onnx"):
        assemble(tmp_path / "new", parts(bundle, "person.onnx"), fields(bundle))
    assert not (tmp_path / "new").exists()


def test_a_head_of_another_size_is_refused_and_nothing_is_written(
    bundle: Bundle, tmp_path: Path
) -> None:
    onnx.save(posing.head(size=100), tmp_path / "head.onnx")
    files = {**parts(bundle), "head.onnx": tmp_path / "head.onnx"}
    with pytest.raises(BundleError, match="the size of its looks is 100, and 239 in the card"):
        assemble(tmp_path / "new", files, fields(bundle))
    assert not (tmp_path / "new").exists()


def test_a_pose_network_with_other_outputs_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    files = {**parts(bundle), "person.onnx": bundle.path / "pose.onnx"}
    with pytest.raises(BundleError, match=r"person\.onnx: its inputs and outputs must be"):
        assemble(tmp_path / "new", files, fields(bundle))


def test_a_bundle_without_a_pose_needs_none_of_it(tmp_path: Path) -> None:
    plain = open_bundle(plain_bundle(tmp_path / "plain"))
    made = assemble(tmp_path / "new", parts(plain), fields(plain))
    assert made.card.pose is None
    assert made.card.preprocessing_fingerprint == plain.card.preprocessing_fingerprint


def test_weights_stored_as_float16_are_half_the_file_and_the_same_arithmetic(
    tmp_path: Path,
) -> None:
    wide = posing.head()
    small = with_float16_storage(wide)
    for name, model in (("wide", wide), ("small", small)):
        onnx.save(model, tmp_path / f"{name}.onnx")
    sizes = [(tmp_path / f"{name}.onnx").stat().st_size for name in ("wide", "small")]
    assert sizes[1] < 0.55 * sizes[0]
    assert [stored_as_float16(tmp_path / f"{name}.onnx") for name in ("wide", "small")] == [
        *(False, True)
    ]
    looks = np.random.default_rng(0).random((3, 16, posing.COLOURS + posing.POSE_SIZE), np.float32)
    outputs = [
        onnxruntime.InferenceSession(tmp_path / f"{name}.onnx").run(None, {"features": looks})
        for name in ("wide", "small")
    ]
    for one, other in zip(*outputs, strict=True):
        np.testing.assert_allclose(one, other, atol=0.02)
        assert one.dtype == other.dtype == np.float32


def test_a_weight_beyond_float16_is_refused() -> None:
    model = posing.head()
    huge = np.full((100, 3), 70_000, np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(huge, "huge"))
    with pytest.raises(ValueError, match="huge: does not fit"):
        with_float16_storage(model)

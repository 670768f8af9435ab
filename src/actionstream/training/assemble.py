"""A bundle from graphs that are there as files: nothing is trained, nothing is exported.

Their weights may be stored as float16: half the file, the same arithmetic in float32. Every large
float32 initializer becomes a float16 one and a Cast in front of its readers, which engines fold
while they load. The numbers are rounded to 11 bits: what is trained on such an encoder's features
must be trained on those of the rounded one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from actionstream.bundle import card as cards
from actionstream.bundle.card import BUNDLE_FILES, OPTIONAL_FILES, POSE_FILES, Card
from actionstream.bundle.folder import Bundle, write_bundle
from actionstream.engines import open_engine
from actionstream.engines.onnx import open_encoder
from actionstream.errors import TrainingError
from actionstream.inference.pose import POSE_SIZE
from actionstream.inference.pose import fingerprint as finder
from actionstream.inference.preprocess import Geometry, fingerprint
from actionstream.inference.sampling import WINDOW

BLAZEPOSE = {
    "name": "BlazePose lite",
    "source": "npm package @mediapipe/pose 0.5.1675469404, converted by scripts/convert_pose.py",
    "licence": "Apache 2.0, see LICENSE-pose.txt",
    "feature_size": POSE_SIZE,
}

LEAST_SIZE = 64
"""Smaller tensors stay as they are: they weigh nothing, and axes or scalars may be among them."""
_LARGEST = float(np.finfo(np.float16).max)


def assemble(
    folder: str | Path,
    files: Mapping[str, Path],
    fields: Mapping[str, Any],
    *,
    overwrite: bool = False,
) -> Bundle:
    """Write a bundle of files, and open it once.

    Args:
        folder: where the bundle shall be.
        files: where each file is, by its name in the bundle: encoder.onnx and head.onnx; pose.onnx,
            person.onnx and LICENSE-pose.txt for a bundle with a pose; what else it shall hold.
        fields: the card as JSON-like values. schema_version, files, pose,
            preprocessing_fingerprint and the encoder's sizes and precision are filled in.
        overwrite: replace a bundle that is there.

    Raises:
        TrainingError: a file that has to be there is not given, or one is not part of a bundle.
        BundleError: the card's fields are not as they must be, the graphs are not those of the
            card, or the place is taken.
    """
    wrong = [*set(BUNDLE_FILES) - set(files), *set(files) - {*BUNDLE_FILES, *OPTIONAL_FILES}]
    if wrong:
        raise TrainingError(f"{folder}: missing, or not part of a bundle: {', '.join(wrong)}")
    given = complete(fields, files)

    def make(place: Path) -> None:
        for name, source in files.items():
            shutil.copyfile(source, place / name)

    def make_card(digests: dict[str, str]) -> Card:
        return cards.parse(json.dumps({**given, "files": digests}), "the card's fields")

    def check(made: Bundle) -> None:
        engine, size = open_engine(made, threads=1), made.card.geometry.input_size
        features = engine.encode(np.zeros((2, size, size, 3), np.uint8))
        looks = np.zeros((2, WINDOW, made.card.look_size), np.float32)
        looks[..., : features.shape[1]] = features[:, None]
        if not all(np.isfinite(output).all() for output in engine.read(looks)):
            raise TrainingError(f"{folder}: a black picture without a person gives no numbers")

    return write_bundle(folder, make, make_card, check=check, overwrite=overwrite)


def complete(fields: Mapping[str, Any], files: Mapping[str, Path]) -> dict[str, Any]:
    """The card's fields but for `files`: those given, and those that follow from the graphs."""
    encoder = open_encoder(files["encoder.onnx"], threads=1)
    window = dict(fields.get("geometry", {})).get("window_fraction", 1.0)
    geometry = Geometry(encoder.input_size, window)
    posed = set(POSE_FILES) & set(files)
    pose = {"pose": {**BLAZEPOSE, "finder": finder()}} if posed else {}
    spacing = fields.get("spacing_seconds", 0.0)
    return {
        **fields,
        **pose,
        "schema_version": cards.SCHEMA_VERSION,
        "encoder": {
            "name": dict(fields.get("encoder", {})).get("name"),
            "feature_size": encoder.feature_size,
            "precision": "float16" if stored_as_float16(files["encoder.onnx"]) else "float32",
        },
        "geometry": {"input_size": encoder.input_size, "window_fraction": window},
        "preprocessing_fingerprint": fingerprint(geometry, spacing, finder() if posed else None),
    }


def with_float16_storage(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` that keeps its large weights as float16; inputs and outputs as before.

    Raises:
        ValueError: a weight does not fit into float16 (above 65,504).
    """
    small = onnx.ModelProto()
    small.CopyFrom(model)
    kept, casts = [], []
    for tensor in small.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < LEAST_SIZE:
            kept.append(tensor)
            continue
        if not np.abs(values).max() <= _LARGEST:
            raise ValueError(f"{tensor.name}: does not fit into float16")
        stored = f"{tensor.name}_f16"
        kept.append(numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(helper.make_node("Cast", [stored], [tensor.name], to=TensorProto.FLOAT))
    nodes = list(small.graph.node)
    del small.graph.initializer[:], small.graph.node[:]
    small.graph.initializer.extend(kept)
    small.graph.node.extend([*casts, *nodes])
    onnx.checker.check_model(small, full_check=True)
    return small


def stored_as_float16(path: Path) -> bool:
    """Whether a graph keeps weights so."""
    tensors = onnx.load(path, load_external_data=False).graph.initializer
    return any(tensor.data_type == TensorProto.FLOAT16 for tensor in tensors)

"""Training in small: an encoder of one pooling layer, and clips that are only features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from actionstream.datasets import Clip, make_folds, training_folds
from actionstream.engines.onnx import OnnxEncoder, open_encoder
from actionstream.inference.preprocess import Geometry
from actionstream.inference.sampling import SamplingRule
from actionstream.networks.heads import build_head
from actionstream.training.common.recipe import FeatureRecipe
from actionstream.training.common.windows import Sample
from actionstream.training.features.closed_form import HeadLayers, closed_form
from actionstream.training.features.store import FeatureStore
from actionstream.training.features.train import Prepared

SIZE = 16
FEATURES = 48  # 4 x 4 mean colours
SPACING = 0.1
GEOMETRY = Geometry(SIZE)
RULE = SamplingRule(SPACING, 15 * SPACING)
LABELS = ("a", "b", "c")

RECIPE = FeatureRecipe(
    "toy",
    "none",
    spacing_seconds=SPACING,
    ready_after=4,
    views=2,
    options={"hidden": 8, "dropout": 0.1},
    epochs=12,
    batch_size=16,
    learning_rate=1e-2,
    average_decay=0.9,
    folds=3,
)


def write_encoder(path: Path, *, brightness: float = 1.0) -> Path:
    """An encoder.onnx whose features are mean colours (0..1) of a 4 x 4 grid."""
    part = SIZE // 4
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "AveragePool", ["planes"], ["pooled"], kernel_shape=[part] * 2, strides=[part] * 2
        ),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Mul", ["flat", "factor"], ["features"]),
    ]
    factor = np.array(brightness / 255, np.float32)
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", FEATURES])],
        [onnx.numpy_helper.from_array(factor, "factor")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


def open_store(
    root: Path,
    encoder_file: Path,
    *,
    geometry: Geometry = GEOMETRY,
    rule: SamplingRule = RULE,
    encoder: OnnxEncoder | None = None,
) -> FeatureStore:
    opened = encoder or open_encoder(encoder_file, threads=1)
    return FeatureStore(root, opened, encoder_file, geometry, rule)


def made_sample(
    number: int, target: int | None, rows: NDArray[np.floating], *, group: str | None = None
) -> Sample:
    """A sample whose two views are these ticks [T, D], and the same with a little noise."""
    label = None if target is None else LABELS[target]
    stem = f"v_{label}_{number:03}"
    clip = Clip(Path(f"{stem}.mp4"), label, group or f"{label}/{number // 2}", stem)
    noise = np.random.default_rng(number).normal(0, 0.05, rows.shape)
    views = (rows.astype(np.float16), (rows + noise).astype(np.float16))
    return Sample(clip, target, views, np.arange(1, len(rows) + 1))


def clusters(
    each: int = 8, *, negatives: int = 0, seed: int = 0, spread: float = 0.4, first: int = 0
) -> list[Sample]:
    """`each` clips of three actions, apart from each other, and `negatives` far from them."""
    random = np.random.default_rng(seed)
    centres = np.eye(3, 6) * 3
    samples = []
    for target, centre in enumerate(centres):
        for number in range(first, first + each):
            rows = centre + random.normal(0, spread, (20, 6))
            samples.append(made_sample(100 * target + number, target, rows))
    for number in range(first, first + negatives):
        rows = np.array([1, 1, 1, 4, -4, 4]) + random.normal(0, spread, (20, 6))
        samples.append(made_sample(900 + number, None, rows))
    return samples


def mirrored_pairs(pairs: int = 24, *, seed: int = 0) -> list[Sample]:
    """Two actions that are each other backwards: every pair has one mean look, another order."""
    random = np.random.default_rng(seed)
    way = np.linspace(-1, 1, 16)[:, None] * np.array([1.5, -1.5, 0, 0])
    samples = []
    for number in range(pairs):
        rows = way + random.normal(0, 0.3, (16, 4))
        samples += [made_sample(2 * number, 0, rows), made_sample(2 * number + 1, 1, rows[::-1])]
    return [replace(one, views=one.views[:1]) for one in samples]


def with_targets(samples: Sequence[Sample]) -> list[Sample]:
    return [sample for sample in samples if sample.target is not None]


def solved(
    samples: Sequence[Sample],
    recipe: FeatureRecipe = RECIPE,
    *,
    num_classes: int = 3,
    seed: int = 0,
) -> HeadLayers:
    """The closed-form layers of a head that is trained on all of these samples."""
    folds = make_folds([sample.clip for sample in samples], folds=recipe.folds, seed=seed)
    size = samples[0].views[0].shape[1]
    head = build_head(recipe.head, size, num_classes, **recipe.options)
    return closed_form(head, samples, folds, recipe).layers(None)


def prepared(
    samples: Sequence[Sample],
    recipe: FeatureRecipe = RECIPE,
    *,
    num_classes: int = 3,
    seed: int = 0,
) -> Prepared:
    """These samples as a run has them after encoding; the encoder is not needed any more."""
    labels = [*LABELS, "d"][:num_classes]
    clips = [sample.clip for sample in samples]
    folds = training_folds(clips, labels, folds=recipe.folds, seed=seed)
    head = build_head(recipe.head, samples[0].views[0].shape[1], num_classes, **recipe.options)
    nothing: Any = None
    return Prepared(list(samples), folds, nothing, GEOMETRY, head, None)

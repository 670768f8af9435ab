#!/usr/bin/env python3
"""BlazePose's two networks as plain ONNX graphs: `pose.onnx` and `person.onnx`.

Both come from one public package, npm's `@mediapipe/pose` (Google, Apache 2.0, version
0.5.1675469404): `pose_landmark_lite.tflite`, and `pose_detection.tflite`, which is the whole of
`pose_solution_packed_assets.data`. TensorFlow is needed, so give this an environment of its own;
nothing of it becomes a dependency of the package::

    npm pack @mediapipe/pose@0.5.1675469404
    python3.11 -m venv venv-pose
    venv-pose/bin/pip install tensorflow-cpu==2.15.1 tf2onnx==1.16.1 onnx==1.16.2 \\
        onnxruntime==1.20.1 "numpy<2"
    venv-pose/bin/python scripts/convert_pose.py mediapipe-pose-0.5.1675469404.tgz OUT

The graphs take a batch of any size and store their weights as float16, which is what the tflite
files hold, with a Cast to float32 that ONNX Runtime folds when it opens them::

    pose.onnx    crops      uint8   [N, 256, 256, 3]  RGB, the person upright
                 landmarks  float32 [N, 39, 4]        x, y, z as fractions of the crop's side
                                                      (z from the hips on, smaller is nearer) and
                                                      visibility 0..1; the last six are MediaPipe's
                                                      auxiliary points, 33 and 34 its next region
                 world      float32 [N, 39, 3]        metres from the hips, in the crop's axes
                 score      float32 [N]               whether a person is in the crop, 0..1
    person.onnx  images     uint8   [N, 224, 224, 3]  RGB, the frame in a square, rest black
                 people     float32 [N, 2254, 4]      middle of the hips (x, y) and a point on the
                                                      circle around the body (x, y), as fractions
                                                      of the input's side, one row an anchor
                 scores     float32 [N, 2254]         0..1

At the end both are compared with TensorFlow's own interpreter on noise.
"""

from __future__ import annotations

import argparse
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

import flatbuffers
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx.convert
from onnx import TensorProto, helper, numpy_helper
from tensorflow.lite.python import schema_py_generated as schema

LANDMARKS_FILE = "package/pose_landmark_lite.tflite"
DETECTOR_FILE = "package/pose_solution_packed_assets.data"

OPSET, IR_VERSION = 17, 8
LANDMARKS, CROP_SIDE = 39, 256

IMAGE_SIDE = 224
ANCHOR_GRIDS = ((28, 2), (14, 2), (7, 6))
"""Cells a side and anchors a cell, coarser and coarser: strides 8, 16 and three times 32."""


def interpreter(tflite: bytes) -> tf.lite.Interpreter:
    """TensorFlow's interpreter without delegates, which hands out every tensor."""
    made = tf.lite.Interpreter(
        model_content=tflite,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    made.allocate_tensors()
    return made


def interpret(runner: tf.lite.Interpreter, image: np.ndarray) -> list[np.ndarray]:
    """The outputs for one float32 picture [1, S, S, 3]."""
    runner.set_tensor(runner.get_input_details()[0]["index"], image)
    runner.invoke()
    return [runner.get_tensor(one["index"]) for one in runner.get_output_details()]


def densify(tflite: bytes) -> bytes:
    """The model with its sparse weights written out, which tf2onnx does not read."""
    model = schema.ModelT.InitFromPackedBuf(tflite, 0)
    (graph,) = model.subgraphs
    sparse = [
        operator
        for operator in graph.operators
        if model.operatorCodes[operator.opcodeIndex].builtinCode == schema.BuiltinOperator.DENSIFY
    ]
    if not sparse:
        return tflite
    runner = interpreter(tflite)
    shape = runner.get_input_details()[0]["shape"]
    interpret(runner, np.zeros(shape, np.float32))
    for operator in sparse:
        weights, dense = operator.inputs[0], operator.outputs[0]
        values = runner.get_tensor(dense)
        model.buffers.append(schema.BufferT())
        model.buffers[-1].data = np.frombuffer(values.tobytes(), np.uint8)
        graph.tensors[weights].buffer = len(model.buffers) - 1
        graph.tensors[weights].sparsity = None
        for reader in graph.operators:
            reader.inputs = [weights if one == dense else one for one in reader.inputs]
    graph.operators = [operator for operator in graph.operators if operator not in sparse]
    builder = flatbuffers.Builder(len(tflite) * 2)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def to_onnx(tflite: bytes, outputs: list[str]) -> onnx.ModelProto:
    """The part of the model that these outputs need, as float32 ONNX."""
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(tflite)
        file.flush()
        model, _ = tf2onnx.convert.from_tflite(file.name, opset=OPSET)
    part = onnx.utils.Extractor(model).extract_model(["input_1"], outputs)
    for tensor in part.graph.initializer:
        if tensor.data_type == TensorProto.INT64:
            free_batch(tensor)
    return part


def free_batch(shape: onnx.TensorProto) -> None:
    """Let a Reshape's target [1, -1, D] keep the batch: 0 copies the dimension."""
    values = numpy_helper.to_array(shape)
    if values.ndim == 1 and values.tolist()[:2] == [1, -1]:
        freed = np.array([0, *values[1:]], np.int64)
        shape.CopyFrom(numpy_helper.from_array(freed, shape.name))


class Graph:
    """A converted graph whose front and back are replaced by our own."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.body = model.graph
        self.front: list[onnx.NodeProto] = []
        self.back: list[onnx.NodeProto] = []

    def constant(self, name: str, values: object, dtype: type) -> str:
        self.body.initializer.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def add(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.back.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def slice(self, source: str, start: int, end: int, output: str) -> str:
        """A part of the last axis of three."""
        bounds = [
            self.constant(f"{output}_{word}", [value], np.int64)
            for word, value in (("start", start), ("end", end), ("axis", 2))
        ]
        return self.add("Slice", [source, *bounds], output)

    def take_pixels(self, name: str, scale: float, offset: float) -> None:
        """Let the graph start with uint8 pixels: pixel x scale + offset."""
        factors = [
            self.constant("pixel_scale", scale, np.float32),
            self.constant("pixel_offset", offset, np.float32),
        ]
        self.front += [
            helper.make_node("Cast", [name], ["pixels"], "pixels", to=TensorProto.FLOAT),
            helper.make_node("Mul", ["pixels", factors[0]], ["scaled"], "scaled"),
            helper.make_node("Add", ["scaled", factors[1]], ["input_1"], "input_1"),
        ]

    def model(
        self, name: str, inputs: dict[str, list[int]], outputs: dict[str, list[int]]
    ) -> onnx.ModelProto:
        """The checked model; shapes are given without the batch."""
        nodes = [*self.front, *self.body.node, *self.back]
        tensors = number_tensors(nodes, self.body.initializer, {*inputs, *outputs})
        weights, casts = half_weights(tensors)
        nodes = [*casts, *nodes]
        taken = [_value(name, TensorProto.UINT8, shape) for name, shape in inputs.items()]
        given = [_value(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
        graph = helper.make_graph(nodes, name, taken, given, weights)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            doc_string="BlazePose, Google, Apache 2.0, converted from npm @mediapipe/pose",
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def _value(name: str, kind: int, shape: list[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, ["N", *shape])


def number_tensors(
    nodes: list[onnx.NodeProto], initializers: Iterable[onnx.TensorProto], kept: set[str]
) -> list[onnx.TensorProto]:
    """The initializers in order of use, everything but `kept` named by a number.

    tf2onnx's own names and order differ from run to run, and so would the file's hash.
    """
    numbers = {name: name for name in kept}
    for node in nodes:
        for names in (node.input, node.output):
            names[:] = [numbers.setdefault(one, f"t{len(numbers)}") for one in names]
        node.name = node.output[0]
    used = {numbers[one.name]: one for one in initializers if one.name in numbers}
    for name, tensor in used.items():
        tensor.name = name
    return sorted(used.values(), key=lambda tensor: int(tensor.name[1:]))


def half_weights(
    tensors: list[onnx.TensorProto],
) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]]:
    """The weights, as float16 where that changes no value, and the casts back."""
    weights, casts = [], []
    for tensor in tensors:
        values = numpy_helper.to_array(tensor)
        halves = values.astype(np.float16)
        if values.dtype == np.float32 and values.size > 4 and np.array_equal(values, halves):
            stored = tensor.name + "_half"
            casts.append(helper.make_node("Cast", [stored], [tensor.name], to=TensorProto.FLOAT))
            tensor = numpy_helper.from_array(halves, stored)
        weights.append(tensor)
    return weights, casts


def convert_landmarks(tflite: bytes) -> onnx.ModelProto:
    """pose.onnx: points, visibility and score; no mask, no heatmap."""
    graph = Graph(to_onnx(tflite, ["Identity", "Identity_1", "Identity_4"]))
    graph.take_pixels("crops", 1 / 255, 0.0)
    rows = graph.constant("rows", [-1, LANDMARKS, 5], np.int64)
    points = graph.add("Reshape", ["Identity", rows], "points")
    side = graph.constant("side", 1 / CROP_SIDE, np.float32)
    place = graph.add("Mul", [graph.slice(points, 0, 3, "place_pixels"), side], "place")
    seen = graph.add("Sigmoid", [graph.slice(points, 3, 4, "seen_logit")], "seen")
    graph.add("Concat", [place, seen], "landmarks", axis=2)
    metres = graph.constant("metres", [-1, LANDMARKS, 3], np.int64)
    graph.add("Reshape", ["Identity_4", metres], "world")
    graph.add("Reshape", ["Identity_1", graph.constant("flat", [-1], np.int64)], "score")
    outputs = {"landmarks": [LANDMARKS, 4], "world": [LANDMARKS, 3], "score": []}
    return graph.model("pose", {"crops": [CROP_SIDE, CROP_SIDE, 3]}, outputs)


def anchors() -> np.ndarray:
    """Centres of the anchors, float32 [2254, 2], in fractions of the input's side."""
    rows = []
    for cells, each in ANCHOR_GRIDS:
        middles = (np.arange(cells) + 0.5) / cells
        grid = np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2)
        rows.append(np.repeat(grid, each, axis=0))
    return np.concatenate(rows).astype(np.float32)


def convert_detector(tflite: bytes) -> onnx.ModelProto:
    """person.onnx: the first two of the detector's four points, and the score, per anchor."""
    graph = Graph(to_onnx(densify(tflite), ["Identity", "Identity_1"]))
    graph.take_pixels("images", 1 / 127.5, -1.0)
    anchor = graph.constant("anchors", np.tile(anchors(), 2), np.float32)
    points = graph.slice("Identity", 4, 8, "points_pixels")
    side = graph.constant("side", 1 / IMAGE_SIDE, np.float32)
    graph.add("Add", [graph.add("Mul", [points, side], "points"), anchor], "people")
    rows = graph.constant("rows", [-1, len(anchors())], np.int64)
    graph.add("Sigmoid", [graph.add("Reshape", ["Identity_1", rows], "logits")], "scores")
    outputs = {"people": [len(anchors()), 4], "scores": [len(anchors())]}
    return graph.model("person", {"images": [IMAGE_SIDE, IMAGE_SIDE, 3]}, outputs)


def compare(name: str, got: list[np.ndarray], wanted: list[np.ndarray], unit: float) -> None:
    """Print the largest difference, in pixels of the input for places, and fail on a large one."""
    for mine, theirs in zip(got, wanted, strict=True):
        difference = float(np.abs(mine - theirs).max()) * unit
        print(f"{name}: largest difference {difference:.5f}")
        if difference > 0.05:
            raise SystemExit(f"{name}: the graph does not say what the tflite file says")


def check_landmarks(path: Path, tflite: bytes, crops: np.ndarray) -> None:
    """Compare pose.onnx, fed the whole batch, with the interpreter, fed one by one."""
    runner = interpreter(tflite)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    landmarks, world, score = session.run(["landmarks", "world", "score"], {"crops": crops})
    for index, crop in enumerate(crops):
        points, flag, _, _, metres = interpret(runner, crop[None].astype(np.float32) / 255)
        points = points.reshape(LANDMARKS, 5)
        seen = 1 / (1 + np.exp(-points[:, 3]))
        pixels = landmarks[index, :, :3] * CROP_SIDE
        compare("pose, pixels of 256", [pixels], [points[:, :3]], 1)
        compare("pose, visibility", [landmarks[index, :, 3]], [seen], 1)
        compare("pose, metres", [world[index]], [metres.reshape(LANDMARKS, 3)], 1)
        compare("pose, score", [score[index]], [flag[0, 0]], 1)


def check_detector(path: Path, tflite: bytes, images: np.ndarray) -> None:
    """The same for person.onnx."""
    runner = interpreter(tflite)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    people, scores = session.run(["people", "scores"], {"images": images})
    for index, image in enumerate(images):
        boxes, logits = interpret(runner, image[None].astype(np.float32) / 127.5 - 1)
        points = boxes[0, :, 4:8] / IMAGE_SIDE + np.tile(anchors(), 2)
        likely = 1 / (1 + np.exp(-logits[0, :, 0].astype(float)))
        compare("person, pixels of 224", [people[index]], [points], IMAGE_SIDE)
        compare("person, score", [scores[index]], [likely], 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path, help="mediapipe-pose-0.5.1675469404.tgz")
    parser.add_argument("out", type=Path, help="folder of the two graphs")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tarfile.open(options.package) as package:
        landmarks, detector = (
            package.extractfile(name).read() for name in (LANDMARKS_FILE, DETECTOR_FILE)
        )
    pose, person = options.out / "pose.onnx", options.out / "person.onnx"
    onnx.save(convert_landmarks(landmarks), pose)
    onnx.save(convert_detector(detector), person)
    random = np.random.default_rng(0)
    for count in (1, 2, 5):
        shape = (count, CROP_SIDE, CROP_SIDE, 3)
        check_landmarks(pose, landmarks, random.integers(0, 256, shape, np.uint8))
        shape = (count, IMAGE_SIDE, IMAGE_SIDE, 3)
        check_detector(person, detector, random.integers(0, 256, shape, np.uint8))


if __name__ == "__main__":
    main()

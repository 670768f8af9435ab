"""Inputs, outputs and dangers of an ONNX file, read without a library: only what a check needs.

ONNX files are protocol buffers: fields of (number, wire type) and a value. The numbers below are
those of onnx.proto3, which never change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FLOAT, UINT8 = 1, 2
"""TensorProto.DataType."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_EXTERNAL = 1
"""TensorProto.DataLocation."""

Field = tuple[int, int | memoryview]
Shape = tuple[int | str, ...]
"""A dimension that can vary has a name, or ""."""


class NotOnnxError(ValueError):
    """The bytes are not an ONNX model."""


@dataclass(frozen=True, slots=True)
class Value:
    """An input or output: name, element type, shape."""

    name: str
    element_type: int
    shape: Shape


@dataclass(slots=True)
class OnnxFacts:
    """What the check needs to know. `external` names tensors whose data lie in other files."""

    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    domains: set[str] = field(default_factory=set)
    external: list[str] = field(default_factory=list)


def read_facts(path: Path) -> OnnxFacts:
    """The facts of an ONNX file.

    Raises:
        NotOnnxError: it is none.
    """
    try:
        return _read_model(memoryview(path.read_bytes()))
    except RecursionError:
        raise NotOnnxError("graphs nested too deeply") from None


def _read_model(model: memoryview) -> OnnxFacts:
    facts, graphs = OnnxFacts(), 0
    for number, value in _fields(model):
        if number == 7:  # ModelProto.graph
            graphs += 1
            _read_graph(_message(value), facts)
        elif number == 25:  # ModelProto.functions
            _read_nodes(_message(value), 7, facts)
    if graphs != 1:
        raise NotOnnxError("not an ONNX model")
    return facts


def _read_graph(graph: memoryview, facts: OnnxFacts) -> None:
    initialised = set()
    inputs: list[Value] = []
    for number, value in _fields(graph):
        if number == 5:  # GraphProto.initializer
            initialised.add(_read_tensor(_message(value), facts))
        elif number == 11:  # GraphProto.input
            inputs.append(_value(_message(value)))
        elif number == 12:  # GraphProto.output
            facts.outputs.append(_value(_message(value)))
        elif number == 15:  # GraphProto.sparse_initializer
            facts.external.append("a sparse tensor")
    facts.inputs.extend(value for value in inputs if value.name not in initialised)
    _read_nodes(graph, 1, facts)


def _read_nodes(message: memoryview, node_number: int, facts: OnnxFacts) -> None:
    """Domains of the nodes, and tensors and graphs in their attributes."""
    for number, node in _fields(message):
        if number != node_number:
            continue
        for part, value in _fields(_message(node)):
            if part == 7:  # NodeProto.domain
                facts.domains.add(_text(value))
            elif part == 5:  # NodeProto.attribute
                _read_attribute(_message(value), facts)


def _read_attribute(attribute: memoryview, facts: OnnxFacts) -> None:
    for number, value in _fields(attribute):
        if number in (5, 10):  # AttributeProto.t, tensors
            _read_tensor(_message(value), facts)
        elif number in (6, 11):  # AttributeProto.g, graphs: their values are not the model's
            inner = OnnxFacts()
            _read_graph(_message(value), inner)
            facts.domains |= inner.domains
            facts.external += inner.external


def _read_tensor(tensor: memoryview, facts: OnnxFacts) -> str:
    name, external = "", False
    for number, value in _fields(tensor):
        if number == 8:  # TensorProto.name
            name = _text(value)
        elif number == 13 or (number == 14 and value == _EXTERNAL):  # external_data, data_location
            external = True
    if external:
        facts.external.append(name or "a tensor")
    return name


def _value(message: memoryview) -> Value:
    name, element_type = "", 0
    shape: Shape = ()
    for number, value in _fields(message):
        if number == 1:  # ValueInfoProto.name
            name = _text(value)
        elif number == 2:  # ValueInfoProto.type
            element_type, shape = _tensor_type(_message(value))
    return Value(name, element_type, shape)


def _tensor_type(message: memoryview) -> tuple[int, Shape]:
    element_type = 0
    shape: list[int | str] = []
    for number, tensor_type in _fields(message):
        if number != 1:  # TypeProto.tensor_type
            continue
        for part, value in _fields(_message(tensor_type)):
            if part == 1 and isinstance(value, int):
                element_type = value
            elif part == 2:
                shape = [_dimension(_message(d)) for n, d in _fields(_message(value)) if n == 1]
    return element_type, tuple(shape)


def _dimension(message: memoryview) -> int | str:
    for number, value in _fields(message):
        if number == 1 and isinstance(value, int):
            return value
        if number == 2:
            return _text(value)
    return ""


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise NotOnnxError("not an ONNX model")
    return value


def _text(value: int | memoryview) -> str:
    return bytes(_message(value)).decode("utf-8", errors="replace")


def _fields(message: memoryview) -> Iterator[Field]:
    """The fields of one message, in order. Values of fixed width are passed over."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
        elif wire == _BYTES:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise NotOnnxError("not an ONNX model, or cut off")
            yield number, message[at : at + length]
            at += length
        elif wire in (_FIXED32, _FIXED64):
            at += 4 if wire == _FIXED32 else 8
        else:
            raise NotOnnxError("not an ONNX model")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    result = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        result |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return result, at
    raise NotOnnxError("not an ONNX model, or cut off")

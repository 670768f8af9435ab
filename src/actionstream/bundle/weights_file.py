"""Names, types and shapes in weights.safetensors, read without a library and without a tensor.

A safetensors file is eight bytes of length, a header in JSON, then the numbers. What the head's
tensors must be follows from the card; the encoder's are its library's, and are compared with the
network when the torch engine loads them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from actionstream.bundle.card_parts import HeadCard

Shape = tuple[int | None, ...]
"""None where the card does not tell the size."""

_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1}
_BYTES |= {"U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}
_REAL = ("F64", "F32", "F16", "BF16")
_PARTS = {"encoder", "head", "known"}
_NUM_STATISTICS = 6
"""Of the logistic known score; see `actionstream.networks.known.STATISTICS`."""


class NotSafetensorsError(ValueError):
    """The bytes are not a safetensors file."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One entry of the header: type, shape, and where its bytes lie behind the header."""

    kind: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors that a safetensors file announces, by name.

    Raises:
        NotSafetensorsError: it is none, or its tensors do not fill it exactly.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        text = stream.read(length) if length <= size - 8 else b""
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):  # the latter: brackets nested without end
        header = None
    if not isinstance(header, dict):
        raise NotSafetensorsError("not a safetensors file")
    header.pop("__metadata__", None)
    tensors = {name: _tensor(name, entry) for name, entry in header.items()}
    _check_filled(tensors, size - 8 - length)
    return tensors


def _tensor(name: str, entry: object) -> Tensor:
    match entry:
        case {"dtype": str(kind), "shape": list(shape), "data_offsets": [start, end]} if (
            kind in _BYTES and all(_is_count(number) for number in (*shape, start, end))
        ):
            if end - start == _BYTES[kind] * math.prod(shape):
                return Tensor(kind, tuple(shape), start, end)
    raise NotSafetensorsError(f"not a safetensors file: its header is wrong about {name!r:.80}")


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 48


def _check_filled(tensors: Mapping[str, Tensor], size: int) -> None:
    """Tensors lie one after the other and end where the file ends."""
    spans = sorted((tensor.start, tensor.end) for tensor in tensors.values())
    joints = [(0, 0), *spans, (size, size)]
    if any(one[1] != other[0] for one, other in pairwise(joints)):
        raise NotSafetensorsError("its tensors do not fill it: cut off, or its header is wrong")


def tensor_problems(
    tensors: Mapping[str, Tensor],
    head: HeadCard | None,
    feature_size: int | None,
    num_labels: int | None,
) -> Iterator[str]:
    """What is wrong with the tensors' names, types and shapes, given what is known of the card.

    Args:
        tensors: by name.
        head: its name and options; None, another head than ours or impossible options: only the
            parts' names are looked at.
        feature_size: D, None if not known.
        num_labels: K, None if not known.
    """
    parts = {name.partition(".")[0] for name in tensors}
    if not parts >= {"encoder", "head"} or parts - _PARTS:
        yield f"tensors must be named encoder.*, head.* and known.*, got {sorted(parts)}"
        return
    expected = None if head is None else served_shapes(head, feature_size, num_labels)
    if expected is None:
        return
    wrong = list(_misfits(tensors, expected))
    if wrong:
        yield f"does not hold the head of the card: {', '.join(wrong)}"


def _misfits(tensors: Mapping[str, Tensor], expected: Mapping[str, Shape]) -> Iterator[str]:
    served = {name for name in tensors if not name.startswith("encoder.")}
    for name in sorted(served | set(expected)):
        if name not in expected:
            yield f"{name} is not part of it"
        elif name not in tensors:
            yield f"{name} is missing"
        elif not _fits(tensors[name].shape, expected[name]):
            yield f"{name} must be {_listed(expected[name])}, got {_listed(tensors[name].shape)}"
        elif tensors[name].kind not in _REAL:
            yield f"{name} holds {tensors[name].kind}, not floating-point numbers"


def _fits(shape: Shape, expected: Shape) -> bool:
    pairs = zip(shape, expected, strict=False)
    return len(shape) == len(expected) and all(want in (None, got) for got, want in pairs)


def _listed(shape: Shape) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"


def served_shapes(
    head: HeadCard, feature_size: int | None, num_labels: int | None
) -> dict[str, Shape] | None:
    """The tensors of head and known score by name, as `build_served_head` would make them.

    None for a head that is not known here, or options that no head can have.
    """
    options = _Options(head.options)
    try:
        if head.name == "lstm":
            shapes = dict(_lstm_shapes(options, feature_size, num_labels))
        elif head.name == "mean":
            shapes = dict(_direct_shapes(options, feature_size, num_labels))
        else:
            return None
        return shapes | dict(_known_shapes(options, feature_size, num_labels))
    except _OptionError:
        return None


class _OptionError(ValueError):
    """An option of another type, or a size beyond reason."""


class _Options:
    """The card's head.options, each of the type that is asked for, with the head's defaults."""

    def __init__(self, options: Mapping[str, int | float | bool | str]) -> None:
        self._options = options

    def flag(self, name: str, default: bool = False) -> bool:
        value = self._options.get(name, default)
        if type(value) is not bool:
            raise _OptionError(name)
        return value

    def count(self, name: str, default: int, *, most: int = 1 << 20) -> int:
        value = self._options.get(name, default)
        if type(value) is not int or not 0 <= value <= most:
            raise _OptionError(name)
        return value

    def word(self, name: str, default: str) -> str:
        return str(self._options.get(name, default))


def _linear(name: str, outputs: int | None, inputs: int | None) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _times(factor: int, size: int | None) -> int | None:
    return None if size is None else factor * size


def _direct_shapes(
    options: _Options, features: int | None, labels: int | None
) -> Iterator[tuple[str, Shape]]:
    parts = 1 + options.flag("differences") + options.flag("deviation")
    yield from _linear("head.direct", labels, _times(parts, features))


def _lstm_shapes(
    options: _Options, features: int | None, labels: int | None
) -> Iterator[tuple[str, Shape]]:
    if options.flag("direct", default=True):
        yield from _direct_shapes(options, features, labels)
    evidence = options.flag("evidence")
    if evidence:
        yield from _linear("head.evidence", labels, _times(2, features))
    read = labels if evidence else features
    if options.word("normalise", "standard") == "standard":
        yield "head.front.mean", (read,)
        yield "head.front.std", (read,)
    project = options.count("project", 0)
    if project:
        yield from _linear("head.project", project, read)
    hidden = options.count("hidden", 128)
    for layer in range(options.count("layers", 1, most=64)):
        inputs = hidden if layer else project or read
        yield f"head.lstm.weight_ih_l{layer}", (4 * hidden, inputs)
        yield f"head.lstm.weight_hh_l{layer}", (4 * hidden, hidden)
        yield f"head.lstm.bias_ih_l{layer}", (4 * hidden,)
        yield f"head.lstm.bias_hh_l{layer}", (4 * hidden,)
    yield from _linear("head.linear", labels, hidden)


def _known_shapes(
    options: _Options, features: int | None, labels: int | None
) -> Iterator[tuple[str, Shape]]:
    kind = options.word("known", "max_probability")
    yield "known.temperature", ()
    if kind == "energy":
        yield from (("known.centre", ()), ("known.width", ()))
    if kind == "logistic":
        size = options.count("known_projection", 32)
        yield from (("known.feature_mean", (features,)), ("known.feature_std", (features,)))
        yield from (("known.projection", (features, size)), ("known.class_means", (labels, size)))
        for name in ("statistic_mean", "statistic_std", "weight"):
            yield f"known.{name}", (_NUM_STATISTICS,)
        yield "known.bias", ()

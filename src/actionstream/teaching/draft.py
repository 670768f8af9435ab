"""A head in the making: its labels, its last layers, its memory; actions go in and out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from actionstream.bundle.memory import LARGEST_BYTES, Memory, quantise
from actionstream.errors import DatasetError
from actionstream.teaching.head import Layer, Probe, rounded
from actionstream.teaching.solve import Rows, members, solve

Floats = NDArray[np.float32]
Ints = NDArray[np.integer]

TAUGHT_WEIGHT = 200.0
"""Of all clips of a taught action together; a full action of the shipped bundles has about 75."""
NOTHING_WEIGHT = 5.0
"""Of one clip of nothing."""
FREELY = 5
"""So many new actions are balanced with the old ones as equals."""
UNCLEAR, HELD_BACK = 0.25, -1.0
"""An action of which fits without the source name a smaller share is told from others by its places
alone: old actions do not give way to it, and at most this is added to its score."""
_BALANCE_PENALTY = 0.1
_BALANCE_STEPS = 200
_KEPT_WINDOW_BYTES = 64


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """labels: K.   layers: last layers with K + 1 scores, the last that of no known action.
    memory: of these labels.   taught: those labels that were taught.   num_known: of labels."""

    labels: tuple[str, ...]
    layers: Mapping[str, Layer]
    memory: Memory
    taught: tuple[str, ...] = ()

    def forget(self, labels: Sequence[str]) -> Draft:
        """Without these actions; the scores of the others stay what they are.

        Raises:
            DatasetError: it does not know one of them, or would know none.
        """
        self._check_known(labels)
        kept = [i for i, label in enumerate(self.labels) if label not in labels]
        if not kept:
            raise DatasetError("a model that knows no action is none: nothing would be left")
        scores = [*kept, len(self.labels)]
        number = np.full(len(self.labels) + 1, -1)
        number[scores] = np.arange(len(scores))
        target = number[self.memory.target]
        memory = take(self.memory, np.flatnonzero(target >= 0))
        memory = replace(
            memory,
            target=number[memory.target].astype(np.int16),
            closed=memory.closed[:, scores],
            order=memory.order[:, scores],
        )
        return Draft(
            tuple(self.labels[i] for i in kept),
            {name: layer.keep(scores) for name, layer in self.layers.items()},
            memory,
            tuple(label for label in self.taught if label not in labels),
        )

    def rename(self, names: Mapping[str, str]) -> Draft:
        """With other names for some actions.

        Raises:
            DatasetError: it does not know one of them, or two would have one name.
        """
        self._check_known(list(names))
        labels = tuple(names.get(label, label) for label in self.labels)
        if len(set(labels)) < len(labels) or any(not label.strip() for label in labels):
            raise DatasetError(f"labels must differ and not be blank: {', '.join(labels)}")
        return replace(self, labels=labels, taught=tuple(names.get(x, x) for x in self.taught))

    def _check_known(self, labels: Sequence[str]) -> None:
        unknown = [label for label in labels if label not in self.labels]
        if unknown:
            raise DatasetError(
                f"the model does not know {', '.join(unknown)}; it knows {', '.join(self.labels)}"
            )

    def without_old(self) -> Draft:
        """No action, and what the memory holds of no known action."""
        keep = len(self.labels)
        memory = take(self.memory, np.flatnonzero(self.memory.target == keep))
        empty = replace(
            memory,
            target=np.zeros_like(memory.target),
            closed=np.zeros_like(memory.closed[:, -1:]),
            order=np.zeros_like(memory.order[:, -1:]),
        )
        layers = {
            name: Layer(layer.weight[-1:] * 0, layer.bias[-1:] * 0)
            for name, layer in self.layers.items()
        }
        return Draft((), layers, empty)

    def rows(self, probe: Probe, target: NDArray[np.int64], source: NDArray[np.int64],
             clip: NDArray[np.int64], moves: Floats) -> Rows:  # fmt: skip
        """New windows as rows; their weights are still to be set."""
        memory = self.memory
        width, random = probe.picture.shape[1], probe.pose.shape[1]
        picture = (probe.picture - memory.picture_mean) / memory.picture_std / width**0.5
        pose = probe.pose / random**0.5 - memory.pose_mean
        scores = {
            name: getattr(probe, name) @ layer.weight.T + layer.bias
            for name, layer in self.layers.items()
        }
        closed, order = scores["picture"] + scores["pose"], scores["order"]
        weight = np.ones(len(target), np.float32)
        return Rows(picture, pose, target, source, clip, weight, closed, order, moves)


_PER_WINDOW = (
    *("picture", "pose", "picture_step", "pose_step", "target", "source", "clip", "weight"),
    *("closed", "order", "moves"),
)


def take(memory: Memory, rows: NDArray[np.int64]) -> Memory:
    """These windows of a memory."""
    return replace(memory, **{name: getattr(memory, name)[rows] for name in _PER_WINDOW})


def remembered(memory: Memory) -> Rows:
    """A memory's windows as rows."""
    return Rows(
        memory.picture * memory.picture_step[:, None],
        memory.pose * memory.pose_step[:, None],
        memory.target.astype(np.int64),
        memory.source.astype(np.int64),
        memory.clip.astype(np.int64),
        memory.weight,
        memory.closed.astype(np.float32),
        memory.order.astype(np.float32),
        memory.moves,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """A draft that has learned, and what is said of all its rows by others, [N, K + 1] each.

    rows:       `closed` is of fits without the row's source.
    before:     the same before it learned.
    same_place: of fits without the row's clip, which had others of its source.
    first_new:  the row from which on they are those of new clips.
    """

    draft: Draft
    rows: Rows
    before: Floats
    same_place: Floats
    first_new: int


def learn(draft: Draft, labels: Sequence[str], new: Rows) -> Learned:
    """The draft with these labels added, from new rows.

    Args:
        draft: K labels.
        labels: n labels that it does not know.
        new: windows of clips; targets K to K + n - 1 for `labels`, K + n for no known action.
    """
    old, added = len(draft.labels), len(labels)
    columns = np.arange(old, old + added)
    new = replace(widen(new, old, added), weight=weights(new, old + added))
    kept = widen(remembered(draft.memory), old, added)
    kept = replace(kept, target=np.where(kept.target == old, old + added, kept.target))
    rows = join(kept, new)
    factors = (float(draft.memory.factors[0]), float(draft.memory.factors[1]))
    goals = targets(rows, len(kept), columns, float(draft.memory.heat))
    solution = solve(rows, goals, factors, float(draft.memory.penalty))
    group = apart(rows, old, added)
    honest = rows.closed + solution.left_out(rows, group)
    shift = balance(honest + rows.order, rows.target, columns, old)
    unclear = not_told(honest + rows.order, rows.target, columns, shift)
    if unclear.any():
        shift[unclear] = np.minimum(shift[unclear], HELD_BACK)
        others = np.setdiff1d(np.arange(old + added + 1), columns)
        goals[np.ix_(np.isin(rows.target, columns[unclear]), others)] = 0
        solution = solution.of(goals)
        honest = rows.closed + solution.left_out(rows, group)
    same_place = rows.closed + solution.left_out(rows, rows.clip)
    honest[:, columns] += shift
    same_place[:, columns] += shift
    learned = replace(rows, closed=honest)
    layers = added_to(draft, *solution.layers(rows), columns, shift)
    names = (*draft.labels, *labels)
    memory = memorise(draft.memory, learned)
    made = Draft(names, layers, memory, (*draft.taught, *labels))
    return Learned(made, learned, rows.closed, same_place, len(kept))


def not_told(scores: Floats, target: Ints, columns: Ints, shift: Floats) -> NDArray[np.bool_]:
    """The new actions that fits without the row's source hardly ever name."""
    said = (scores[:, :-1] + np.pad(shift, (columns[0], 0))).argmax(axis=1)
    return np.array([(said[target == label] == label).mean() < UNCLEAR for label in columns])


def widen(rows: Rows, old: int, added: int) -> Rows:
    """With a score of 0 for every added label, in front of that of no known action."""
    at = [old] * added
    closed, order = (np.insert(part, at, 0, axis=1) for part in (rows.closed, rows.order))
    return replace(rows, closed=closed, order=order)


def join(first: Rows, second: Rows) -> Rows:
    """Rows of both; numbers of sources and clips of the second come behind those of the first."""
    after = {name: int(getattr(first, name).max(initial=-1)) + 1 for name in ("source", "clip")}
    second = replace(second, **{n: getattr(second, n) + shift for n, shift in after.items()})
    return Rows(
        *(
            np.concatenate([getattr(first, field.name), getattr(second, field.name)])
            for field in fields(Rows)
        )
    )


def weights(new: Rows, none: int) -> Floats:
    """Of new rows: clips of an action share `TAUGHT_WEIGHT`, windows share their clip's."""
    clips = {label: len(np.unique(new.clip[new.target == label])) for label in set(new.target)}
    windows = np.bincount(new.clip)[new.clip]
    of_clip = [
        NOTHING_WEIGHT if label == none else TAUGHT_WEIGHT / clips[label] for label in new.target
    ]
    weight: Floats = (np.array(of_clip) / windows).astype(np.float32)
    return weight


def targets(rows: Rows, kept: int, columns: NDArray[np.int64], heat: float) -> Floats:
    """Goals [N, S] in the graph's units: for new scores one against the rest; for the old ones
    what is missing to it, where the row is new, and no change where it is remembered."""
    scores = rows.closed.shape[1]
    wanted = np.full(rows.closed.shape, -1 / scores, np.float32)
    wanted[np.arange(len(rows)), rows.target] += 1
    wanted /= np.float32(heat)
    goals = wanted - rows.closed
    goals[:kept] = 0
    goals[:, columns] = wanted[:, columns]
    return goals


def apart(rows: Rows, first: int, added: int) -> NDArray[np.int64]:
    """Sources to leave out; clips where all of a new label's are of one source."""
    source = rows.source.astype(np.int64)
    for label in range(first, first + added):
        own = rows.target == label
        if len(np.unique(source[own])) == 1:
            source[own] = source.max() + 1 + rows.clip[own]
    return source


def balance(scores: Floats, target: Ints, columns: Ints, old: int) -> Floats:
    """What is added to each new score so that new and old actions are told apart best.

    By cross-entropy on what fits without the row's source say. Every action has the same weight;
    with more than `FREELY` new ones the old actions have more, so that they lose no more by many
    than by few.
    """
    known = target < scores.shape[1] - 1
    logits, target = scores[known, :-1].astype(np.float64), target[known]
    count = np.bincount(target, minlength=logits.shape[1])
    old_weight = max(1.0, (len(columns) - 1) / (FREELY - 1))
    weight = np.where(target < old, old_weight, 1.0) / count[target]
    right = np.array([weight[target == label].sum() for label in columns])
    shift = np.zeros(len(columns))
    for _ in range(_BALANCE_STEPS):
        chance = softmax(logits + np.pad(shift, (columns[0], 0)))[:, columns]
        slope = weight @ chance - right + _BALANCE_PENALTY * shift
        shift -= 0.5 * slope / (weight @ (chance * (1 - chance)) + _BALANCE_PENALTY)
    return shift.astype(np.float32)


def softmax(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Shares over the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def added_to(
    draft: Draft, picture: Floats, pose: Floats, bias: Floats, columns: NDArray[np.int64],
    shift: Floats,
) -> dict[str, Layer]:  # fmt: skip
    """The last layers with a solution added, in what the graph's layers read."""
    memory, added = draft.memory, len(columns)
    layers = {
        name: layer.insert(
            np.zeros((added, layer.weight.shape[1]), np.float32), np.zeros(added, np.float32)
        )
        for name, layer in draft.layers.items()
    }
    picture = picture / (memory.picture_std[:, None] * len(picture) ** 0.5)
    bias = bias - memory.picture_mean @ picture
    bias[columns] += shift
    turned = pose / len(pose) ** 0.5
    return {
        "picture": rounded(_plus(layers["picture"], picture, bias)),
        "pose": rounded(_plus(layers["pose"], turned, -(memory.pose_mean @ pose))),
        "order": layers["order"],
    }


def _plus(layer: Layer, weight: Floats, bias: Floats) -> Layer:
    return Layer(layer.weight + weight.T, (layer.bias + bias).astype(np.float32))


def memorise(memory: Memory, rows: Rows) -> Memory:
    """The memory of all rows; if it grew too large, labels with most windows lose some."""
    (picture, picture_step), (pose, pose_step) = quantise(rows.picture), quantise(rows.pose)
    whole = replace(
        memory,
        picture=picture,
        pose=pose,
        picture_step=picture_step,
        pose_step=pose_step,
        target=rows.target.astype(np.int16),
        source=rows.source.astype(np.int32),
        clip=rows.clip.astype(np.int32),
        weight=rows.weight,
        closed=rows.closed.astype(np.float16),
        order=rows.order.astype(np.float16),
        moves=rows.moves,
    )
    a_window = picture.shape[1] + pose.shape[1] + 4 * rows.closed.shape[1] + _KEPT_WINDOW_BYTES
    fixed = 8 * picture.shape[1] + 4 * pose.shape[1] + 10_000
    kept = thinned(rows, (LARGEST_BYTES - fixed) // a_window)
    count, left = (
        np.bincount(part, minlength=rows.closed.shape[1])
        for part in (rows.target, rows.target[kept])
    )
    heavier = (count / np.maximum(left, 1))[rows.target].astype(np.float32)
    return take(replace(whole, weight=rows.weight * heavier), kept)


def thinned(rows: Rows, most: int) -> NDArray[np.int64]:
    """At most this many rows: of every label the same number, if it has so many, spread evenly."""
    own = members(rows.target)
    each = max(len(part) for part in own)
    while sum(min(len(part), each) for part in own) > most:
        each -= 1
    kept = [part[np.linspace(0, len(part) - 1, min(len(part), each)).astype(int)] for part in own]
    return np.sort(np.concatenate(kept))

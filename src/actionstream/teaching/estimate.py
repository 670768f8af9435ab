"""What taught actions are worth, judged on sources that the fit has not seen, in figures and words.

Source: Stone 1974, "Cross-Validatory Choice and Assessment of Statistical Predictions".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionstream.teaching.draft import UNCLEAR, Learned, softmax
from actionstream.teaching.solve import Rows, members

Floats = NDArray[np.floating]

ENOUGH_CLIPS = 5
"""Fewer clips of an action bring a warning."""
ALIKE = 0.25
"""Share of an action's clips that are taken for one other action, from which they look alike."""
OFTEN = 0.5
"""Share of an action's clips that are refused, from which a warning says so."""
LEARNING = 1.0
"""How fast errors fall with what is learned from; see `with_all`."""
STILL = 0.006
"""See `actionstream.networks.pose_head`, whose known score `known_scores` computes."""
_STEEPEST = 4.0
_KEPT_RIGHT = 0.05
"""Share of right answers below the threshold: the shipped bundles' rule."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """Clips of `label`, of which the share `share` is taken for `said`."""

    label: str
    said: str
    share: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What to expect of sources that were not taught, by leaving each one out.

    left_out:   by taught label: share of its clips that get it from a fit without their source.
    recall:     by taught label: what that lets expect of the fit on all sources.
    clips, sources: by taught label, what its figure rests on.
    confusions: what taught clips are taken for, and which older actions are taken for taught ones.
    old_before, old_after: share of the memory's windows of older actions that get their label,
                without the taught actions and with them; None where there are none.
    warnings:   in words, what to doubt.
    refused:    by taught label: share of its clips that the OOD score of a fit without their source
                calls no known action, whatever label they get.
    nothing_refused: the same of the new clips of no action; None where there are none.
    """

    left_out: Mapping[str, float]
    recall: Mapping[str, float]
    clips: Mapping[str, int]
    sources: Mapping[str, int]
    confusions: tuple[Confusion, ...]
    old_before: float | None
    old_after: float | None
    warnings: tuple[str, ...]
    refused: Mapping[str, float] = field(default_factory=dict)
    nothing_refused: float | None = None

    @property
    def mean_recall(self) -> float:
        """Over the taught actions."""
        return float(np.mean(list(self.recall.values())))

    def to_dict(self) -> dict[str, Any]:
        """As JSON-like values."""
        return {**asdict(self), "mean_recall": self.mean_recall}


@dataclass(frozen=True, slots=True)
class Calibration:
    """The card's numbers."""

    temperature: float
    threshold: float
    known_threshold: float


def estimate(learned: Learned, guessed: Sequence[str] = ()) -> Estimate:
    """The estimate of a draft that has learned; `guessed` are labels whose clips tell no source."""
    draft, rows = learned.draft, learned.rows
    labels = draft.labels
    taught = [labels.index(label) for label in draft.taught]
    clip_target, chances = by_clip(rows, softmax((rows.closed + rows.order)[:, :-1]))
    said = chances.argmax(axis=1)
    near = by_clip(rows, softmax((learned.same_place + rows.order)[:, :-1]))[1].argmax(axis=1)
    left_out, recall, clips, sources = {}, {}, {}, {}
    for number in taught:
        own = clip_target == number
        clips[labels[number]] = int(own.sum())
        count = sources[labels[number]] = len(np.unique(rows.source[rows.target == number]))
        elsewhere, here = (float((one[own] == number).mean()) for one in (said, near))
        left_out[labels[number]] = elsewhere
        recall[labels[number]] = expected(elsewhere, here, count, int(own.sum()))
    confusions = tuple(_confusions(labels, taught, clip_target, said))
    before, after = _older(learned, taught)
    warnings = tuple(_warnings(clips, sources, confusions, recall, guessed))
    return Estimate(left_out, recall, clips, sources, confusions, before, after, warnings)


def expected(elsewhere: float, here: float, sources: int, clips: int) -> float:
    """The recall to expect of new sources.

    Between that of fits without the source, which had one source fewer to learn from, and that of
    fits without the clip alone, which knew its source: with two sources a third of the way from
    the second, with many near the first. An action that is not told elsewhere stays so.
    """
    if sources == 1:
        return with_all(here, clips)
    if elsewhere < UNCLEAR:
        return elsewhere
    share = (sources - 1) / (sources + 1)
    return share * with_all(elsewhere, sources) + (1 - share) * with_all(here, clips)


def with_all(recall: float, parts: int) -> float:
    """The recall of a fit on all parts (sources), from that of fits that had one of them fewer.

    Errors fall with the number of examples n as 1 / n ** `LEARNING`.

    Source: Cortes et al. 1993, "Learning Curves: Asymptotic Values and Rate of Convergence".
    """
    missed: float = (1 - recall) * ((parts - 1) / parts) ** LEARNING
    return 1 - missed


def by_clip(rows: Rows, chances: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Of every clip its target and the mean over its windows."""
    own = members(rows.clip)
    return (
        np.array([rows.target[part[0]] for part in own]),
        np.stack([chances[part].mean(axis=0) for part in own]),
    )


def with_refusals(
    found: Estimate, learned: Learned, known: Mapping[str, Any], known_threshold: float
) -> Estimate:
    """The estimate with the shares that are refused."""
    rows, labels = learned.rows, learned.draft.labels
    scores = known_scores(rows.closed, rows.order, rows.moves, known)
    target, means = by_clip(rows, scores)
    refused = means < known_threshold
    new = rows.clip[learned.first_new :].min()
    nothing = (target == len(labels)) & (np.unique(rows.clip) >= new)
    shares = {label: float(refused[target == labels.index(label)].mean()) for label in found.recall}
    words = [
        f"{label!r} is often refused as no known action: {share:.0%} of its clips"
        for label, share in shares.items()
        if share >= OFTEN
    ]
    return replace(
        found,
        warnings=(*found.warnings, *words),
        refused=shares,
        nothing_refused=float(refused[nothing].mean()) if nothing.any() else None,
    )


def _confusions(
    labels: Sequence[str], taught: Sequence[int], target: NDArray[np.int64], said: NDArray[np.int64]
) -> list[Confusion]:
    """Of taught actions all, of older ones those with taught actions; the largest share first."""
    found = [
        Confusion(labels[number], labels[other], float((said[target == number] == other).mean()))
        for number in range(len(labels))
        for other in np.unique(said[target == number])
        if other != number and (number in taught or other in taught)
    ]
    return sorted(found, key=lambda one: (-one.share, one.label, one.said))


def _older(learned: Learned, taught: Sequence[int]) -> tuple[float | None, float | None]:
    rows, known = learned.rows, len(learned.draft.labels)
    older = [number for number in range(known) if number not in taught]
    own = np.isin(rows.target, older)
    if not own.any():
        return None, None
    before = (learned.before + rows.order)[own][:, older].argmax(axis=1)
    after = (rows.closed + rows.order)[own][:, :known].argmax(axis=1)
    target = rows.target[own]
    right = np.stack([np.array(older)[before] == target, after == target])
    weight = 1 / np.bincount(target)[target]
    shares = (right * weight).sum(axis=1) / weight.sum()
    return float(shares[0]), float(shares[1])


def _warnings(
    clips: Mapping[str, int],
    sources: Mapping[str, int],
    confusions: Sequence[Confusion],
    recall: Mapping[str, float],
    guessed: Sequence[str],
) -> list[str]:
    few = [f"{label} ({count})" for label, count in clips.items() if count < ENOUGH_CLIPS]
    words = []
    if few:
        words.append(f"few clips of {', '.join(few)}: their figures may be far off")
    for label, count in sources.items():
        if count == 1:
            words.append(f"all clips of {label!r} come from one place: expect less elsewhere")
        elif label in guessed:
            words.append(
                f"the names of {label!r}'s clips tell no sources, so each counts as one: if some "
                "show the same place, expect less elsewhere"
            )
    alike = [one for one in confusions if one.share >= ALIKE]
    return words + [
        f"{one.label!r} looks like {one.said!r}: {one.share:.0%} are taken for it" for one in alike
    ]


def known_scores(closed: Floats, order: Floats, moves: Floats, known: Mapping[str, Any]) -> Floats:
    """The known score [N] of scores [N, K + 1], as the head's graph computes it."""
    over = closed[:, :-1].max(axis=1) - closed[:, -1]
    chance = softmax((closed + order)[:, :-1]).max(axis=1)
    statistics = np.stack([over, chance], axis=1)
    standard = (statistics - known["statistic_mean"]) / known["statistic_std"]
    line = standard.clip(-_STEEPEST, _STEEPEST) @ known["weight"] + known["bias"]
    gate = 1 / (1 + np.exp(-10 * (moves - np.log(STILL))))
    scores: Floats = gate / (1 + np.exp(-line))
    return scores


def calibrate(
    learned: Learned, known: Mapping[str, Any], threshold: float, known_threshold: float
) -> Calibration:
    """Temperature and thresholds from what fits without a row's source say of it; every action has
    the same weight. Thresholds only fall, so that older actions are known as before, and at most to
    half, so that not everything passes as known.

    threshold, known_threshold: those of the bundle that was taught.
    """
    rows, count = learned.rows, len(learned.draft.labels)
    own = rows.target < count
    logits, target = (rows.closed + rows.order)[own][:, :count].astype(np.float64), rows.target[own]
    weight = 1 / np.bincount(target)[target]
    scores = known_scores(rows.closed, rows.order, rows.moves, known)
    right = logits.argmax(axis=1) == target
    wanted = _quantile(scores[own][right], weight[right], _KEPT_RIGHT)
    lowest = min(threshold, max(threshold / 2, wanted))
    return Calibration(
        _temperature(logits, target, weight), lowest, known_threshold * lowest / threshold
    )


def _quantile(values: Floats, weight: Floats, share: float) -> float:
    order = np.argsort(values)
    passed = np.cumsum(weight[order]) / weight.sum()
    return float(values[order][np.searchsorted(passed, share)])


def _temperature(logits: Floats, target: NDArray[np.integer], weight: Floats) -> float:
    """The one with the least weighted negative log-likelihood."""
    candidates = np.exp(np.linspace(np.log(0.25), np.log(4), 81))
    at = np.arange(len(target))
    losses = [
        -(weight * np.log(softmax(logits / one)[at, target] + 1e-30)).sum() for one in candidates
    ]
    return float(candidates[int(np.argmin(losses))])

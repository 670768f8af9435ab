"""Groups of clips that belong together, and splits that keep every group whole."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from actionstream.datasets.clips import Clip, Split
from actionstream.errors import DatasetError

_UCF101_STEM = re.compile(r"v_\w+_(g\d\d)_c\d\d", re.IGNORECASE)
Indices = tuple[int, ...]


def ucf101_group(stem: str) -> str:
    """The group of a UCF101 stem: "g08" of "v_Archery_g08_c01". A group is one source video.

    Raises:
        DatasetError: a stem of another form.
    """
    match = _UCF101_STEM.fullmatch(stem)
    if match is None:
        raise DatasetError(f"expected a stem like v_Archery_g08_c01, got {stem!r}")
    return match[1].lower()


def carve_folds(clips: Sequence[Clip], *, folds: int = 5, seed: int = 0) -> tuple[Indices, ...]:
    """Divide clips into `folds` tuples of indices into `clips`, each group whole in one of them.

    Stratified: the largest groups are dealt first, each to the fold with the smallest share of
    the group's labels so far, ties to the smallest fold. The seed decides among groups of one
    size. The same clips in another order give the same folds (of clips, not of indices).

    Raises:
        DatasetError: fewer groups than folds, or folds under 2.
    """
    groups = _members(clips)
    if folds < 2 or len(groups) < folds:
        raise DatasetError(
            f"{len(groups)} groups cannot be divided into {folds} folds of 2 or more"
        )
    totals = Counter(clip.label for clip in clips)
    shares: list[Counter[str | None]] = [Counter() for _ in range(folds)]
    dealt: list[list[int]] = [[] for _ in range(folds)]
    for name in _largest_first(groups, seed):
        labels = Counter(clips[i].label for i in groups[name])

        def load(fold: int, labels: Counter[str | None] = labels) -> tuple[float, int, int]:
            share = sum(n * shares[fold][label] / totals[label] for label, n in labels.items())
            return share, len(dealt[fold]), fold

        target = min(range(folds), key=load)
        shares[target].update(labels)
        dealt[target].extend(groups[name])
    return tuple(tuple(sorted(fold)) for fold in dealt)


def carve_validation(
    clips: Sequence[Clip], *, fraction: float = 0.2, seed: int = 0
) -> tuple[Indices, Indices]:
    """Indices of the clips that stay and of those held out: about `fraction` of every label.

    Groups are whole on one side. Every label of two groups or more is on both sides unless its
    groups are shared with other labels; a label of one group stays.

    Raises:
        DatasetError: `fraction` is not between 0 and 1, or nothing could be held out.
    """
    if not 0 < fraction < 1:
        raise DatasetError(f"a fraction is between 0 and 1, got {fraction}")
    groups = _members(clips)
    by_label = {name: Counter(clips[i].label for i in members) for name, members in groups.items()}
    totals = Counter(clip.label for clip in clips)
    kept = Counter({label: sum(label in g for g in by_label.values()) for label in totals})
    held: Counter[str | None] = Counter()
    out: set[str] = set()
    order = _shuffled(groups, seed)
    for label in sorted(totals, key=lambda label: (totals[label], label or "")):
        for name in order:
            labels = by_label[name]
            if held[label] and held[label] + labels[label] / 2 > fraction * totals[label]:
                break
            if name in out or label not in labels or any(kept[other] < 2 for other in labels):
                continue
            out.add(name)
            held.update(labels)
            kept.subtract(labels.keys())
    if not out:
        raise DatasetError(
            "no label has two groups of which the others can spare one, so none can be held out"
        )
    stay = (i for name, members in groups.items() if name not in out for i in members)
    return tuple(sorted(stay)), tuple(sorted(i for name in out for i in groups[name]))


def random_split(
    clips: Sequence[Clip],
    *,
    labels: Sequence[str],
    test_fraction: float = 0.2,
    validation_fraction: float = 0.0,
    seed: int = 0,
) -> Split:
    """A split that ignores groups, as many published projects have it: for comparison only.

    Clips of one source video land on both sides, so the figures come out far too high. The split
    is marked `leaking` and must be called "not comparable" wherever a figure of it is shown.

    Raises:
        DatasetError: the fractions leave nothing to train on.
    """
    if min(test_fraction, validation_fraction) < 0 or test_fraction + validation_fraction >= 1:
        raise DatasetError("the fractions of test and validation must leave clips to train on")
    order = sorted(clips, key=lambda clip: (clip.label or "", clip.stem, str(clip.path)))
    random.Random(seed).shuffle(order)
    test_end = round(test_fraction * len(order))
    end = test_end + round(validation_fraction * len(order))
    test, validation, train = order[:test_end], order[test_end:end], order[end:]
    return Split(
        name=f"random split, seed {seed} (not comparable)",
        labels=tuple(labels),
        train=tuple(train),
        validation=tuple(validation),
        test=tuple(test),
        listed={"train": len(train), "validation": len(validation), "test": len(test)},
        leaking=True,
        notes=("random split: clips of one source are on both sides; not comparable",),
    )


def _members(clips: Sequence[Clip]) -> dict[str, list[int]]:
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for index, clip in enumerate(clips):
        groups[clip.group].append(index)
    return dict(groups)


def _shuffled(groups: dict[str, list[int]], seed: int) -> list[str]:
    names = sorted(groups)
    random.Random(seed).shuffle(names)
    return names


def _largest_first(groups: dict[str, list[int]], seed: int) -> list[str]:
    return sorted(_shuffled(groups, seed), key=lambda name: -len(groups[name]))

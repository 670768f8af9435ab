"""Folds and held-out clips that keep every group whole."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

from actionstream.datasets.split import Clip, Split, fold
from actionstream.errors import DatasetError

TEST_FRACTION = 0.2

Indices = tuple[int, ...]


def make_folds(clips: Sequence[Clip], *, folds: int = 5, seed: int = 0) -> tuple[Indices, ...]:
    """Divide clips into `folds` tuples of indices into `clips`, each group whole in one of them.

    Stratified: the largest groups come first, each goes to the fold with the smallest share of
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
    members: list[list[int]] = [[] for _ in range(folds)]
    for name in _largest_first(groups, seed):
        labels = Counter(clips[i].label for i in groups[name])

        def load(number: int, labels: Counter[str | None] = labels) -> tuple[float, int, int]:
            share = sum(n * shares[number][label] / totals[label] for label, n in labels.items())
            return share, len(members[number]), number

        target = min(range(folds), key=load)
        shares[target].update(labels)
        members[target].extend(groups[name])
    return tuple(tuple(sorted(one)) for one in members)


def hold_out_groups(
    clips: Sequence[Clip], *, fraction: float = 0.2, seed: int = 0
) -> tuple[Indices, Indices]:
    """Indices of the clips that stay and of those held out: about `fraction` of every label.

    Groups stay whole. Every label of two groups or more is in both parts unless its
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


def hold_out_test(split: Split, *, everything: Sequence[Clip], seed: int) -> Split:
    """Move a fifth of every label from train to test, whole groups only; the notes say so.

    The draw is over all clips of the data set: a model trained on some of the labels can be
    evaluated with others, and no clip changes its subset.

    Args:
        split: the clips of the labels asked for, all of them in train.
        everything: the clips of all labels, with their groups joined; those of `split` take
            their group from here, so that it does not depend on the labels either.
        seed: decides which groups; another one than 0 is part of the split's name, since figures
            on its test clips are of other clips.

    Raises:
        DatasetError: no label of `everything` has two groups.
    """
    _, out = hold_out_groups(everything, fraction=TEST_FRACTION, seed=seed)
    held = {everything[i].path for i in out}
    clips = [clip for clip in everything if clip.label in split.labels]
    test = tuple(clip for clip in clips if clip.path in held)
    notes = [f"the data names no test subset: a fifth of every label, whole groups, seed {seed}"]
    lacking = [label for label in split.labels if label not in {clip.label for clip in test}]
    if lacking:
        notes.append(
            f"no test clip of {', '.join(lacking)}: one group only, or other labels need their "
            "groups"
        )
    return replace(
        split,
        name=f"{split.name}, seed {seed}" if seed else split.name,
        train=tuple(clip for clip in clips if clip.path not in held),
        test=test,
        listed={**split.listed, "train": split.listed["train"] - len(test), "test": len(test)},
        missing={**split.missing, "test": ()},
        notes=(*split.notes, *notes),
    )


def training_folds(
    clips: Sequence[Clip], labels: Sequence[str], *, folds: int = 5, seed: int = 0
) -> tuple[Indices, ...]:
    """`make_folds` of the clips to train on, which have to be fit for it.

    Raises:
        DatasetError: naming the first thing that `training_problems` finds.
    """
    for problem in training_problems(clips, labels, folds=folds, seed=seed):
        raise DatasetError(problem)
    return make_folds(clips, folds=folds, seed=seed)


def training_problems(
    clips: Sequence[Clip], labels: Sequence[str], *, folds: int = 5, seed: int = 0
) -> list[str]:
    """Why these clips cannot be trained on, as sentences; [] if they can.

    There have to be two classes that differ by more than case, each with a clip, sources for every
    fold, and every class in two of the folds: its clips would else be read by a head that never
    saw the class.
    """
    there = {clip.label for clip in clips if clip.label is not None}
    if not there:
        return ["there is no clip to train on"]
    if len(labels) < 2:
        return [f"the only class is {labels[0]}: there is nothing to tell it apart from"]
    problems = [f"{pair}: these labels differ by case only" for pair in _same_but_for_case(labels)]
    lacking = [label for label in labels if label not in there]
    if lacking:
        counted = f"only {len(there)} of {len(labels)} classes have a training clip"
        problems.append(f"{counted}: none of {', '.join(lacking)}")
    sources = len({clip.group for clip in clips})
    if sources < folds:
        problems.append(
            f"the {len(clips)} training clips come from {sources} sources, which cannot be divided "
            f"into {folds} folds: clips of more sources are needed, or fewer folds (3 at least: "
            "--set folds=3)"
        )
        return problems
    for held_out in make_folds(clips, folds=folds, seed=seed):
        apart = set(held_out)
        seen = {clip.label for index, clip in enumerate(clips) if index not in apart}
        problems += [
            f"{label}: all of its training clips come from one source, or from sources that "
            "it shares; cross-validation needs two sources for every class"
            for label in sorted(there - seen)
        ]
    return problems


def _same_but_for_case(labels: Collection[str]) -> list[str]:
    same: dict[str, list[str]] = {}
    for label in labels:
        same.setdefault(fold(label), []).append(label)
    return [" and ".join(names) for names in same.values() if len(names) > 1]


def random_split(
    clips: Sequence[Clip],
    *,
    labels: Sequence[str],
    test_fraction: float = 0.2,
    validation_fraction: float = 0.0,
    seed: int = 0,
) -> Split:
    """A split that ignores groups, as many published projects have it: for comparison only.

    Clips of one source video land in both subsets, so the figures come out far too high. The split
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
        notes=("random split: clips of one source are in several subsets; not comparable",),
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

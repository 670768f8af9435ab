from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import write_clips

from actionstream.datasets import (
    Clip,
    check_leaks,
    hold_out_groups,
    load_ucf101,
    make_folds,
    random_split,
)
from actionstream.errors import DatasetError, LeakError


def clip(label: str | None, group: str, number: int) -> Clip:
    stem = f"{group.replace('/', '_')}_{number}"
    return Clip(Path(f"{stem}.mp4"), label, group, stem)


@st.composite
def clip_lists(draw: st.DrawFn) -> list[Clip]:
    """1 to 4 labels (one may be None) of 2 to 8 groups of 1 to 6 clips, in any order."""
    labels = draw(st.permutations(["Run", "Jump", "Swim", None]))[: draw(st.integers(1, 4))]
    clips = [
        clip(label, f"{label}/g{group:02}", number)
        for label in labels
        for group in range(draw(st.integers(2, 8)))
        for number in range(draw(st.integers(1, 6)))
    ]
    return draw(st.permutations(clips))


@given(clips=clip_lists(), folds=st.integers(2, 5), seed=st.integers(0, 3))
def test_laws_of_folds(clips: list[Clip], folds: int, seed: int) -> None:
    groups = Counter(clip.group for clip in clips)
    if len(groups) < folds:
        with pytest.raises(DatasetError, match=f"{len(groups)} groups cannot be divided"):
            make_folds(clips, folds=folds, seed=seed)
        return
    made = make_folds(clips, folds=folds, seed=seed)
    assert len(made) == folds
    assert sorted(i for fold in made for i in fold) == list(range(len(clips)))
    assert all(list(fold) == sorted(fold) for fold in made)
    where = [{clips[i].group for i in fold} for fold in made]
    assert sum(map(len, where)) == len(groups)  # no group in two folds
    assert made == make_folds(clips, folds=folds, seed=seed)
    # Each label goes to the emptiest fold, so two folds differ by one group of it at most.
    for label in {clip.label for clip in clips}:
        counts = [sum(clips[i].label == label for i in fold) for fold in made]
        largest = max(Counter(clip.group for clip in clips if clip.label == label).values())
        assert max(counts) - min(counts) <= largest


@given(clips=clip_lists(), data=st.data())
def test_the_order_of_the_clips_does_not_matter(clips: list[Clip], data: st.DataObject) -> None:
    other = data.draw(st.permutations(clips))
    made = [
        {frozenset(these[i].stem for i in fold) for fold in make_folds(these, folds=2)}
        for these in (clips, other)
    ]
    assert made[0] == made[1]


@given(clips=clip_lists(), fraction=st.floats(0.05, 0.6), seed=st.integers(0, 3))
def test_laws_of_validation(clips: list[Clip], fraction: float, seed: int) -> None:
    stay, out = hold_out_groups(clips, fraction=fraction, seed=seed)
    assert sorted(stay + out) == list(range(len(clips)))
    assert not {clips[i].group for i in stay} & {clips[i].group for i in out}
    labels = {clip.label for clip in clips}
    assert {clips[i].label for i in stay} == {clips[i].label for i in out} == labels
    assert (stay, out) == hold_out_groups(clips, fraction=fraction, seed=seed)


def test_the_seed_matters() -> None:
    clips = [clip("Run", f"Run/g{group:02}", number) for group in range(10) for number in range(3)]
    assert make_folds(clips, seed=0) != make_folds(clips, seed=1)
    assert hold_out_groups(clips, seed=0) != hold_out_groups(clips, seed=1)
    assert [len(fold) for fold in make_folds(clips)] == [6] * 5


def test_a_group_of_two_labels_stays_whole() -> None:
    pairs = [("Run", "a"), ("Jump", "a"), ("Run", "b"), ("Jump", "c"), ("Run", "d"), ("Jump", "e")]
    clips = [clip(label, group, i) for i, (label, group) in enumerate(pairs)]
    stay, out = hold_out_groups(clips, fraction=0.3)
    assert not {clips[i].group for i in stay} & {clips[i].group for i in out}
    assert {clips[i].label for i in stay} == {clips[i].label for i in out} == {"Run", "Jump"}


def test_a_label_of_one_group_stays_in_training() -> None:
    clips = [clip("Run", "Run/g01", 0), clip("Jump", "Jump/g01", 0), clip("Jump", "Jump/g02", 0)]
    stay, out = hold_out_groups(clips, fraction=0.5)
    assert 0 in stay
    assert len(out) == 1
    with pytest.raises(DatasetError, match="no label has two groups"):
        hold_out_groups(clips[:2])
    with pytest.raises(DatasetError, match="between 0 and 1"):
        hold_out_groups(clips, fraction=1.0)
    with pytest.raises(DatasetError, match="folds of 2 or more"):
        make_folds(clips, folds=1)


def test_folds_of_the_real_training_list(data_dir: Path, ucf101_lists: Path) -> None:
    train = load_ucf101(data_dir / "ucf101", lists=ucf101_lists).train
    folds = make_folds(train)
    sizes = [len(fold) for fold in folds]
    assert sum(sizes) == len(train)
    assert max(sizes) - min(sizes) <= 0.05 * len(train) / 5
    clips = Counter(clip.label for clip in train)
    for fold in folds:
        counts = Counter(train[i].label for i in fold)
        # A fifth of every class, give or take a group of at most seven clips.
        assert all(abs(counts[label] - clips[label] / 5) <= 7 for label in clips)
    # Nothing is forgiven here: groups that are one video were joined on loading.
    subsets = {str(number): [train[i] for i in fold] for number, fold in enumerate(folds)}
    assert {d.subset for d in check_leaks(subsets, allow_known=False)} <= set(subsets)


def test_a_random_split_says_that_it_leaks(tmp_path: Path) -> None:
    clips = write_clips(
        tmp_path, [(f"g{g}_c{c}", f"g{g}", f"{g} {c}") for g in range(5) for c in range(8)]
    )
    split = random_split(clips, labels=["Run"], test_fraction=0.25, validation_fraction=0.1)
    assert (len(split.train), len(split.validation), len(split.test)) == (26, 4, 10)
    assert {c.stem for c in split.clips} == {c.stem for c in clips}
    assert split.leaking
    assert "not comparable" in split.name
    assert "not comparable" in split.notes[0]
    assert (
        split.clips
        == random_split(
            clips[::-1], labels=["Run"], test_fraction=0.25, validation_fraction=0.1
        ).clips
    )
    with pytest.raises(LeakError, match="train and test share 5 groups"):
        check_leaks(split.subsets)
    with pytest.raises(DatasetError, match="leave clips to train on"):
        random_split(clips, labels=["Run"], test_fraction=0.7, validation_fraction=0.3)

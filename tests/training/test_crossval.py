"""Cross-validation: every clip is read once, by a head that never saw its group."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toy

from actionstream.errors import DatasetError, TrainingError
from actionstream.training.crossval import CrossValidation, cross_validate, read_clip

pytestmark = pytest.mark.torch

SAMPLES = toy.clusters(others=6)
RECIPE = replace(toy.RECIPE, epochs=4)


@pytest.fixture(scope="module")
def validation() -> CrossValidation:
    return cross_validate(SAMPLES, 3, RECIPE, seed=2)


def test_every_clip_is_read_once_in_the_order_given(validation: CrossValidation) -> None:
    assert [one.sample for one in validation.outputs] == SAMPLES
    for one in validation.outputs:
        assert one.logits.shape == (17, 3)  # 20 ticks, ready from the fourth on
        assert one.logits.dtype == np.float32


def test_no_head_saw_a_group_that_it_reads(validation: CrossValidation) -> None:
    assert [one.fold for one in validation.heads] == [0, 1, 2]
    for fold in validation.heads:
        held_out = [one.sample for one in validation.outputs if one.fold == fold.fold]
        groups = {one.clip.group for one in held_out}
        assert groups
        assert groups.isdisjoint(one.clip.group for one in fold.trained_on)
        assert len(held_out) + len(fold.trained_on) == len(SAMPLES)


def test_the_outputs_are_those_of_the_folds_heads(validation: CrossValidation) -> None:
    for one in validation.outputs[::5]:
        head = validation.heads[one.fold].head
        assert np.array_equal(one.logits, read_clip(head, one.sample, RECIPE.ready_after))


def test_folds_that_are_done_are_not_trained_again(
    validation: CrossValidation, tmp_path: Path
) -> None:
    reports: list[str] = []

    def run() -> CrossValidation:
        return cross_validate(
            SAMPLES,
            3,
            RECIPE,
            seed=2,
            folder=tmp_path,
            report=lambda what, *_: reports.append(what) if "fold" in what else None,
        )

    run()
    assert sorted(one.name for one in tmp_path.iterdir()) == [f"fold{i}.ckpt" for i in range(3)]
    assert len(reports) == 12
    assert reports[0].startswith("fold 1 of 3, loss ")
    reports.clear()
    again = run()
    assert reports == []
    for one, other in zip(again.outputs, validation.outputs, strict=True):
        assert np.array_equal(one.logits, other.logits)


def test_a_class_of_one_source_is_refused_before_the_work() -> None:
    samples = [
        replace(one, clip=replace(one.clip, group="match")) if one.target == 1 else one
        for one in SAMPLES
    ]
    with pytest.raises(TrainingError, match="b: all of its training clips come from one"):
        cross_validate(samples, 3, RECIPE)
    with pytest.raises(TrainingError, match="only 3 of 4 classes have a training clip"):
        cross_validate(SAMPLES, 4, RECIPE)


def test_three_folds_and_two_sources_a_class_are_enough() -> None:
    """The least: the heads' closed-form layers are fitted on each of two folds in turn."""
    few = toy.clusters(each=4)
    assert len({one.clip.group for one in few}) == 6
    validation = cross_validate(few, 3, replace(RECIPE, epochs=1))
    assert [len(one.trained_on) for one in validation.heads] == [8, 8, 8]
    assert all(np.isfinite(one.logits).all() for one in validation.outputs)


def test_more_folds_than_groups_are_refused() -> None:
    message = "the 30 training clips come from 15 sources, which cannot be dealt into 16 folds"
    with pytest.raises(DatasetError, match=message):
        cross_validate(SAMPLES, 3, replace(RECIPE, folds=16))

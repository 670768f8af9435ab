"""Cross-validation: every clip is read once, by a head that never saw its group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toy

from actionstream.errors import DatasetError
from actionstream.training.common.calibrate import ClipOutput
from actionstream.training.common.recipe import FeatureRecipe, Settings
from actionstream.training.common.windows import Sample, read_clip
from actionstream.training.features.closed_form import closed_form
from actionstream.training.features.fit_head import fit_head
from actionstream.training.features.train import cross_validate

pytestmark = pytest.mark.torch

SAMPLES = toy.clusters(negatives=6)
RECIPE = replace(toy.RECIPE, epochs=4)


def validate(
    samples: Sequence[Sample] = SAMPLES,
    recipe: FeatureRecipe = RECIPE,
    *,
    num_classes: int = 3,
    seed: int = 2,
    folder: Path | None = None,
    reports: list[str] | None = None,
) -> list[ClipOutput]:
    data = toy.prepared(samples, recipe, num_classes=num_classes, seed=seed)
    layers = closed_form(data.template, data.samples, data.folds, recipe)
    place = folder or Path("unused")
    settings = Settings(place, place, seed=seed)

    def tell(done: float, total: float | None, what: str) -> None:
        if reports is not None:
            reports.append(what)

    return cross_validate(data, layers, recipe, settings, tell, keep=folder is not None)


@pytest.fixture(scope="module")
def outputs() -> list[ClipOutput]:
    return validate()


def test_every_clip_is_read_once_in_the_order_given(outputs: list[ClipOutput]) -> None:
    assert [one.clip for one in outputs] == [one.clip for one in SAMPLES]
    assert [one.target for one in outputs] == [one.target for one in SAMPLES]
    for one in outputs:
        assert one.logits.shape == (17, 3)  # 20 ticks, ready from the fourth on
        assert one.logits.dtype == np.float32


def test_the_outputs_are_those_of_heads_that_never_saw_the_group(
    outputs: list[ClipOutput],
) -> None:
    assert {one.fold for one in outputs} == {0, 1, 2}
    data = toy.prepared(SAMPLES, RECIPE, seed=2)
    layers = closed_form(data.template, SAMPLES, data.folds, RECIPE)
    for fold in range(3):
        seen = [s for s, one in zip(SAMPLES, outputs, strict=True) if one.fold != fold]
        held_out = [s for s, one in zip(SAMPLES, outputs, strict=True) if one.fold == fold]
        assert {s.clip.group for s in held_out}.isdisjoint(s.clip.group for s in seen)
        head = fit_head(seen, 3, RECIPE, layers.layers(fold), seed=2)
        for sample, one in zip(SAMPLES, outputs, strict=True):
            if one.fold == fold:
                assert np.array_equal(one.logits, read_clip(head, sample, RECIPE.ready_after))


def test_what_a_fold_holds_does_not_reach_the_head_that_reads_it(
    outputs: list[ClipOutput],
) -> None:
    """With wild labels for the clips of one fold, its own outputs stay; the others' change."""
    wild = [
        replace(one, target=(one.target + 1) % 3)
        if out.fold == 1 and one.target is not None
        else one
        for one, out in zip(SAMPLES, outputs, strict=True)
    ]
    for before, after in zip(outputs, validate(wild), strict=True):
        assert before.fold == after.fold
        assert np.array_equal(before.logits, after.logits) == (before.fold == 1)


def test_folds_that_are_done_are_not_trained_again(
    outputs: list[ClipOutput], tmp_path: Path
) -> None:
    reports: list[str] = []
    validate(folder=tmp_path, reports=reports)
    folds = tmp_path / "folds"
    assert sorted(one.name for one in folds.iterdir()) == [f"fold{i}.ckpt" for i in range(3)]
    assert len(reports) == 12
    assert reports[0].startswith("fold 1 of 3, loss ")
    reports.clear()
    again = validate(folder=tmp_path, reports=reports)
    assert reports == []
    for one, other in zip(again, outputs, strict=True):
        assert np.array_equal(one.logits, other.logits)


def test_a_class_of_one_source_is_refused_before_the_work() -> None:
    samples = [
        replace(one, clip=replace(one.clip, group="match")) if one.target == 1 else one
        for one in SAMPLES
    ]
    with pytest.raises(DatasetError, match="b: all of its training clips come from one"):
        validate(samples)
    with pytest.raises(DatasetError, match="only 3 of 4 classes have a training clip"):
        validate(num_classes=4)


def test_three_folds_and_two_sources_a_class_are_enough() -> None:
    """The least: the heads' closed-form layers are fitted on each of two folds in turn."""
    few = toy.clusters(each=4)
    assert len({one.clip.group for one in few}) == 6
    found = validate(few, replace(RECIPE, epochs=1), seed=0)
    assert [sum(one.fold == fold for one in found) for fold in range(3)] == [4, 4, 4]
    assert all(np.isfinite(one.logits).all() for one in found)


def test_more_folds_than_groups_are_refused() -> None:
    message = "the 30 training clips come from 15 sources, which cannot be divided into 16 folds"
    with pytest.raises(DatasetError, match=message):
        validate(recipe=replace(RECIPE, folds=16))

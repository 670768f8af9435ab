"""Layers in closed form: ridge regression, its sums, and what is said of a fold never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy

from actionstream.errors import TrainingError
from actionstream.networks.heads import Head, LSTMHead, build_head
from actionstream.training.common.windows import Sample, cut_window
from actionstream.training.features.closed_form import (
    STRIDE,
    ClosedForm,
    Moments,
    _summaries,
    closed_form,
    gather,
    left_out_sets,
    solve,
    solve_lines,
)

pytestmark = pytest.mark.torch

SAMPLES = toy.clusters(negatives=4)
FOLDS = tuple(tuple(range(start, len(SAMPLES), 3)) for start in range(3))
HEAD = build_head("mean", 6, 3, differences=True, deviation=True)
assert HEAD.summary is not None
READY = 4


def summary(windows: torch.Tensor) -> torch.Tensor:
    assert HEAD.summary is not None
    summed: torch.Tensor = HEAD.summary(windows)
    return summed


def sums(samples: Sequence[Sample] = SAMPLES, weight: float = 0.5) -> list[Moments]:
    recipe = replace(toy.RECIPE, outlier_weight=weight)
    return gather(samples, FOLDS, _summaries(HEAD.summary, recipe), 3, recipe)


def a_window(sample: Sample, end: int) -> torch.Tensor:
    return torch.from_numpy(cut_window(sample.views[0], end)[None].astype(np.float32))


def by_least_squares(samples: Sequence[Sample], penalty: float) -> tuple[torch.Tensor, ...]:
    """Every window written out, the penalty as rows of its own, solved by torch.linalg.lstsq."""
    windows, targets, weights = [], [], []
    for sample in samples:
        ends = [(view, end) for view in sample.views for end in range(len(view), 3, -STRIDE)]
        hot = np.zeros(3)
        if sample.target is not None:
            hot -= 1 / 3
            hot[sample.target] += 1
        for view, end in ends:
            windows.append(cut_window(view, end))
            targets.append(hot)
            weights.append((1.0 if sample.target is not None else 0.5) / len(ends))
    x = summary(torch.from_numpy(np.stack(windows).astype(np.float32))).double()
    y, w = torch.tensor(np.stack(targets)), torch.tensor(weights)[:, None].double()
    w = w / w.sum()
    mean, goal = (x * w).sum(0), (y * w).sum(0)
    std = ((x - mean).square() * w).sum(0).sqrt()
    rows = torch.cat([(x - mean) / std * w.sqrt(), penalty**0.5 * torch.eye(x.shape[1])])
    wanted = torch.cat([(y - goal) * w.sqrt(), torch.zeros(x.shape[1], 3)])
    weight = torch.linalg.lstsq(rows, wanted).solution / std[:, None]
    return weight.T, goal - mean @ weight


def test_it_is_the_penalised_least_squares_solution() -> None:
    weight, bias = by_least_squares(SAMPLES, 0.1)
    line = solve(sums(), 0.1)
    torch.testing.assert_close(line.weight.double(), weight, atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(line.bias.double(), bias, atol=2e-3, rtol=2e-3)


def test_more_penalty_is_less_weight() -> None:
    moments = sums()
    sizes = [float(solve(moments, penalty).weight.norm()) for penalty in (1.0, 10.0, 100.0)]
    assert sizes == sorted(sizes, reverse=True)


def test_folds_add_up() -> None:
    everything = [range(len(SAMPLES))]
    rows = _summaries(HEAD.summary, toy.RECIPE)
    whole = gather(SAMPLES, everything, rows, 3, toy.RECIPE)
    again = sums(weight=toy.RECIPE.outlier_weight)
    torch.testing.assert_close(
        solve(again, 1.0).weight, solve(whole, 1.0).weight, atol=1e-4, rtol=0
    )


def test_every_line_is_that_of_the_folds_that_it_saw() -> None:
    moments = sums()
    lines = solve_lines(moments, 1.0)
    assert set(lines.lines) == set(left_out_sets(3))
    assert len(lines.lines) == 1 + 3 + 3
    for left_out, line in lines.lines.items():
        alone = solve([m for fold, m in enumerate(moments) if fold not in left_out], 1.0)
        assert torch.equal(line.weight, alone.weight)
    layer = lines.layer(1)
    assert torch.equal(layer.inference.weight, lines.lines[frozenset({1})].weight)
    for fold in (0, 2):
        pair = lines.lines[frozenset({1, fold})]
        assert torch.equal(layer.held_out.weight[fold], pair.weight)


def test_a_clip_weighs_the_same_however_many_views_it_has() -> None:
    more = replace(SAMPLES[0], views=SAMPLES[0].views * 2)
    once = solve(sums(), 1.0)
    twice = solve(sums([more, *SAMPLES[1:]]), 1.0)
    torch.testing.assert_close(once.weight, twice.weight, atol=1e-4, rtol=0)


def test_a_fold_is_read_by_the_line_that_never_saw_it() -> None:
    moments = sums()
    layer = solve_lines(moments, 1.0).layer(None)
    rows = torch.cat([summary(a_window(SAMPLES[index], 9)) for index in (4, 5)])
    folds = torch.tensor([4 % 3, 5 % 3])
    alone = [solve([m for fold, m in enumerate(moments) if fold != own], 1.0) for own in (1, 2)]
    expected = torch.stack([line(row) for line, row in zip(alone, rows, strict=True)])
    torch.testing.assert_close(layer.read_held_out(rows, folds), expected, atol=1e-5, rtol=0)
    looks = rows[:, None].repeat(1, 16, 1)  # any number of rows a sample
    expected = expected[:, None].repeat(1, 16, 1)
    torch.testing.assert_close(layer.read_held_out(looks, folds), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(layer.inference(rows), solve(moments, 1.0)(rows))


def test_clips_of_no_known_action_pull_the_scores_together() -> None:
    other = next(sample for sample in SAMPLES if sample.target is None)
    row = summary(a_window(other, 12))
    pulled, ignored = (solve(sums(weight=weight), 0.01) for weight in (5.0, 0.0))
    assert float(pulled(row).std()) < float(ignored(row).std())


def solved(head: Head, **more: Any) -> ClosedForm:
    return closed_form(head, SAMPLES, FOLDS, toy.RECIPE, **more)


def test_scores_become_logits_by_one_temperature() -> None:
    head = build_head("mean", 6, 3, differences=True, deviation=True)
    found = solved(head)
    layers = found.layers(None)
    layers.put_into(head)
    assert layers.direct is not None
    assert found.direct is not None
    assert head.direct is not None
    unscaled = found.direct.layer(None)
    factor = 1 / found.temperatures[-1]
    assert factor > 1  # scores lie between -1/K and 1 - 1/K
    torch.testing.assert_close(head.direct.weight, unscaled.inference.weight * factor)
    torch.testing.assert_close(layers.direct.held_out.weight, unscaled.held_out.weight * factor)


def test_the_layers_of_a_folds_head_do_not_depend_on_the_folds_clips() -> None:
    wild = [
        replace(one, target=None) if number % 3 == 1 else one for number, one in enumerate(SAMPLES)
    ]
    for head in (HEAD, build_head("lstm", 6, 3, evidence=True, hidden=4)):
        before = solved(head)
        after = closed_form(head, wild, FOLDS, toy.RECIPE)
        for fold in range(3):
            one, other = before.layers(fold), after.layers(fold)
            assert one.direct is not None
            assert other.direct is not None
            equal = torch.equal(one.direct.inference.weight, other.direct.inference.weight)
            assert equal == (fold == 1)
            assert len(one.fold_of) == len(SAMPLES) - len(FOLDS[fold])
            assert fold not in one.fold_of


def test_solved_layers_are_kept_in_a_file(tmp_path: Path) -> None:
    head = build_head("lstm", 6, 3, evidence=True, hidden=4)
    file, identity = tmp_path / "closed_form.ckpt", {"seed": 1}
    first = solved(head, file=file, identity=identity)
    again = closed_form(head, [], FOLDS, toy.RECIPE, file=file, identity=identity)
    assert again.temperatures == first.temperatures
    for left_out in (None, 0, 2):
        one, other = first.layers(left_out), again.layers(left_out)
        for a, b in ((one.direct, other.direct), (one.evidence, other.evidence)):
            assert a is not None
            assert b is not None
            assert torch.equal(a.inference.weight, b.inference.weight)
            assert torch.equal(a.held_out.bias, b.held_out.bias)
    with pytest.raises(TrainingError, match="belongs to another run"):
        solved(head, file=file, identity={"seed": 2})


def test_evidence_is_what_single_looks_say() -> None:
    head = build_head("lstm", 6, 3, evidence=True, hidden=4)
    assert isinstance(head, LSTMHead)
    layers = solved(head).layers(None)
    layers.put_into(head)
    assert layers.evidence is not None
    known = toy.with_targets(SAMPLES)
    right = [
        float((head.read_evidence(a_window(one, 16))[0].argmax(dim=1) == one.target).float().mean())
        for one in known
    ]
    assert np.mean(right) > 0.8  # a guess has 0.33
    window = a_window(known[0], 16)
    wide = head.widen(window)
    assert wide.shape == (1, 16, 12)
    torch.testing.assert_close(wide[0, 5, 6:], (window[0, 5] - window[0, 4]).abs())
    assert not wide[0, 0, 6:].any()

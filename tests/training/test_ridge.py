"""Layers in closed form: ridge regression, its sums, and what is said of a fold never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
import toy

from actionstream.networks.heads import LSTMHead, build_head
from actionstream.training.closed_form import STRIDE, HeadSums, fit_closed_form, gather_sums
from actionstream.training.ridge import FoldSums, cross_fit, solve
from actionstream.training.windows import Sample, cut_window

pytestmark = pytest.mark.torch

SAMPLES = toy.clusters(others=4)
FOLDS = tuple(tuple(range(start, len(SAMPLES), 3)) for start in range(3))
HEAD = build_head("mean", 6, 3, differences=True, deviation=True)
READY = 4


def summary(windows: torch.Tensor) -> torch.Tensor:
    assert HEAD.summary is not None
    summed: torch.Tensor = HEAD.summary(windows)
    return summed


def sums(samples: Sequence[Sample] = SAMPLES, weight: float = 0.5) -> FoldSums:
    recipe = replace(toy.RECIPE, outlier_weight=weight)
    found = gather_sums(HEAD, samples, FOLDS, recipe).direct
    assert found is not None
    return found


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
    line = solve(sums().moments, 0.1)
    torch.testing.assert_close(line.weight.double(), weight, atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(line.bias.double(), bias, atol=2e-3, rtol=2e-3)


def test_more_penalty_is_less_weight() -> None:
    moments = sums().moments
    sizes = [float(solve(moments, penalty).weight.norm()) for penalty in (1.0, 10.0, 100.0)]
    assert sizes == sorted(sizes, reverse=True)


def test_folds_add_up_and_can_be_left_out() -> None:
    parts = sums()
    whole = gather_sums(HEAD, SAMPLES, [range(len(SAMPLES))], toy.RECIPE).direct
    assert whole is not None
    again = sums(weight=toy.RECIPE.outlier_weight)
    torch.testing.assert_close(
        solve(again.moments, 1.0).weight, solve(whole.moments, 1.0).weight, atol=1e-4, rtol=0
    )
    less = parts.without(1)
    kept = [number for number in range(len(SAMPLES)) if number not in FOLDS[1]]
    assert less.moments == (parts.moments[0], parts.moments[2])
    assert [(0, 2)[fold] for fold in less.fold_of] == [number % 3 for number in kept]


def test_a_clip_weighs_the_same_however_many_views_it_has() -> None:
    more = replace(SAMPLES[0], views=SAMPLES[0].views * 2)
    once = solve(sums().moments, 1.0)
    twice = solve(sums([more, *SAMPLES[1:]]).moments, 1.0)
    torch.testing.assert_close(once.weight, twice.weight, atol=1e-4, rtol=0)


def test_a_fold_is_read_by_the_line_that_never_saw_it() -> None:
    data = sums()
    fit = cross_fit(data, 1.0)
    rows = torch.cat([summary(a_window(SAMPLES[index], 9)) for index in (4, 5)])
    folds = torch.tensor([data.fold_of[4], data.fold_of[5]])
    alone = [solve(data.without(data.fold_of[index]).moments, 1.0) for index in (4, 5)]
    expected = torch.stack([line(row) for line, row in zip(alone, rows, strict=True)])
    torch.testing.assert_close(fit.read_held_out(rows, folds), expected, atol=1e-5, rtol=0)
    looks = rows[:, None].repeat(1, 16, 1)  # any number of rows a sample
    expected = expected[:, None].repeat(1, 16, 1)
    torch.testing.assert_close(fit.read_held_out(looks, folds), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(fit.served(rows), solve(data.moments, 1.0)(rows))


def test_clips_of_no_known_action_pull_the_scores_together() -> None:
    other = next(sample for sample in SAMPLES if sample.target is None)
    row = summary(a_window(other, 12))
    pulled, ignored = (solve(sums(weight=weight).moments, 0.01) for weight in (5.0, 0.0))
    assert float(pulled(row).std()) < float(ignored(row).std())


def test_scores_become_logits_by_one_temperature() -> None:
    head = build_head("mean", 6, 3, differences=True, deviation=True)
    fits = fit_closed_form(head, SAMPLES, toy.RECIPE, seed=0, sums=HeadSums(sums(), None))
    assert fits.direct is not None
    assert head.direct is not None
    unscaled = cross_fit(sums(), toy.RECIPE.penalty)
    factor = head.direct.weight.detach() / unscaled.served.weight
    assert float(factor.min()) == pytest.approx(float(factor.max()), rel=1e-2)
    assert float(factor.mean()) > 1  # scores lie between -1/K and 1 - 1/K
    torch.testing.assert_close(
        fits.direct.held_out.weight, unscaled.held_out.weight * factor.mean(), rtol=1e-2, atol=1e-4
    )


def test_evidence_is_what_single_looks_say() -> None:
    head = build_head("lstm", 6, 3, evidence=True, hidden=4)
    assert isinstance(head, LSTMHead)
    fits = fit_closed_form(head, SAMPLES, toy.RECIPE, seed=0)
    assert fits.evidence is not None
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

"""Leaving sources out by the inverse equals fitting without them."""

from __future__ import annotations

import numpy as np
import pytest

from actionstream.teaching.solve import Rows, gram, members, solve

FACTORS, PENALTY = (1.0, 2.0), 0.01


def rows(count: int = 60) -> Rows:
    random = np.random.default_rng(0)
    numbers = np.arange(count)
    nothing = np.zeros((count, 1), np.float32)
    return Rows(
        picture=random.normal(size=(count, 9)).astype(np.float32),
        pose=random.normal(size=(count, 5)).astype(np.float32),
        target=numbers // 12,
        source=numbers // 3,
        clip=numbers,
        weight=random.uniform(1, 3, count).astype(np.float32),
        closed=nothing,
        order=nothing,
        moves=nothing[:, 0],
    )


def fit_without(given: Rows, goals: np.ndarray, own: np.ndarray) -> np.ndarray:
    """What a fit on the other rows says, the rest of the action made as heavy as all of it."""
    kept = np.setdiff1d(np.arange(len(given)), own)
    weight = given.weight.astype(np.float64)
    same = given.target == given.target[own[0]]
    rest = np.setdiff1d(np.flatnonzero(same), own)
    weight[rest] *= weight[same].sum() / weight[rest].sum()
    kernel = gram(given, FACTORS).astype(np.float64)
    matrix = kernel[np.ix_(kept, kept)]
    matrix += np.diag(PENALTY * given.weight.sum() / weight[kept])
    return kernel[np.ix_(own, kept)] @ np.linalg.solve(matrix, goals[kept])


@pytest.mark.parametrize("source", [0, 3, 19])
def test_left_out_is_a_fit_without(source: int) -> None:
    given = rows()
    goals = np.random.default_rng(1).normal(size=(len(given), 4)).astype(np.float32)
    own = np.flatnonzero(given.source == source)
    found = solve(given, goals, FACTORS, PENALTY).left_out(given, given.source)[own]
    np.testing.assert_allclose(found, fit_without(given, goals, own), atol=1e-5)


def test_layers_say_what_the_kernel_says() -> None:
    given = rows()
    goals = np.random.default_rng(1).normal(size=(len(given), 4)).astype(np.float32)
    solution = solve(given, goals, FACTORS, PENALTY)
    picture, pose, bias = solution.layers(given)
    layered = given.picture @ picture + given.pose @ pose + bias
    np.testing.assert_allclose(layered, gram(given, FACTORS) @ solution.coefficients, atol=1e-3)
    assert np.corrcoef(layered.ravel(), goals.ravel())[0, 1] > 0.3


def test_members_are_every_row_once() -> None:
    found = members(np.array([4, 2, 4, 9]))
    assert [part.tolist() for part in found] == [[1], [0, 2], [3]]

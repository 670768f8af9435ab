"""New columns of a head in closed form, and what they say of sources that they have not seen.

Ridge regression by its dual on the windows of the memory and the new ones, with the picture's and
the pose's kernel added. Leaving a source out costs one small system: with the inverse V of the
penalised kernel and its solution A, rows G that are left out are predicted as
Y_G - inverse(V_GG) A_G, exactly what a fit without them would say; where the weights of other rows
change too, these join G in the system.

Source: Saunders et al. 1998, "Ridge Regression Learning Algorithm in Dual Variables"; Rifkin and
Lippert 2007, "Notes on Regularized Least Squares", section 3, for leaving out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.integer]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """N windows as the closed-form layers read them.

    picture, pose: float32 [N, P] and [N, R], as `Memory` keeps them.
    target:        [N]: number of the label, K for no known action.
    source, clip:  [N]: windows of one number come from one source, from one clip.
    weight:        float32 [N].
    closed, order: float32 [N, K + 1]: scores by heads that have not seen the row's source.
    moves:         float32 [N], log of the change between looks.
    """

    picture: Floats
    pose: Floats
    target: Ints
    source: Ints
    clip: Ints
    weight: Floats
    closed: Floats
    order: Floats
    moves: Floats

    def __len__(self) -> int:
        return len(self.target)


def gram(rows: Rows, factors: tuple[float, float]) -> Floats:
    """The kernel [N, N] of picture and pose, with 1 for the bias."""
    picture, pose = (np.float32(factor) for factor in factors)
    total = picture * (rows.picture @ rows.picture.T) + pose * (rows.pose @ rows.pose.T)
    kernel: Floats = total + np.float32(1)
    return kernel


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """Coefficients [N, C] of rows, what each row gets from a fit without its source [N, C], and
    the factors of picture and pose."""

    coefficients: Floats
    left_out: Floats
    factors: tuple[float, float]

    def layers(self, rows: Rows) -> tuple[Floats, Floats, Floats]:
        """Weights of the picture [P, C] and of the pose [R, C], and the bias [C]."""
        picture, pose = (np.float32(factor) for factor in self.factors)
        return (
            picture * (rows.picture.T @ self.coefficients),
            pose * (rows.pose.T @ self.coefficients),
            self.coefficients.sum(axis=0),
        )


def solve(rows: Rows, goals: Floats, factors: tuple[float, float], penalty: float) -> Solution:
    """Fit goals [N, C] on all rows, and leave each source out once.

    What is left of an action then weighs as much as the whole of it did.
    """
    kernel = gram(rows, factors).astype(np.float64)
    weight = rows.weight.astype(np.float64)
    share = penalty * weight.sum()
    kernel[np.diag_indices(len(kernel))] += share / weight
    inverse = np.linalg.inv(kernel)
    coefficients = inverse @ goals
    left_out = np.empty_like(coefficients)
    for own in members(rows.source):
        others = np.flatnonzero(rows.target == rows.target[own[0]])
        others = others[rows.source[others] != rows.source[own[0]]]
        left, gone = weight[others].sum(), weight[own].sum()
        changed = np.concatenate([own, others])
        part = inverse[np.ix_(changed, changed)]
        if left > 0:  # their penalty falls by share / weight * gone / (left + gone)
            less = share / weight[others] * gone / (left + gone)
            at = np.arange(len(own), len(changed))
            part[at, at] -= 1 / less
        left_out[own] = goals[own] - np.linalg.solve(part, coefficients[changed])[: len(own)]
    return Solution(coefficients.astype(np.float32), left_out.astype(np.float32), factors)


def members(numbers: Ints) -> list[Ints]:
    """The rows of each number."""
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order])) + 1
    return [part for part in np.split(order, starts) if len(part)]

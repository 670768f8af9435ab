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

from dataclasses import dataclass, replace

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
    """A fit of goals [N, C]: coefficients [N, C] of rows, and what leaving rows out needs.

    inverse: of the penalised kernel, float64 [N, N].   share: what a row's penalty is over its
    weight.   factors: of picture and pose.
    """

    goals: Floats
    coefficients: NDArray[np.floating]
    inverse: NDArray[np.floating]
    share: float
    factors: tuple[float, float]

    def of(self, goals: Floats) -> Solution:
        """The fit of other goals."""
        return replace(self, goals=goals, coefficients=self.inverse @ goals)

    def layers(self, rows: Rows) -> tuple[Floats, Floats, Floats]:
        """Weights of the picture [P, C] and of the pose [R, C], and the bias [C]."""
        picture, pose = (np.float32(factor) for factor in self.factors)
        coefficients = self.coefficients.astype(np.float32)
        return (
            picture * (rows.picture.T @ coefficients),
            pose * (rows.pose.T @ coefficients),
            coefficients.sum(axis=0),
        )

    def left_out(self, rows: Rows, group: Ints) -> Floats:
        """What each row [N, C] gets from a fit without its group.

        What is left of an action then weighs as much as the whole of it did.
        """
        weight = rows.weight.astype(np.float64)
        said = np.empty_like(self.coefficients)
        for own in members(group):
            others = np.flatnonzero(rows.target == rows.target[own[0]])
            others = others[group[others] != group[own[0]]]
            left, gone = weight[others].sum(), weight[own].sum()
            changed = np.concatenate([own, others])
            part = self.inverse[np.ix_(changed, changed)]
            if left > 0:  # the others' penalty falls by share / weight * gone / (left + gone)
                at = np.arange(len(own), len(changed))
                part[at, at] -= weight[others] / self.share * (left + gone) / gone
            said[own] = (
                self.goals[own] - np.linalg.solve(part, self.coefficients[changed])[: len(own)]
            )
        return said.astype(np.float32)


def solve(rows: Rows, goals: Floats, factors: tuple[float, float], penalty: float) -> Solution:
    """Fit goals [N, C] on all rows."""
    kernel = gram(rows, factors).astype(np.float64)
    weight = rows.weight.astype(np.float64)
    share = penalty * weight.sum()
    kernel[np.diag_indices(len(kernel))] += share / weight
    inverse = np.linalg.inv(kernel)
    return Solution(goals, inverse @ goals, inverse, share, factors)


def members(numbers: Ints) -> list[Ints]:
    """The rows of each number."""
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order])) + 1
    return [part for part in np.split(order, starts) if len(part)]

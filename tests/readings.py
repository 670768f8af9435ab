"""Comparing readings number by number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from actionstream.results import Reading

EXACT = ("status", "time_seconds", "looks_seen", "label", "known", "shown")
CLOSE = ("known_score", "shown_confidence")


def same_readings(
    left: Sequence[Reading], right: Sequence[Reading], *, tolerance: float = 1e-6
) -> None:
    """Assert that all but the ages are alike. 1e-6 is float32 rounding in another grouping."""
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        assert fields(one, EXACT) == fields(other, EXACT)
        np.testing.assert_allclose(
            fields(one, CLOSE), fields(other, CLOSE), rtol=0, atol=tolerance, err_msg=repr(one)
        )
        np.testing.assert_allclose(
            numbers(one), numbers(other), rtol=0, atol=tolerance, err_msg=repr(one)
        )


def fields(reading: Reading, names: Sequence[str]) -> list[object]:
    return [getattr(reading, name) for name in names]


def numbers(reading: Reading) -> NDArray[np.float32]:
    """The probabilities; none at all while warming up."""
    return np.empty(0, np.float32) if reading.probabilities is None else reading.probabilities

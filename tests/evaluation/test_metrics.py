"""Figures by hand, and laws of the intervals."""

from __future__ import annotations

import numpy as np
import pytest

from actionstream.evaluation.metrics import (
    area_under_roc,
    expected_calibration_error,
    grouped_mean,
    mean_over_classes,
)


def test_the_mean_is_the_plain_mean_and_lies_in_its_interval() -> None:
    values = [1.0, 0.0, 1.0, 1.0]
    figure = grouped_mean(values, ["a", "a", "b", "c"])
    assert figure.value == 0.75
    assert figure.low <= 0.75 <= figure.high
    assert figure == grouped_mean(values, ["a", "a", "b", "c"])


def test_fewer_groups_give_a_wider_interval() -> None:
    random = np.random.default_rng(0)
    by_group = np.repeat(random.integers(0, 2, 40), 10).astype(float)
    apart = grouped_mean(by_group, [str(i) for i in range(400)])
    together = grouped_mean(by_group, [str(i // 10) for i in range(400)])
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_one_group_has_no_width_and_no_value_is_refused() -> None:
    figure = grouped_mean([1.0, 0.0], ["a", "a"])
    assert (figure.low, figure.high) == (0.5, 0.5)
    with pytest.raises(ValueError, match="at least one"):
        grouped_mean([], [])


def test_every_class_counts_the_same() -> None:
    assert mean_over_classes([1, 1, 1, 0], [0, 0, 0, 1]) == 0.5


def test_calibration_error_by_hand() -> None:
    assert expected_calibration_error([0.9, 0.9], [1, 1]) == pytest.approx(0.1)
    assert expected_calibration_error([0.9, 0.9, 0.3], [1, 0, 0]) == pytest.approx(
        0.4 * 2 / 3 + 0.3 / 3
    )


def test_edges_of_the_bins_belong_to_the_bin_above() -> None:
    """Two bins: 0.5 joins 0.9 and not 0.1, and 1.0 is in the last."""
    sure, correct = [0.1, 0.5, 0.9, 1.0], [0, 0, 1, 1]
    expected = (0.1 + abs(0.5 + 0.9 + 1.0 - 2)) / 4
    assert expected_calibration_error(sure, correct, bins=2) == pytest.approx(expected)


def test_both_are_what_torchmetrics_gave() -> None:
    """Computed once with torchmetrics 1.9 on the same numbers; many scores are equal."""
    random = np.random.default_rng(7)
    sure = np.round(random.uniform(0.2, 0.999, 200), 3)
    correct = (random.random(200) < sure**1.5).astype(float)
    assert expected_calibration_error(sure, correct) == pytest.approx(0.130425, abs=1e-9)
    positive = np.round(random.normal(0.7, 0.2, 80), 1)
    negative = np.round(random.normal(0.5, 0.2, 60), 1)
    assert area_under_roc(positive, negative) == pytest.approx(0.7813540697097778, abs=2e-7)


def test_area_under_roc_by_hand() -> None:
    assert area_under_roc([0.9, 0.8], [0.1]) == 1.0
    assert area_under_roc([0.5], [0.5]) == 0.5
    assert area_under_roc([0.2, 0.9], [0.5]) == 0.5

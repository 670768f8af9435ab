"""The OOD score: 0 to 1, by the stated formulas."""

from __future__ import annotations

import math

import pytest
import torch

from actionstream.errors import TrainingError
from actionstream.networks.ood import STATISTICS, OODScore, build_inference_head

pytestmark = pytest.mark.torch

LOGITS = torch.tensor([[2.0, 0.0, 0.0], [1.0, 1.0, 1.0], [-3.0, 5.0, 0.0]])
WINDOWS = torch.stack([torch.full((16, 4), float(value)) for value in (1, 2, 3)])


def test_largest_probability_by_hand() -> None:
    known = OODScore("max_probability", 4, 3)
    known.temperature.fill_(2.0)
    expected = [math.e / (math.e + 2), 1 / 3, math.exp(2.5) / (math.exp(-1.5) + math.exp(2.5) + 1)]
    torch.testing.assert_close(known(WINDOWS, LOGITS), torch.tensor(expected))


def test_energy_by_hand() -> None:
    known = OODScore("energy", 4, 3)
    known.centre.fill_(1.0)
    known.width.fill_(0.5)
    energy = math.log(math.exp(2) + 2)
    expected = 1 / (1 + math.exp(-(energy - 1) / 0.5))
    assert float(known(WINDOWS, LOGITS)[0]) == pytest.approx(expected, abs=1e-6)


def test_statistics_by_hand() -> None:
    known = OODScore("logistic", 4, 3, projection_size=2)
    known.class_means.copy_(torch.tensor([[1.0, 1.0], [4.0, 5.0], [0.0, 0.0]]))
    statistics = known.statistics(WINDOWS, LOGITS)
    assert statistics.shape == (3, len(STATISTICS))
    uniform = dict(zip(STATISTICS, statistics[1].tolist(), strict=True))
    assert uniform["max_probability"] == pytest.approx(1 / 3, abs=1e-6)
    assert uniform["energy"] == pytest.approx(1 + math.log(3), abs=1e-6)
    assert uniform["margin"] == pytest.approx(0.0, abs=1e-6)
    assert uniform["entropy"] == pytest.approx(1.0, abs=1e-6)
    assert uniform["nearest_distance"] == pytest.approx(math.sqrt(2), abs=1e-6)
    third = dict(zip(STATISTICS, statistics[2].tolist(), strict=True))
    assert third["margin"] == pytest.approx(5.0, abs=1e-6)
    assert third["own_distance"] == pytest.approx(math.sqrt(1 + 4), abs=1e-6)


def test_the_logistic_score_is_the_regression_on_standardised_statistics() -> None:
    known = OODScore("logistic", 4, 3, projection_size=2)
    known.statistic_mean.copy_(torch.arange(6) / 10)
    known.statistic_std.copy_(torch.arange(1, 7) / 2)
    known.weight.copy_(torch.tensor([1.0, -1.0, 0.5, 0.0, -0.2, 0.3]))
    known.bias.fill_(0.25)
    standardised = (known.statistics(WINDOWS, LOGITS) - known.statistic_mean) / known.statistic_std
    expected = torch.sigmoid(standardised @ known.weight + 0.25)
    torch.testing.assert_close(known(WINDOWS, LOGITS), expected)
    assert len(set(expected.tolist())) == 3


@pytest.mark.parametrize("kind", ["max_probability", "energy", "logistic"])
@pytest.mark.parametrize("num_classes", [1, 2, 27])
def test_it_is_between_0_and_1_whatever_comes(kind: str, num_classes: int) -> None:
    inference_head = build_inference_head("mean", 40, num_classes, {"known": kind})
    if kind == "logistic":
        inference_head.known.weight.fill_(0.1)
    wild = torch.randn(6, 16, 40) * torch.tensor([0.0, 1e-3, 1, 10, 100, 1000]).view(6, 1, 1)
    logits, score = inference_head(wild)
    assert logits.shape == (6, num_classes)
    assert score.shape == (6,)
    assert torch.isfinite(score).all()
    assert ((score >= 0) & (score <= 1)).all()


def test_nothing_of_it_is_trained_by_the_optimiser() -> None:
    assert not list(OODScore("logistic", 4, 3).parameters())


def test_options_round_trip() -> None:
    options = {"hidden": 8, "known": "logistic", "known_projection": 7}
    inference_head = build_inference_head("lstm", 12, 3, options)
    again = build_inference_head("lstm", 12, 3, inference_head.options)
    again.load_state_dict(inference_head.state_dict())
    assert inference_head.options == again.options
    assert inference_head.options["known_projection"] == 7
    with pytest.raises(TrainingError, match="must be one of max_probability, energy, logistic"):
        build_inference_head("lstm", 12, 3, {"known": "oracle"})

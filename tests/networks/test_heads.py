"""Heads: shapes, laws, and the numbers of a small case worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from actionstream.errors import TrainingError
from actionstream.networks.heads import HEADS, Front, LSTMHead, Summary, build_head

pytestmark = pytest.mark.torch

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("lstm", {}),
    ("lstm", {"hidden": 8, "layers": 2, "dropout": 0.2}),
    ("lstm", {"hidden": 8, "project": 4, "normalise": "l2"}),
    ("lstm", {"hidden": 8, "direct": False, "normalise": "none", "readout": "mean"}),
    ("lstm", {"hidden": 8, "differences": True, "input_dropout": 0.3}),
    ("lstm", {"hidden": 8, "differences": True, "deviation": True, "evidence": True}),
    ("mean", {}),
    ("mean", {"differences": True, "deviation": True}),
]


def features(count: int, size: int = 12, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 16, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_a_batch_is_as_many_single_calls(name: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    head = build_head(name, 12, 5, **options).eval()
    windows = features(7)
    if isinstance(head, LSTMHead):
        head.fit(head.read_evidence(features(30, seed=1)))
    together = head(windows)
    assert together.shape == (7, 5)
    assert together.std(dim=0).min() > 1e-4  # the windows matter
    apart = torch.cat([head(windows[i : i + 1]) for i in range(7)])
    torch.testing.assert_close(together, apart, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_the_options_build_it_again(name: str, options: dict[str, Any]) -> None:
    head = build_head(name, 12, 5, **options).eval()
    again = build_head(head.name, 12, 5, **head.options).eval()
    assert {**head.options, **options} == dict(again.options)
    again.load_state_dict(head.state_dict())
    torch.testing.assert_close(again(features(2)), head(features(2)))


def test_every_head_has_a_variant_here() -> None:
    assert {name for name, _ in VARIANTS} == set(HEADS)


def test_the_lstm_sees_the_order_and_the_mean_does_not() -> None:
    torch.manual_seed(0)
    window = features(1)
    lstm, mean = build_head("lstm", 12, 5).eval(), build_head("mean", 12, 5).eval()
    assert (lstm(window) - lstm(window.flip(1))).abs().max() > 1e-3
    torch.testing.assert_close(mean(window), mean(window.flip(1)), atol=1e-5, rtol=0)


def test_the_last_look_matters_most_to_the_last_readout() -> None:
    torch.manual_seed(0)
    head = build_head("lstm", 12, 5, hidden=16, direct=False).eval()
    window = features(1)

    def moved(look: int) -> float:
        changed = window.clone()
        changed[:, look] += 1.0
        return (head(changed) - head(window)).abs().max().item()

    assert moved(15) > 3 * moved(0) > 0


def test_the_summary_by_hand() -> None:
    looks = torch.zeros(1, 16, 2)
    looks[0, :, 0] = torch.arange(16)  # rises by 1 a look
    looks[0, 1::2, 1] = 4.0  # 0 4 0 4 ...
    parts = Summary(2, differences=True, deviation=True)(looks)
    deviation = (255 / 12) ** 0.5  # of 0..15
    torch.testing.assert_close(parts, torch.tensor([[7.5, 2.0, 1.0, 4.0, deviation, 2.0]]))
    assert Summary(2, differences=False, deviation=False)(looks).tolist() == [[7.5, 2.0]]


def test_the_direct_path_adds_to_the_lstm() -> None:
    torch.manual_seed(0)
    head = build_head("lstm", 12, 5, hidden=8, differences=True).eval()
    window = features(3)
    direct = build_head("mean", 12, 5, differences=True).eval()
    direct.load_state_dict({k: v for k, v in head.state_dict().items() if k.startswith("direct.")})
    assert isinstance(head, LSTMHead)
    torch.testing.assert_close(head(window), head.read_order(window) + direct(window))
    assert build_head("lstm", 12, 5, direct=False).read_direct(window) == 0.0


def test_standard_features_have_mean_0_and_deviation_1() -> None:
    front = Front(12, normalise="standard")
    training = features(50) * torch.linspace(1, 9, 12) + 5
    front.fit(training)
    looks = front(training)
    torch.testing.assert_close(looks.mean(dim=(0, 1)), torch.zeros(12), atol=1e-4, rtol=0)
    torch.testing.assert_close(looks.std(dim=(0, 1)), torch.ones(12), atol=1e-2, rtol=0)


def test_a_channel_that_never_moved_is_not_blown_up() -> None:
    front = Front(12, normalise="standard")
    training = features(50)
    training[:, :, 3] = 2.0
    front.fit(training)
    moved = torch.full((1, 16, 12), 2.5)
    assert front(moved).abs().max() < 10


def test_l2_forgets_the_length_of_each_look() -> None:
    front = Front(12, normalise="l2")
    looks = features(2)
    scaled = looks * torch.rand(2, 16, 1).add(0.5)
    torch.testing.assert_close(front(looks), front(scaled), atol=1e-5, rtol=0)
    assert torch.isfinite(front(torch.zeros(1, 16, 12))).all()


def test_dropout_works_in_training_only() -> None:
    head = LSTMHead(12, 5, dropout=0.5)
    window = features(1)
    assert not torch.equal(head.train()(window), head(window))
    assert torch.equal(head.eval()(window), head(window))


def test_the_classic_head_has_the_classic_parameters() -> None:
    head = build_head("lstm", 512, 101, hidden=256, normalise="none", direct=False)
    count = sum(p.numel() for p in head.parameters())
    assert count == 4 * 256 * (512 + 256 + 2) + 101 * 257
    assert not list(head.buffers())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gru", {}, "there are lstm, mean"),
        ("lstm", {"width": 3}, "unexpected keyword argument 'width'"),
        ("lstm", {"readout": "first"}, "readout must be one of last, mean, got 'first'"),
        ("lstm", {"normalise": "batch"}, "normalise must be one of none, l2, standard"),
        ("lstm", {"direct": False, "differences": True}, "need the direct path"),
        ("lstm", {"dropout": 5}, "head 'lstm' with options {'dropout': 5}: dropout probability"),
        ("lstm", {"hidden": 0}, "hidden_size must be greater than zero"),
        ("lstm", {"layers": 0}, "num_layers must be greater than zero"),
        ("lstm", {"project": -1}, "head 'lstm' with options {'project': -1}: "),
        ("mean", {"name": "x"}, "unexpected keyword argument 'name'"),
    ],
)
def test_wrong_wishes_are_clear_errors(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        build_head(name, 12, 5, **options)

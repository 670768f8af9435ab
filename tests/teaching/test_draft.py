"""Actions go into a head and out of it, on made-up numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from memories import small_memory

from actionstream.errors import DatasetError
from actionstream.teaching.draft import Draft, Learned, learn, remembered, thinned
from actionstream.teaching.estimate import (
    LEARNING,
    calibrate,
    estimate,
    expected,
    with_all,
    with_refusals,
)
from actionstream.teaching.head import Layer, Probe

PICTURES, POSES, HIDDEN = 12, 6, 4
KNOWN = {
    "statistic_mean": np.zeros(2),
    "statistic_std": np.ones(2),
    "weight": np.ones(2),
    "bias": np.float32(0),
}


def draft() -> Draft:
    random = np.random.default_rng(5)
    sizes = {"picture": PICTURES, "pose": POSES, "order": HIDDEN}
    layers = {
        name: Layer(
            random.normal(0, 0.1, (4, size)).astype(np.float32),
            random.normal(0, 0.1, 4).astype(np.float32),
        )
        for name, size in sizes.items()
    }
    return Draft(("a", "b", "c"), layers, small_memory(3))


def probe(labels: int = 2, clips: int = 5, seed: int = 1) -> tuple[Probe, np.ndarray]:
    """Two windows of every clip; each label around a place of its own."""
    random = np.random.default_rng(seed)
    number = np.repeat(np.arange(labels), clips * 2)
    size = PICTURES + POSES
    rows = 3 * random.normal(size=(labels, size))[number] + random.normal(size=(len(number), size))
    order = random.normal(size=(len(number), HIDDEN))
    parts = (rows[:, :PICTURES], rows[:, PICTURES:], order)
    return Probe(*(part.astype(np.float32) for part in parts)), number


def taught(
    first: Draft | None = None, names: tuple[str, ...] = ("x", "y"), seed: int = 1
) -> Learned:
    first = first or draft()
    read, number = probe(len(names), seed=seed)
    clip = np.arange(len(number)) // 2
    rows = first.rows(read, number + len(first.labels), clip // 2, clip, np.full(len(number), -1.0))
    return learn(first, names, rows)


def scores(of: Draft, read: Probe) -> np.ndarray:
    return sum(getattr(read, name) @ one.weight.T + one.bias for name, one in of.layers.items())


def test_taught_actions_are_known() -> None:
    found = taught()
    read, number = probe()
    assert found.draft.labels == ("a", "b", "c", "x", "y")
    assert found.draft.taught == ("x", "y")
    said = scores(found.draft, read)[:, :-1].argmax(axis=1)
    assert (said == number + 3).mean() > 0.95
    assert found.draft.memory.num_labels == 5
    assert len(found.draft.memory.target) == 24 + 20


def test_the_rows_of_the_new_layers_say_what_the_memory_was_solved_for() -> None:
    """Through means, deviations and roots of both paths: what the graph will say of new windows is
    what the solution says of their rows."""
    first = draft()
    read, number = probe()
    clip = np.arange(len(number)) // 2
    rows = first.rows(read, number + 3, clip // 2, clip, np.full(len(number), -1.0))
    before = scores(first, read)
    np.testing.assert_allclose(rows.closed + rows.order, before, atol=1e-5)


def test_order_says_nothing_of_new_actions() -> None:
    layer = taught().draft.layers["order"]
    assert not layer.weight[3:5].any()
    assert not layer.bias[3:5].any()
    np.testing.assert_array_equal(layer.weight[[0, 1, 2, 5]], draft().layers["order"].weight)


def test_forgetting_leaves_the_other_scores_as_they_were() -> None:
    whole = taught().draft
    fewer = whole.forget(["b", "x"])
    read, _ = probe(seed=9)
    assert fewer.labels == ("a", "c", "y")
    assert fewer.taught == ("y",)
    np.testing.assert_array_equal(scores(fewer, read), scores(whole, read)[:, [0, 2, 4, 5]])
    kept = np.isin(whole.memory.target, [0, 2, 4, 5])
    np.testing.assert_array_equal(fewer.memory.closed, whole.memory.closed[kept][:, [0, 2, 4, 5]])
    assert fewer.memory.target.max() == 3


def test_forgetting_in_any_order_is_the_same() -> None:
    whole = taught().draft
    one, other = whole.forget(["x"]).forget(["a"]), whole.forget(["a", "x"])
    for name in one.layers:
        np.testing.assert_array_equal(one.layers[name].weight, other.layers[name].weight)
    np.testing.assert_array_equal(one.memory.target, other.memory.target)


def test_taught_twice_knows_both() -> None:
    twice = taught(taught(names=("x", "y")).draft, names=("z",), seed=7).draft
    assert twice.labels == ("a", "b", "c", "x", "y", "z")
    assert twice.taught == ("x", "y", "z")
    for read, number, first in ((*probe(), 3), (*probe(1, seed=7), 5)):
        assert (scores(twice, read)[:, :-1].argmax(axis=1) == number + first).mean() > 0.9


def test_renaming_changes_names_alone() -> None:
    named = taught().draft.rename({"x": "wave", "a": "walk"})
    assert named.labels == ("walk", "b", "c", "wave", "y")
    assert named.taught == ("wave", "y")
    with pytest.raises(DatasetError, match="must differ"):
        named.rename({"wave": "walk"})


def test_only_the_new() -> None:
    found = taught(draft().without_old())
    assert found.draft.labels == ("x", "y")
    assert (found.draft.memory.target == 2).sum() == 6
    assert estimate(found).old_before is None


@pytest.mark.parametrize(
    ("labels", "words"), [(["d"], "does not know d"), (["a", "b", "c"], "nothing would be left")]
)
def test_what_cannot_be_forgotten(labels: list[str], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        draft().forget(labels)


def test_the_estimate_says_what_it_rests_on() -> None:
    found = estimate(taught(), guessed=["y"])
    assert found.clips == {"x": 5, "y": 5}
    assert found.sources == {"x": 3, "y": 3}
    assert found.mean_recall > 0.8
    assert found.old_before == 1.0
    assert found.warnings == (
        "the names of 'y''s clips tell no sources, so each counts as one: if some show the same "
        "place, expect less elsewhere",
    )


def test_errors_fall_with_every_source() -> None:
    assert with_all(1.0, 2) == 1
    assert with_all(0.5, 2) == pytest.approx(1 - 0.5 * 0.5**LEARNING)
    assert 0.5 < with_all(0.5, 20) < with_all(0.5, 5) < with_all(0.5, 2)


def test_what_is_expected_lies_between_a_new_place_and_a_known_one() -> None:
    assert expected(0.6, 0.9, 2, 5) == pytest.approx(0.8 / 3 + 2 * 0.92 / 3)
    assert expected(0.6, 0.6, 5, 5) == pytest.approx(with_all(0.6, 5))
    assert expected(0.1, 0.9, 3, 6) == 0.1
    assert expected(0.1, 0.8, 1, 5) == pytest.approx(0.84)


def test_one_place_and_few_clips_are_warned_of() -> None:
    first = draft()
    read, number = probe(1, clips=3)
    clip = np.arange(6) // 2
    rows = first.rows(read, number + 3, clip * 0, clip, np.full(6, -1.0))
    words = estimate(learn(first, ("wave",), rows)).warnings
    assert words[0] == "few clips of wave (3): their figures may be far off"
    assert words[1] == "all clips of 'wave' come from one place: expect less elsewhere"


def test_two_actions_that_are_one_look_alike() -> None:
    first = draft()
    read, number = probe(1, clips=10)
    clip = np.arange(len(number)) // 2
    rows = first.rows(read, 3 + clip % 2, clip, clip, np.full(len(number), -1.0))
    found = estimate(learn(first, ("hop", "skip"), rows))
    assert found.mean_recall < 0.8
    assert any("looks like" in words for words in found.warnings)
    assert {(one.label, one.said) for one in found.confusions} >= {("hop", "skip")}


def test_refusals_are_counted_by_action_and_of_nothing() -> None:
    first = draft()
    read, number = probe(2)
    clip = np.arange(len(number)) // 2
    target = np.where(number == 0, 3, 4)  # the second place is one of nothing
    rows = first.rows(read, target, clip // 2, clip, np.full(len(number), -1.0))
    learned = learn(first, ("x",), rows)
    none, all_ = (with_refusals(estimate(learned), learned, KNOWN, at) for at in (-1.0, 2.0))
    assert (none.refused, none.nothing_refused) == ({"x": 0.0}, 0.0)
    assert (all_.refused, all_.nothing_refused) == ({"x": 1.0}, 1.0)
    assert "'x' is often refused as no known action: 100% of its clips" in all_.warnings
    assert not any("refused" in words for words in none.warnings)
    between = with_refusals(estimate(learned), learned, KNOWN, 0.8)
    assert between.nothing_refused is not None
    assert between.nothing_refused > between.refused["x"]


def test_thresholds_only_fall() -> None:
    doubtful = {**KNOWN, "bias": np.float32(-6)}
    low = calibrate(taught(), doubtful, 0.9, 0.8)
    high = calibrate(taught(), KNOWN, 0.01, 0.02)
    assert low.threshold == 0.45  # half, though these scores would let it fall further
    assert low.known_threshold == pytest.approx(0.8 * low.threshold / 0.9)
    assert (high.threshold, high.known_threshold) == (0.01, 0.02)
    assert 0.25 <= low.temperature <= 4


def test_a_memory_that_grows_too_large_is_thinned_evenly() -> None:
    rows = remembered(small_memory(3))
    kept = thinned(replace(rows, target=np.minimum(rows.target, 2)), 12)
    assert len(kept) == 12
    assert np.bincount(np.minimum(rows.target, 2)[kept]).tolist() == [4, 4, 4]

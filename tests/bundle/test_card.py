"""The card is read strictly: nothing missing, nothing extra, nothing of another type."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actionstream.bundle import card as cards
from actionstream.bundle.card import BUNDLE_FILES, Card
from actionstream.errors import BundleError
from actionstream.inference import preprocess
from actionstream.inference.pose import POSE_SIZE
from actionstream.inference.pose import fingerprint as finder
from actionstream.inference.postprocess import SmoothingRule
from actionstream.inference.preprocess import Geometry, fingerprint
from actionstream.inference.sampling import SamplingRule

GEOMETRY = Geometry(224, 0.875)
FREE = {"head.options", "training.clips_per_label", "training.recipe", "measured.per_class"}
FREE |= {"versions", "files"}  # maps whose keys the card does not prescribe (files: checked apart)


def valid() -> dict[str, Any]:
    """A card that is right in every key."""
    return {
        "schema_version": 1,
        "name": "lite0",
        "labels": ["Lunges", "PushUps", "Punch"],
        "encoder": {"name": "efficientnet_lite0", "feature_size": 1280, "precision": "float32"},
        "head": {"name": "lstm", "options": {"hidden_size": 128, "mean_path": True}},
        "geometry": {"input_size": 224, "window_fraction": 0.875},
        "spacing_seconds": 0.2,
        "ready_after": 4,
        "reset_after_seconds": 2.0,
        "temperature": 1.5,
        "file_temperature": 0.7,
        "threshold": 0.5,
        "known_threshold": 0.4,
        "smooth_tau_seconds": 0.6,
        "hold_seconds": 0.4,
        "switch_margin": 0.1,
        "preprocessing_fingerprint": preprocess.fingerprint(GEOMETRY, 0.2),
        "files": {name: hashlib.sha256(name.encode()).hexdigest() for name in BUNDLE_FILES},
        "training": {
            "data": "UCF101",
            "split": "1, training list",
            "clips": 30,
            "clips_per_label": {"Lunges": 10, "PushUps": 10, "Punch": 10},
            "no_action_clips": 5,
            "lists": "0123456789abcdef",
            "comparable": True,
            "recipe": {"epochs": 25, "seeds": [1, 2]},
            "command": "actionstream train --data DIR",
        },
        "measured": {
            "figures": [
                {
                    "name": "top-1",
                    "value": 0.9,
                    "low": 0.85,
                    "high": 0.94,
                    "evaluated": 20,
                    "listed": 22,
                    "how": "Wilson interval",
                }
            ],
            "per_class": {"Lunges": 0.8, "PushUps": 1.0, "Punch": 0.9},
        },
        "limits": ["one person at a time"],
        "versions": {"torch": "2.0"},
        "licence": {"code": "MIT", "weights": "MIT", "data": "research only"},
    }


def parse(content: object) -> Card:
    return cards.parse(json.dumps(content), "some/card.json")


def objects(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all objects in the card whose keys are prescribed, the card itself first."""
    if isinstance(value, dict) and ".".join(map(str, path)) not in FREE:
        yield path
        for key, inner in value.items():
            yield from objects(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from objects(inner, (*path, index))


def at(content: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        content = content[part]
    return content


OPTIONAL = {"PoseCard", "TaughtCard", "ConfusionCard"}
OBJECTS = list(objects(valid()))
KEYS = [(*path, key) for path in OBJECTS for key in at(valid(), path)]


def dotted(path: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in path) or "card"


def test_the_sweeps_below_reach_every_key() -> None:
    models = [
        model
        for name, model in vars(cards).items()
        if name.endswith("Card") and name not in OPTIONAL
    ]
    assert len(OBJECTS) == len(models) == 8
    required = [key for model in models for key in model.model_fields.values() if key.is_required()]
    assert len(KEYS) == len(required)


def test_a_right_card_is_read() -> None:
    card = parse(valid())
    assert card.labels == ("Lunges", "PushUps", "Punch")
    assert card.input_geometry == GEOMETRY
    assert card.sampling == SamplingRule(0.2, 2.0)
    assert card.smoothing == SmoothingRule(0.5, 0.6, 0.4, 0.1)
    assert card.measured.figures[0].evaluated == 20
    assert card.head.options == {"hidden_size": 128, "mean_path": True}
    assert type(card.head.options["mean_path"]) is bool


def test_written_and_read_it_is_the_same() -> None:
    card = parse(valid())
    text = cards.dump(card)
    assert cards.parse(text) == card
    assert cards.dump(cards.parse(text.encode())) == text
    assert json.loads(text) == valid()
    assert text.startswith('{\n  "schema_version": 1,\n  "name": "lite0",\n')
    assert text.endswith("}\n")


@pytest.mark.parametrize("path", KEYS, ids=dotted)
def test_every_missing_key_is_named(path: tuple[Any, ...]) -> None:
    content = valid()
    del at(content, path[:-1])[path[-1]]
    with pytest.raises(BundleError) as caught:
        parse(content)
    assert caught.value.problems == (f"{dotted(path)}: key is missing",)
    assert caught.value.source == "some/card.json"


@pytest.mark.parametrize("path", OBJECTS, ids=dotted)
def test_every_extra_key_is_named(path: tuple[Any, ...]) -> None:
    content = valid()
    at(content, path)["colour"] = "blue"
    with pytest.raises(BundleError) as caught:
        parse(content)
    assert caught.value.problems == (f"{dotted((*path, 'colour'))}: unknown key",)


@pytest.mark.parametrize("path", KEYS, ids=dotted)
def test_every_value_of_another_type_is_named(path: tuple[Any, ...]) -> None:
    """null is right nowhere; neither is a number written as text, or text as a number."""
    right = at(valid(), path)
    wrong: list[object] = [None, str(right) if isinstance(right, int | float) else 7]
    for value in wrong:
        content = valid()
        at(content, path[:-1])[path[-1]] = value
        with pytest.raises(BundleError) as caught:
            parse(content)
        assert all(problem.startswith(dotted(path)) for problem in caught.value.problems)


def test_all_that_is_wrong_is_listed_at_once() -> None:
    content = valid()
    del content["temperature"]
    del content["encoder"]["name"]
    content["treshold"] = 0.5
    content["spacing_seconds"] = "0.2"
    content["labels"] = ["Lunges", 2]
    with pytest.raises(BundleError) as caught:
        parse(content)
    starts = sorted(problem.split(":")[0] for problem in caught.value.problems)
    assert starts == ["encoder.name", "labels.1", "spacing_seconds", "temperature", "treshold"]
    assert str(caught.value).count(";") == 4


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("schema_version", 3, "should be 1 or 2"),
        ("labels", [], "at least 1 item"),
        ("labels", ["PushUps", "PushUps"], "labels must all differ"),
        ("labels", ["PushUps", " "], "none be blank"),
        ("name", "", "at least 1 character"),
        ("encoder.precision", "int4", "'float32', 'float16' or 'int8'"),
        ("encoder.feature_size", 0, "greater than or equal to 1"),
        ("geometry.input_size", 15, "greater than or equal to 16"),
        ("geometry.window_fraction", 1.1, "less than or equal to 1"),
        ("spacing_seconds", 0, "greater than 0"),
        ("ready_after", 17, "less than or equal to 16"),
        ("ready_after", 0, "greater than or equal to 1"),
        ("temperature", 0.0, "greater than 0"),
        ("file_temperature", -1.0, "greater than 0"),
        ("threshold", 1.01, "less than or equal to 1"),
        ("known_threshold", -0.01, "greater than or equal to 0"),
        ("hold_seconds", -0.1, "greater than or equal to 0"),
        (
            "files",
            {},
            "files must name encoder.onnx, head.onnx and may name only weights.safetensors",
        ),
        ("files", dict.fromkeys(BUNDLE_FILES, "abc"), "SHA-256 as 64 hex digits"),
        (
            "files",
            dict.fromkeys((*BUNDLE_FILES, "x.pkl"), "0" * 64),
            "may name only weights.safetensors",
        ),
        ("head.options", {"sizes": [1, 2]}, "valid"),
    ],
)
def test_values_out_of_bounds_are_refused(path: str, value: object, words: str) -> None:
    content = valid()
    *above, key = path.split(".")
    at(content, tuple(above))[key] = value
    with pytest.raises(BundleError, match=path) as caught:
        parse(content)
    assert words in str(caught.value)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_is_refused(value: str) -> None:
    text = json.dumps(valid()).replace('"temperature": 1.5', f'"temperature": {value}')
    assert value in text
    with pytest.raises(BundleError, match="temperature"):
        cards.parse(text)


@pytest.mark.parametrize("gap", [3.1, 100.0])
def test_a_reset_gap_over_15_spacings_is_refused(gap: float) -> None:
    content = valid() | {"reset_after_seconds": gap}
    with pytest.raises(BundleError, match="at most 15 spacings"):
        parse(content)


@pytest.mark.parametrize(
    ("path", "value"),
    [("geometry.input_size", 240), ("geometry.window_fraction", 1.0), ("spacing_seconds", 0.4)],
)
def test_geometry_that_the_network_was_not_trained_with_is_refused(path: str, value: float) -> None:
    content = copy.deepcopy(valid())
    *above, key = path.split(".")
    at(content, tuple(above))[key] = value
    with pytest.raises(BundleError, match="preprocessing_fingerprint is"):
        parse(content)


def test_parts_that_do_not_agree_are_listed() -> None:
    content = valid() | {"reset_after_seconds": 99.0, "preprocessing_fingerprint": "0" * 16}
    with pytest.raises(BundleError) as caught:
        parse(content)
    one, other = caught.value.problems
    assert one.startswith("reset_after_seconds must be above 0 and")
    assert other.startswith("preprocessing_fingerprint is '000")


def with_options() -> dict[str, Any]:
    """A card with all that may be left out."""
    content = valid()
    content["pose"] = {
        "name": "BlazePose lite",
        "source": "a package",
        "licence": "Apache 2.0",
        "feature_size": POSE_SIZE,
        "finder": finder(),
    }
    spacing = content["spacing_seconds"]
    content["preprocessing_fingerprint"] = fingerprint(GEOMETRY, spacing, finder())
    content["files"] |= dict.fromkeys(cards.OPTIONAL_FILES, "0" * 64)
    content["training"]["groups_per_label"] = {"Lunges": 3, "PushUps": 4, "Punch": 5}
    content["taught"] = {
        "base": "lite2",
        "labels": ["Punch"],
        "estimate": {"Punch": 0.8},
        "left_out": {"Punch": 0.6},
        "refused": {"Punch": 0.2},
        "nothing_refused": None,
        "clips": {"Punch": 5},
        "sources": {"Punch": 1},
        "confusions": [{"label": "Punch", "said": "Lunges", "share": 0.2}],
        "old_before": 0.9,
        "old_after": 0.89,
        "warnings": ["all clips of Punch come from one place"],
    }
    return content


def test_what_may_be_left_out_is_read_and_written() -> None:
    card = parse(with_options())
    assert json.loads(cards.dump(card)) == with_options()
    assert card.look_size == 1280 + 236
    assert card.rules.pose
    assert not parse(valid()).rules.pose
    assert parse(valid()).look_size == 1280
    assert (parse(valid()).pose, parse(valid()).taught) == (None, None)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("pose", "colour"), 1, "pose.colour: unknown key"),
        (("pose", "feature_size"), 235, "pose.feature_size is 235, a pose has 236 numbers"),
        (("pose", "finder"), "0" * 16, "but this version of actionstream finds people as"),
        (
            ("preprocessing_fingerprint",),
            fingerprint(GEOMETRY, 0.2),
            "preprocessing_fingerprint is",
        ),
        (("taught", "estimate", "Punch"), 1.2, "less than or equal to 1"),
        (("taught", "base"), None, "taught.base: "),
        (("pose",), None, "if the card has a pose, and only then"),
        (
            ("files",),
            dict.fromkeys(BUNDLE_FILES, "0" * 64),
            "files must name pose.onnx, person.onnx",
        ),
    ],
)
def test_what_may_be_left_out_is_no_looser(
    path: tuple[str, ...], value: object, words: str
) -> None:
    content = with_options()
    at(content, path[:-1])[path[-1]] = value
    with pytest.raises(BundleError) as caught:
        parse(content)
    assert words in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
ABSENT = object()


@settings(max_examples=150, deadline=None)
@given(damaged=st.dictionaries(st.sampled_from(KEYS), JSON | st.just(ABSENT), max_size=4))
def test_law_any_spoiled_keys_give_one_error_that_names_each_of_them(
    damaged: dict[tuple[Any, ...], object],
) -> None:
    """Whatever stands in any of the keys: a card or one BundleError."""
    content = valid()
    for path, value in damaged.items():
        try:
            if value is ABSENT:
                del at(content, path[:-1])[path[-1]]
            else:
                at(content, path[:-1])[path[-1]] = value
        except (KeyError, IndexError, TypeError):  # what held it is damaged already
            continue
    try:
        cards.parse(json.dumps(content))
    except BundleError as error:
        told = " ".join(error.problems)
        for path in damaged:
            if len(path) == 1 and content.get(path[0], ABSENT) is ABSENT:
                assert f"{path[0]}: key is missing" in told


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"card"', b"\xff\xfe"])
def test_what_is_no_card_at_all_is_one_error(text: str | bytes) -> None:
    with pytest.raises(BundleError, match=r"^card\.json: card: "):
        cards.parse(text)


def test_a_key_that_is_there_twice_is_refused() -> None:
    text = cards.dump(parse(valid()))
    for key in ("temperature", "feature_size"):
        doubled = text.replace(f'"{key}":', f'"{key}": 1, "{key}":', 1)
        with pytest.raises(BundleError, match=f"{key}: the key is there twice"):
            cards.parse(doubled)


def test_the_fingerprint_is_that_of_the_bytes() -> None:
    text = cards.dump(parse(valid())).encode()
    assert cards.fingerprint(text) == hashlib.sha256(text).hexdigest()[:12]
    assert cards.fingerprint(text + b"\n") != cards.fingerprint(text)


def test_a_files_digest_is_read_in_blocks(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"abc" * 700_000)
    assert cards.file_digest(path) == hashlib.sha256(b"abc" * 700_000).hexdigest()

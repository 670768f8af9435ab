"""Putting the figures of the test list into a bundle's card, without touching its weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from actionstream.bundle import card as cards
from actionstream.bundle.card import Card
from actionstream.bundle.folder import Bundle, write_bundle
from actionstream.evaluation.evaluate import Evaluation
from actionstream.training.card_fields import ON_TEST, TEST_FIGURES, test_figures, test_limits


def write_figures(bundle: Bundle, evaluation: Evaluation, split: str) -> Bundle:
    """The same bundle with these figures in its card, in the same place; figures of an earlier
    evaluation are replaced, those from inside the training list stay; so with the limits.
    """
    kept = [one for one in bundle.card.measured.figures if one.name not in TEST_FIGURES]
    measured = {
        "figures": [*(one.model_dump() for one in kept), *test_figures(evaluation, split)],
        "per_class": evaluation.per_class(),
    }

    def make(place: Path) -> None:
        for name in bundle.card.files:
            shutil.copyfile(bundle.path / name, place / name)

    def make_card(files: dict[str, str]) -> Card:
        fields = json.loads(bundle.card.model_dump_json())
        kept = [one for one in fields["limits"] if not one.startswith(ON_TEST)]
        limits = [*kept, *test_limits(evaluation)]
        text = json.dumps({**fields, "measured": measured, "limits": limits, "files": files})
        return cards.parse(text, "the card's fields")

    return write_bundle(bundle.path, make, make_card, overwrite=True)

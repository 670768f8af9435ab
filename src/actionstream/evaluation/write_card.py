"""The figures of the test list in a bundle's card; its weights stay untouched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from actionstream.bundle import card as cards
from actionstream.bundle.card import Card
from actionstream.bundle.folder import Bundle, write_bundle
from actionstream.evaluation.evaluate import Evaluation
from actionstream.evaluation.metrics import Figure

TEST_FIGURES = ("top-1", "top-1 as answered", "top-3", "kept as known", "others refused")
"""Names of what `test_figures` gives; the last only where there are negatives."""

ON_TEST = "On the test clips"
WEAK = 0.75


def write_figures(bundle: Bundle, evaluation: Evaluation, split: str) -> Bundle:
    """The same bundle, in the same place, with these figures in its card.

    Figures and limits of an earlier evaluation are replaced, those from inside the training list
    stay.
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


def figure(name: str, value: Figure, evaluated: int, listed: int, how: str) -> dict[str, Any]:
    """One FigureCard."""
    interval = {"value": value.value, "low": value.low, "high": value.high}
    return {"name": name, **interval, "evaluated": evaluated, "listed": listed, "how": how}


def test_figures(evaluation: Evaluation, split: str) -> list[dict[str, Any]]:
    """The figures of the test list, for the card."""
    count, listed = len(evaluation.known_clips), evaluation.listed
    doubt = "" if evaluation.comparable else "; not comparable"
    how = f"{split}, test list, through recognition of the files{doubt}"
    parts = (evaluation.top1(), evaluation.top1_shown(), evaluation.top3(), evaluation.known_kept())
    figures = [
        figure(name, value, count, listed, how)
        for name, value in zip(TEST_FIGURES, parts, strict=False)
    ]
    refused = evaluation.negatives_refused()
    if refused is not None:
        negatives = len(evaluation.negatives)
        how = f"clips of other actions and of none, not used in training{doubt}"
        figures.append(figure(TEST_FIGURES[-1], refused, negatives, negatives, how))
    return figures


def test_limits(evaluation: Evaluation) -> list[str]:
    """Sentences on what the test list showed it to be bad at; each begins with `ON_TEST`."""
    sentences = []
    weak = [
        f"{label} ({value:.2f})" for label, value in evaluation.per_class().items() if value < WEAK
    ]
    if weak:
        sentences.append(f"{ON_TEST} it is weak at {', '.join(weak)}.")
    refused = evaluation.negatives_refused()
    if refused is not None:
        passed = f"{100 * (1 - refused.value):.0f} %"
        sentences.append(
            f"{ON_TEST} of other actions and of none it names one of its own in {passed}: read a "
            "low confidence as doubt."
        )
    return sentences

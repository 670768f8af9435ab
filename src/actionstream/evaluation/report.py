"""An evaluation for people: text, files, a confusion matrix as a picture, the bundle's card."""

from __future__ import annotations

import csv
import json
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actionstream.bundle import card as cards
from actionstream.bundle.card import Card
from actionstream.bundle.folder import Bundle, write_bundle
from actionstream.evaluation.evaluate import NOT_COMPARABLE, Evaluation
from actionstream.evaluation.metrics import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

PLAIN_FONT = "DejaVu Sans"
"""matplotlib's own."""

TEST_FIGURES = ("top-1", "top-1 as answered", "top-3", "kept as known", "others refused")
"""Names of what `test_figures` gives; the last only where there are negatives."""

ON_TEST = "On the test clips"
WEAK = 0.75

_log = logging.getLogger(__name__)


def to_text(found: Evaluation) -> str:
    """The figures as lines of plain text."""
    lines = [
        f"clips              {len(found.known_clips)} evaluated / {found.listed} listed",
        *([] if found.comparable else [f"not comparable     {NOT_COMPARABLE}"]),
        f"top-1              {found.top1()}",
        f"top-1 as answered  {found.top1_shown()}   (no known action counts as wrong)",
        f"top-3              {found.top3()}",
        f"mean over classes  {found.class_mean():.3f}",
        f"calibration error  {found.calibration_error():.3f}",
        f"kept as known      {found.known_kept()}",
    ]
    refused, area = found.negatives_refused(), found.ood_area()
    if refused is not None and area is not None:
        lines += [
            f"others refused     {refused}   of {len(found.negatives)} clips",
            f"known ROC area     {area:.3f}",
        ]
    lines += [f"{label:<18} {value:.3f}" for label, value in found.per_class().items()]
    lines += [f"{true} taken for {said}: {n}" for true, said, n in found.confusions()]
    if found.left_out:
        left = ", ".join(f"{label} ({count})" for label, count in found.left_out.items())
        lines.append(f"left out: {sum(found.left_out.values())} clips of actions that the model")
        lines.append(f"  does not know: {left}")
    lines += [f"failed: {message}" for message in found.failed]
    return "\n".join(lines)


def write_report(found: Evaluation, folder: Path) -> None:
    """`evaluation.json`, `clips.csv` (one line a clip) and `confusion.png` into a folder.

    The picture needs matplotlib; without it a warning is logged, the other files are written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found.to_dict(), indent=2, ensure_ascii=False)
    (folder / "evaluation.json").write_text(text + "\n", encoding="utf-8")
    with (folder / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["clip", "group", "label", "said", "confidence", "known", "known_score"])
        for one in (*found.known_clips, *found.negatives):
            clip, answer = one.clip, one.answer
            said = [one.best, answer.confidence, answer.known, answer.known_score]
            rows.writerow([clip.stem, clip.group, clip.label or "", *said])
    try:
        _draw_confusion(found, folder / "confusion.png")
    except ImportError:
        _log.warning("confusion.png was not drawn: pip install matplotlib")


def _draw_confusion(found: Evaluation, path: Path) -> None:
    import matplotlib

    texts = "".join(found.labels)
    with matplotlib.rc_context({"font.family": find_fonts(texts)}):
        _confusion(found).savefig(path, dpi=100)


def _confusion(found: Evaluation) -> Canvas:
    from matplotlib.figure import Figure as Canvas

    labels = list(found.per_class())
    counts = np.zeros((len(labels), len(found.labels)))
    for outcome in found.known_clips:
        row = labels.index(str(outcome.clip.label))
        counts[row, found.labels.index(outcome.best)] += 1
    side = max(5.0, 0.3 * len(found.labels))
    figure = Canvas(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(counts / counts.sum(axis=1, keepdims=True), cmap="Greens", vmin=0, vmax=1)
    axes.set_xticks(range(len(found.labels)), found.labels, rotation=90)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("said")
    axes.set_ylabel("true")
    if not found.comparable:
        axes.set_title("not comparable")
    return figure


def find_fonts(text: str) -> list[str]:
    """matplotlib's font, and installed ones for the letters of `text` that it lacks.

    A warning is logged for letters that no installed font has.
    """
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    fonts = sorted(font_manager.fontManager.ttflist, key=lambda f: (f.name != PLAIN_FONT, f.name))
    missing, chosen = {ord(letter) for letter in text if letter.isprintable()}, [PLAIN_FONT]
    for font in fonts:
        if not missing:
            break
        covered = missing & set(FT2Font(font.fname).get_charmap())
        if covered and font.name not in chosen:
            chosen.append(font.name)
        missing -= covered
    if missing:
        letters = "".join(map(chr, sorted(missing)))[:20]
        _log.warning("no installed font has %s: these are drawn as boxes", letters)
    return chosen


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

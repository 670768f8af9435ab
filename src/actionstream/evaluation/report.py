"""An evaluation for people: text, files, and a confusion matrix as a picture."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from actionstream.evaluation.evaluate import NOT_COMPARABLE, Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

PLAIN_FONT = "DejaVu Sans"
"""matplotlib's own."""

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

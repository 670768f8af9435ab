"""Evaluation through the very path that serves: files in, answers out, figures with intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from actionstream.datasets.clips import Clip
from actionstream.errors import DatasetError
from actionstream.evaluation.metrics import (
    Figure,
    area_under_roc,
    expected_calibration_error,
    grouped_mean,
    mean_over_classes,
)
from actionstream.progress import Progress
from actionstream.recognizer import Recognizer
from actionstream.results import Answer

NOT_COMPARABLE = "the model may have seen these clips or others of their sources"


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One clip with its answer. `best` is the most probable label, known or not."""

    clip: Clip
    answer: Answer
    best: str

    @property
    def correct(self) -> bool:
        return self.best == self.clip.label


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What a model says about clips of known actions, and of others.

    listed: how many clips the lists name; `known_clips` holds those that were evaluated.
    failed: sources that could not be read, as error messages; they count as not evaluated.
    comparable: False where the model may have seen the clips or their sources, so that the
        figures compare with nothing; text, JSON, report and card then say so.
    """

    labels: tuple[str, ...]
    known_clips: tuple[Outcome, ...]
    other_clips: tuple[Outcome, ...]
    listed: int
    failed: tuple[str, ...] = field(default=())
    comparable: bool = True

    @property
    def correct(self) -> list[float]:
        return [float(outcome.correct) for outcome in self.known_clips]

    @property
    def groups(self) -> list[str]:
        return [outcome.clip.group for outcome in self.known_clips]

    def top1(self) -> Figure:
        """Share of clips whose most probable label is theirs."""
        return grouped_mean(self.correct, self.groups)

    def top1_shown(self) -> Figure:
        """The same of the answer as given: "no known action" counts as wrong."""
        hits = [float(o.answer.label == o.clip.label) for o in self.known_clips]
        return grouped_mean(hits, self.groups)

    def top3(self) -> Figure:
        """Share of clips whose label is among the three most probable."""
        hits = [
            float(any(one.label == o.clip.label for one in o.answer.top(3)))
            for o in self.known_clips
        ]
        return grouped_mean(hits, self.groups)

    def class_mean(self) -> float:
        """Top-1, every class counting the same."""
        targets = [self.labels.index(str(o.clip.label)) for o in self.known_clips]
        return mean_over_classes(self.correct, targets)

    def per_class(self) -> dict[str, float]:
        """Top-1 of each class that has clips, in the labels' order."""
        found: dict[str, list[float]] = {}
        for outcome in self.known_clips:
            found.setdefault(str(outcome.clip.label), []).append(float(outcome.correct))
        return {label: float(np.mean(found[label])) for label in self.labels if label in found}

    def calibration_error(self) -> float:
        """Expected calibration error of the confidences."""
        return expected_calibration_error(
            [outcome.answer.confidence for outcome in self.known_clips], self.correct
        )

    def known_kept(self) -> Figure:
        """Share of clips of known actions that count as known."""
        return grouped_mean([float(o.answer.known) for o in self.known_clips], self.groups)

    def others_refused(self) -> Figure | None:
        """Share of the other clips that are "no known action"; None without any."""
        if not self.other_clips:
            return None
        groups = [outcome.clip.group for outcome in self.other_clips]
        return grouped_mean([float(not o.answer.known) for o in self.other_clips], groups)

    def known_area(self) -> float | None:
        """Area under the ROC curve of known_score, known against other clips."""
        if not self.other_clips:
            return None
        return area_under_roc(
            [outcome.answer.known_score for outcome in self.known_clips],
            [outcome.answer.known_score for outcome in self.other_clips],
        )

    def confusions(self, most: int = 10) -> list[tuple[str, str, int]]:
        """The most frequent (true, said, count) of wrong answers."""
        counts: dict[tuple[str, str], int] = {}
        for outcome in self.known_clips:
            if not outcome.correct:
                pair = (str(outcome.clip.label), outcome.best)
                counts[pair] = counts.get(pair, 0) + 1
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return [(true, said, count) for (true, said), count in ranked[:most]]

    def to_dict(self) -> dict[str, Any]:
        """All figures, JSON-ready."""
        figures: Mapping[str, Figure | None] = {
            "top1": self.top1(),
            "top1_shown": self.top1_shown(),
            "top3": self.top3(),
            "known_kept": self.known_kept(),
            "others_refused": self.others_refused(),
        }
        return {
            "evaluated": len(self.known_clips),
            "listed": self.listed,
            "comparable": self.comparable,
            "others": len(self.other_clips),
            "failed": list(self.failed),
            **{
                name: None if one is None else {"value": one.value, "interval": [one.low, one.high]}
                for name, one in figures.items()
            },
            "class_mean": self.class_mean(),
            "calibration_error": self.calibration_error(),
            "known_area": self.known_area(),
            "per_class": self.per_class(),
            "confusions": [list(one) for one in self.confusions()],
        }

    def to_text(self) -> str:
        """The figures for people."""
        lines = [
            f"clips              {len(self.known_clips)} evaluated / {self.listed} listed",
            *([] if self.comparable else [f"not comparable     {NOT_COMPARABLE}"]),
            f"top-1              {self.top1()}",
            f"top-1 as answered  {self.top1_shown()}   (no known action counts as wrong)",
            f"top-3              {self.top3()}",
            f"mean over classes  {self.class_mean():.3f}",
            f"calibration error  {self.calibration_error():.3f}",
            f"kept as known      {self.known_kept()}",
        ]
        refused, area = self.others_refused(), self.known_area()
        if refused is not None and area is not None:
            lines += [
                f"others refused     {refused}   of {len(self.other_clips)} clips",
                f"known ROC area     {area:.3f}",
            ]
        lines += [f"{label:<18} {value:.3f}" for label, value in self.per_class().items()]
        lines += [f"{true} taken for {said}: {n}" for true, said, n in self.confusions()]
        lines += [f"failed: {message}" for message in self.failed]
        return "\n".join(lines)


def evaluate(
    model: Recognizer,
    clips: Sequence[Clip],
    *,
    listed: int | None = None,
    others: Sequence[Clip] = (),
    comparable: bool = True,
    progress: Progress | None = None,
) -> Evaluation:
    """Recognise every clip as `actionstream predict` does and compare with its label.

    Args:
        clips: of known actions; labels that the model does not know are refused.
        listed: how many clips the lists name, if more than are at hand.
        others: clips of no known action.
        comparable: False if the model may have seen the clips or their sources; never true of a
            model whose own split leaks.

    Raises:
        DatasetError: no clip of a known action, labels that the model does not know, or none of
            the clips of known actions can be read.
    """
    unknown = sorted({str(c.label) for c in clips if c.label not in model.labels})
    if unknown:
        raise DatasetError(f"the model does not know {', '.join(unknown)}")
    if not clips:
        raise DatasetError("there is no clip to evaluate: none of an action that the model knows")
    outcomes: list[Outcome] = []
    failed: list[str] = []
    everything = [*clips, *others]
    for done, clip in enumerate(everything, start=1):
        answer = model.recognize_or_error(clip.path)
        if answer.error is None:
            outcomes.append(Outcome(clip, answer, answer.top(1)[0].label))
        else:
            failed.append(answer.error.message)
        if progress is not None:
            progress(done, len(everything), clip.path.name)
    known = tuple(o for o in outcomes if o.clip.label is not None)
    rest = tuple(o for o in outcomes if o.clip.label is None)
    if not known:
        raise DatasetError(f"no clip could be evaluated: {failed[0]}")
    return Evaluation(
        model.labels,
        known,
        rest,
        listed or len(clips),
        tuple(failed),
        comparable and model.card.training.comparable,
    )


def write_report(evaluation: Evaluation, folder: Path) -> None:
    """`evaluation.json`, `clips.csv` (one line a clip) and `confusion.png` into a folder."""
    import csv

    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(evaluation.to_dict(), indent=2, ensure_ascii=False)
    (folder / "evaluation.json").write_text(text + "\n", encoding="utf-8")
    with (folder / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["clip", "group", "label", "said", "confidence", "known", "known_score"])
        for one in (*evaluation.known_clips, *evaluation.other_clips):
            answer = one.answer
            rows.writerow(
                [
                    one.clip.stem,
                    one.clip.group,
                    one.clip.label or "",
                    one.best,
                    answer.confidence,
                    answer.known,
                    answer.known_score,
                ]
            )
    _draw_confusion(evaluation, folder / "confusion.png")


def _draw_confusion(evaluation: Evaluation, path: Path) -> None:
    from matplotlib.figure import Figure as Canvas

    labels = list(evaluation.per_class())
    counts = np.zeros((len(labels), len(evaluation.labels)))
    for outcome in evaluation.known_clips:
        row = labels.index(str(outcome.clip.label))
        counts[row, evaluation.labels.index(outcome.best)] += 1
    shares = counts / counts.sum(axis=1, keepdims=True)
    side = max(5.0, 0.3 * len(evaluation.labels))
    figure = Canvas(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Greens", vmin=0, vmax=1)
    axes.set_xticks(range(len(evaluation.labels)), evaluation.labels, rotation=90)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("said")
    axes.set_ylabel("true")
    if not evaluation.comparable:
        axes.set_title("not comparable")
    figure.savefig(path, dpi=100)

"""Evaluation through the very path of inference: files in, answers out, figures with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from actionstream.datasets.split import Clip
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
    """What a model says about clips of known actions, and about negatives.

    listed: how many clips the lists name; `known_clips` holds those that were evaluated.
    failed: sources that could not be read, as error messages; they count as not evaluated.
    comparable: False where the model may have seen the clips or their sources, so that the
        figures compare with nothing; text, JSON, report and card then say so.
    left_out: clips of labels that the model does not know, counted by label.
    """

    labels: tuple[str, ...]
    known_clips: tuple[Outcome, ...]
    negatives: tuple[Outcome, ...]
    listed: int
    failed: tuple[str, ...] = field(default=())
    comparable: bool = True
    left_out: Mapping[str, int] = field(default_factory=dict)

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

    def negatives_refused(self) -> Figure | None:
        """Share of the negatives that are "no known action"; None without any."""
        if not self.negatives:
            return None
        groups = [outcome.clip.group for outcome in self.negatives]
        return grouped_mean([float(not o.answer.known) for o in self.negatives], groups)

    def ood_area(self) -> float | None:
        """Area under the ROC curve of the OOD score, known clips against negatives."""
        if not self.negatives:
            return None
        return area_under_roc(
            [outcome.answer.known_score for outcome in self.known_clips],
            [outcome.answer.known_score for outcome in self.negatives],
        )

    def confusions(self, most: int = 10) -> list[tuple[str, str, int]]:
        """The most frequent (true, said, count) of wrong answers."""
        wrong = Counter((str(o.clip.label), o.best) for o in self.known_clips if not o.correct)
        ranked = sorted(wrong.items(), key=lambda item: (-item[1], item[0]))
        return [(true, said, count) for (true, said), count in ranked[:most]]

    def to_dict(self) -> dict[str, Any]:
        """All figures, JSON-ready."""
        figures: Mapping[str, Figure | None] = {
            "top1": self.top1(),
            "top1_shown": self.top1_shown(),
            "top3": self.top3(),
            "known_kept": self.known_kept(),
            "others_refused": self.negatives_refused(),
        }
        return {
            "evaluated": len(self.known_clips),
            "listed": self.listed,
            "comparable": self.comparable,
            "others": len(self.negatives),
            "failed": list(self.failed),
            "left_out": dict(self.left_out),
            **{
                name: None if one is None else {"value": one.value, "interval": [one.low, one.high]}
                for name, one in figures.items()
            },
            "class_mean": self.class_mean(),
            "calibration_error": self.calibration_error(),
            "known_area": self.ood_area(),
            "per_class": self.per_class(),
            "confusions": [list(one) for one in self.confusions()],
        }


def match_labels(
    clips: Sequence[Clip], labels: Sequence[str]
) -> tuple[tuple[Clip, ...], dict[str, int]]:
    """The clips of these labels, whatever the case, spelled as in `labels`; the others counted.

    Clips without a label are kept as they are.
    """
    spelled = {label.casefold(): label for label in labels}
    matched, left_out = [], Counter[str]()
    for clip in clips:
        label = None if clip.label is None else spelled.get(clip.label.casefold())
        if clip.label is not None and label is None:
            left_out[clip.label] += 1
        else:
            matched.append(clip if label == clip.label else replace(clip, label=label))
    return tuple(matched), dict(left_out)


def evaluate(
    model: Recognizer,
    clips: Sequence[Clip],
    *,
    listed: int | None = None,
    negatives: Sequence[Clip] = (),
    comparable: bool = True,
    progress: Progress | None = None,
) -> Evaluation:
    """Recognise every clip as `actionstream predict` does and compare with its label.

    Args:
        clips: of actions. Labels match the model's whatever their case; clips of labels that it
            does not know are left out and counted.
        listed: how many clips of its labels the lists name, if more than are at hand.
        negatives: clips of no known action.
        comparable: False if the model may have seen the clips or their sources; never true of a
            model whose own split leaks.

    Raises:
        DatasetError: no clip of an action that the model knows, or none of them can be read.
    """
    clips, left_out = match_labels(clips, model.labels)
    if not clips:
        without = f" (left out: {', '.join(left_out)})" if left_out else ""
        raise DatasetError(
            f"there is no clip to evaluate: none of an action that the model knows{without}"
        )
    outcomes, failed = _recognize(model, [*clips, *negatives], progress)
    known = tuple(o for o in outcomes if o.clip.label is not None)
    if not known:
        raise DatasetError(f"no clip could be evaluated: {failed[0]}")
    return Evaluation(
        model.labels,
        known,
        tuple(o for o in outcomes if o.clip.label is None),
        listed or len(clips),
        tuple(failed),
        comparable and model.card.training.comparable,
        left_out,
    )


def _recognize(
    model: Recognizer, clips: Sequence[Clip], progress: Progress | None
) -> tuple[list[Outcome], list[str]]:
    """What the model says of the clips that can be read, and the errors of the others."""
    outcomes: list[Outcome] = []
    failed: list[str] = []
    for done, clip in enumerate(clips, start=1):
        answer = model.recognize_or_error(clip.path)
        if answer.error is None:
            outcomes.append(Outcome(clip, answer, answer.top(1)[0].label))
        else:
            failed.append(answer.error.message)
        if progress is not None:
            progress(done, len(clips), clip.path.name)
    return outcomes, failed

"""What is done for one video of many: it is recognised, and drawn where that is asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from actionstream.errors import ActionstreamError, BundleError, UnreadableVideoError, VideoError
from actionstream.progress import share
from actionstream.recognizer import Recognizer
from actionstream.results import Answer, Failure

Event = float | Answer
Tell = Callable[[Event], None]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What came of the annotated video: what has to be said of it, and whether it is there."""

    notes: tuple[str, ...] = ()
    written: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """One video. Called with a model it does the work, here or in a worker process.

    source:   how the answer names it.
    path:     the file; None where there is nothing to open, then `error` says why.
    target:   the annotated video to write, None for none; `skeleton` draws the pose, too.
    """

    source: str
    path: str | None
    error: VideoError | None = None
    target: Path | None = None
    skeleton: bool = False

    def __call__(self, model: Recognizer, tell: Tell) -> Drawn:
        """Do it. `tell` is given the share done, 0 to 1, and once the answer, without readings.

        Raises:
            VideoError: the video gives no pictures.
        """
        if self.path is None:
            raise self.error or UnreadableVideoError(self.source, "there is nothing to open")
        part = 1.0 if self.target is None else 0.5
        answer = model.recognize(
            self.path,
            source=self.source,
            progress=lambda done, total, _: tell(part * share(done, total)),
        )
        tell(replace(answer, readings=()))
        return Drawn() if self.target is None else self._draw(model, answer, self.target, tell)

    def _draw(self, model: Recognizer, answer: Answer, target: Path, tell: Tell) -> Drawn:
        from actionstream.draw.annotate import annotate

        assert self.path is not None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            said = annotate(
                self.path,
                answer,
                target,
                threads=model.threads,
                progress=lambda done, total, _: tell(0.5 + 0.5 * share(done, total)),
                skeleton=self.skeleton,
            )
        except (ActionstreamError, OSError) as error:
            return Drawn((str(error),))
        return Drawn(tuple(f"{target}: {notice.message}" for notice in said), written=True)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer for one task, perhaps one with `error`, and what came of its annotated video."""

    task: Task
    answer: Answer
    drawn: Drawn

    @property
    def failed(self) -> bool:
        """Whether anything that was asked for is missing."""
        undrawn = self.task.target is not None and not self.drawn.written
        return self.answer.error is not None or undrawn


def carry_out(
    task: Task,
    work: Callable[[Tell], Drawn],
    report: Callable[[float], None],
) -> Outcome:
    """What comes of `work`, which is the task with a model. Whatever goes wrong is in the outcome.

    Args:
        report: called with the share done, 0 to 1.
    """
    answers: list[Answer] = []

    def tell(event: Event) -> None:
        if isinstance(event, float):
            report(event)
        else:
            answers.append(event)

    try:
        drawn = work(tell)
    except VideoError as error:
        if not answers:
            return Outcome(task, Answer(task.source, (), error=Failure.of(error)), Drawn())
        drawn = Drawn((str(error),))
    return Outcome(task, answers[0], drawn)


def run_here(task: Task, model: Recognizer, tell: Tell) -> Drawn:
    """The task in this process. An error is the video's, and must not cost the others; or the
    model's."""
    try:
        return task(model, tell)
    except (VideoError, BundleError):
        raise
    except Exception as error:  # whatever the libraries raise for an absurd file
        log.debug("%s", task.source, exc_info=True)
        raise unexpected(task.source, error) from error


def unexpected(source: str, error: Exception) -> UnreadableVideoError:
    """The error of a video for one that nobody foresaw."""
    return UnreadableVideoError(source, f"unexpected {type(error).__name__}: {error}")

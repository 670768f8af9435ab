"""Which frames of a clip a view looks at: the sampling rule at the view's own speed and phase."""

from __future__ import annotations

from actionstream.inference.sampling import Clock, SamplingRule, fill, step
from actionstream.training.views import View

MOST_LOOKS = 400
"""Longer clips are read up to here (72 s at 0.18 s): training needs no more of one clip."""


class ViewClock:
    """Asked about every frame of a clip in turn; remembers where the view's ticks stand.

    `filled` says how many ticks each look filled so far.
    """

    def __init__(self, view: View, rule: SamplingRule) -> None:
        self.view, self._rule = view, rule
        self.filled: list[int] = []
        self._clock = Clock()

    @property
    def is_full(self) -> bool:
        """Whether there are as many looks as are ever taken."""
        return len(self.filled) >= MOST_LOOKS

    def is_due(self, time_seconds: float) -> bool:
        """Whether this frame is a look of the view; its tick counts as filled then."""
        seconds = time_seconds / self.view.speed
        if self.is_full or seconds < self.view.phase * self._rule.spacing_seconds:
            return False
        self._clock, moment = step(self._clock, seconds, self._rule)
        if moment not in ("due", "reset"):
            return False
        self._clock, filled = fill(self._clock, seconds, self._rule)
        self.filled.append(filled)
        return True

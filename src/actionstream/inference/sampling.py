"""Which moments of a stream are looked at: one rule for files, live streams and training.

With a spacing of s seconds and the first frame at t0, tick k stands at t0 + k*s. A frame is due
when it has reached the first unfilled tick; its look then fills that tick and every later one
that it has passed. Here s = 0.2, frames every 0.08 s, and a hole in the stream::

    frames  x . . x . x . . x . . . . . . . x . x      x = due: looked at    . = not due: free
    ticks   0    1    2    3    4    5    6    7
    filled  0    1    2    3              4-6  7

Frames carry their time in seconds, so the camera's rate does not matter. The rule as a value:
a `Clock` is where a stream stands; its functions return new clocks and change nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

WINDOW = 16
"""Looks that the head reads at once."""

TOLERANCE_SECONDS = 0.001
"""A frame this much early still counts for its tick: times in files are rounded to 1 ms."""

Moment = Literal["repeated", "reset", "due", "not_due"]


@dataclass(frozen=True, slots=True)
class SamplingRule:
    """The card's numbers: seconds between looks, and the gap after which a stream is reset."""

    spacing_seconds: float
    reset_after_seconds: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.spacing_seconds) and self.spacing_seconds > 0):
            raise ValueError(f"spacing_seconds must be above 0, got {self.spacing_seconds}")
        longest = (WINDOW - 1) * self.spacing_seconds
        if not 0 < self.reset_after_seconds <= longest + 1e-9:
            raise ValueError(
                f"reset_after_seconds must be above 0 and at most {WINDOW - 1} spacings "
                f"({longest:g}), got {self.reset_after_seconds}"
            )


@dataclass(frozen=True, slots=True)
class Clock:
    """Where a stream stands. A fresh one has seen nothing.

    start_seconds:      t0, the time of the first frame; None before it.
    next_tick:          the first unfilled tick.
    last_frame_seconds: time of the newest frame seen, due or not.
    last_look_seconds:  time of the newest look.
    stretch:            how often the frames' times have reset the stream.
    """

    start_seconds: float | None = None
    next_tick: int = 0
    last_frame_seconds: float | None = None
    last_look_seconds: float | None = None
    stretch: int = 0


def step(clock: Clock, time_seconds: float, rule: SamplingRule) -> tuple[Clock, Moment]:
    """The clock after a frame with this time was seen, and what the frame is to the stream.

    "repeated": same time as the previous frame, ignored. "reset": time ran backwards or the gap
    is too long, the stream is reset and this frame looked at. "due": looked at.
    "not_due": costs nothing. The tick of a look is filled by `fill`, which the caller applies.
    """
    moment = _judge(clock, time_seconds, rule)
    if moment == "repeated":
        return clock, moment
    if moment == "reset":
        clock = Clock(stretch=clock.stretch + 1)
    start = time_seconds if clock.start_seconds is None else clock.start_seconds
    return replace(clock, start_seconds=start, last_frame_seconds=time_seconds), moment


def _judge(clock: Clock, time_seconds: float, rule: SamplingRule) -> Moment:
    """The gap is counted from the newest look, so that frames which are not due change nothing,
    not even whether a gap is one."""
    if clock.start_seconds is None:
        return "due"
    if time_seconds == clock.last_frame_seconds:
        return "repeated"
    if clock.last_frame_seconds is not None and time_seconds < clock.last_frame_seconds:
        return "reset"
    since = clock.start_seconds if clock.last_look_seconds is None else clock.last_look_seconds
    if time_seconds - since > rule.reset_after_seconds + TOLERANCE_SECONDS:
        return "reset"
    passed = _newest_tick(clock.start_seconds, time_seconds, rule)
    return "due" if passed >= clock.next_tick else "not_due"


def _newest_tick(start_seconds: float, time_seconds: float, rule: SamplingRule) -> int:
    """In one place: "due" and "filled" must round alike."""
    return math.floor((time_seconds - start_seconds + TOLERANCE_SECONDS) / rule.spacing_seconds)


def fill(clock: Clock, time_seconds: float, rule: SamplingRule) -> tuple[Clock, int]:
    """The clock after the look at this time was taken, and how many ticks it fills.

    The due tick advances here and not in `step`: a look that a busy worker drops is a missed
    tick, filled by the next look.
    """
    if clock.start_seconds is None:
        raise ValueError("a look cannot enter a stream that has seen no frame")
    last = max(_newest_tick(clock.start_seconds, time_seconds, rule), clock.next_tick)
    filled = last + 1 - clock.next_tick
    return replace(clock, next_tick=last + 1, last_look_seconds=time_seconds), filled

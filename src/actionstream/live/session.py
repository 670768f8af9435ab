"""One live stream of many on a worker: frames in at any rate, the newest reading out.

A frame that is due waits in the session's only slot until the worker takes it; a newer due frame
takes its place. So nothing queues, and a slow model looks less often instead of later::

    frames    0 1 2 3 4 5 6 7 8 9       due: every second one
    slot      0   2 > 4   6 > 8         > = replaced: the looks at 2 and 6 are dropped
    worker    [0......][4......][8..    the model takes four frames' time
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from actionstream.bundle.card import Card
from actionstream.engines.checks import Features, Logits
from actionstream.errors import FrameError
from actionstream.inference.sampling import TOLERANCE_SECONDS, fill, judge, see
from actionstream.inference.stream import StreamState, add_look, conclude, is_ready, warming_up
from actionstream.live.history import History, timeline
from actionstream.live.look import Look, Picture
from actionstream.live.statistics import Meter, SessionStatistics
from actionstream.results import Reading, Segment, check_pixels, check_time

if TYPE_CHECKING:
    from actionstream.live.worker import Worker


class Session:
    """One stream of a `Worker`, made by `Worker.open`. Every method is safe from any thread.

    Close it, or use it in `with`: until then the worker keeps it. The methods with an underscore
    are the worker's.
    """

    def __init__(
        self,
        worker: Worker,
        card: Card,
        keep_seconds: float,
        on_reading: Callable[[Reading], None] | None,
    ) -> None:
        self._worker, self._card, self._on_reading = worker, card, on_reading
        self._changed = threading.Condition(threading.Lock())  # guards all that follows
        self._state = StreamState()
        self._stretch = 0  # counts resets and fresh starts: a look of an older stretch is void
        self._slot: Look | None = None
        self._in_flight: Look | None = None
        self._history = History(keep_seconds, card.spacing_seconds)
        self._latest: Reading | None = None
        self._handed_out = True  # whether `wait` has returned the latest reading
        self._meter = Meter()
        self._error: Exception | None = None
        self._raised = True  # whether `offer` has raised it
        self._closed = False

    def offer(self, pixels: Picture, time_seconds: float) -> bool:
        """Show one frame. Returns at once: it never waits for the model.

        Args:
            pixels: RGB uint8 [H, W, 3], not changed afterwards by the caller; or a function
                without arguments that makes it, called in the worker's thread and only if the
                frame is looked at.
            time_seconds: when it was taken, by the stream's own clock.

        Returns:
            Whether the frame was due and now waits in the slot; False when the session is closed.

        Raises:
            FrameError: the picture or the time is of the wrong kind, or an earlier frame's
                function failed (said once). This frame is then ignored, the stream goes on.
            EngineError: the worker's engine failed; its error is the cause.
        """
        arrival = time.monotonic()
        self._worker.check()
        moment_seconds = check_time(time_seconds)
        if not callable(pixels):
            check_pixels(pixels)
        with self._changed:
            if self._closed:
                return False
            self._raise_once()
            self._meter.frame(arrival)
            if not self._is_due(moment_seconds):
                return False
            self._put(Look(pixels, moment_seconds, arrival, self._stretch))
        self._worker.notice(self)
        return True

    def _raise_once(self) -> None:
        if self._error is not None and not self._raised:
            self._raised = True
            raise self._error

    def _is_due(self, time_seconds: float) -> bool:
        """See the frame. A look in flight is taken to have filled its tick already."""
        rule, clock = self._card.sampling, self._state.clock
        if self._in_flight is not None:
            clock, _ = fill(clock, self._in_flight.time_seconds, rule)
        moment = judge(clock, time_seconds, rule)
        if moment == "repeated":
            return False
        if moment == "afresh":
            if self._is_late(time_seconds):
                self._meter.late_start()
            self._meter.looks_dropped += (self._slot is not None) + (self._in_flight is not None)
            self._begin_stretch()
        self._state = replace(self._state, clock=see(self._state.clock, time_seconds))
        return moment != "not_due"

    def _is_late(self, time_seconds: float) -> bool:
        """Whether the gap is the model's and not the camera's: frames came, no look was done."""
        newest = self._state.clock.last_frame_seconds
        if newest is None or (self._slot is None and self._in_flight is None):
            return False
        gap = time_seconds - newest
        return 0 < gap <= self._card.reset_after_seconds + TOLERANCE_SECONDS

    def _put(self, look: Look) -> None:
        """The newest look takes the slot. A drop is counted when a tick goes without its look."""
        waiting = self._slot
        if waiting is not None and self._tick(waiting) < self._tick(look):
            self._meter.looks_dropped += 1
        self._slot = look

    def _tick(self, look: Look) -> int:
        """The last tick that this look reaches."""
        start = self._state.clock.start_seconds or 0.0
        passed = look.time_seconds - start + TOLERANCE_SECONDS
        return math.floor(passed / self._card.spacing_seconds)

    def _begin_stretch(self) -> None:
        self._state = StreamState()
        self._slot = self._in_flight = None
        self._stretch += 1

    @property
    def latest(self) -> Reading | None:
        """The newest reading; None before the first one and after `reset` or `close`.

        Raises:
            EngineError: the worker's engine failed; its error is the cause.
        """
        self._worker.check()
        with self._changed:
            return self._latest

    def wait(self, timeout: float | None = None) -> Reading | None:
        """The newest reading that `wait` has not returned yet; waits for one if there is none.

        Args:
            timeout: seconds to wait at most; None for as long as it takes.

        Returns:
            None when the time is over or the session is closed.

        Raises:
            EngineError: the worker's engine failed; its error is the cause.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: not self._handed_out or self._closed or self._worker.failed, timeout
            )
            if not self._handed_out:
                self._handed_out = True
                return self._latest
        self._worker.check()
        return None

    def history(self) -> tuple[Reading, ...]:
        """The readings of the last `keep_seconds` of the stream's time, oldest first."""
        with self._changed:
            return self._history.readings()

    def segments(self) -> tuple[Segment, ...]:
        """The history as segments of equal shown label, in the stream's time; gaps stay gaps."""
        return timeline(self.history(), self._card.reset_after_seconds)

    def statistics(self) -> SessionStatistics:
        """Counts since the session was opened, rates and ages of the last seconds."""
        with self._changed:
            return self._meter.statistics()

    @property
    def too_slow(self) -> bool:
        """Whether the model takes so long here that there will be no answer.

        True when the stream has started afresh twice and more since its last answer, because no
        look was done within the card's `reset_after_seconds` although frames kept coming.
        """
        with self._changed:
            return self._meter.too_slow

    @property
    def error(self) -> Exception | None:
        """What last went wrong with this stream alone: a bad frame, or `on_reading` raising."""
        with self._changed:
            return self._error

    @property
    def closed(self) -> bool:
        with self._changed:
            return self._closed

    def reset(self) -> None:
        """Forget the stream and its readings: the next frame is the first. Counts go on."""
        with self._changed:
            self._forget()

    def close(self) -> None:
        """Give the place back and let go of every picture and reading at once. Harmless twice."""
        with self._changed:
            self._closed, self._on_reading, self._error = True, None, None
            self._forget()
            self._changed.notify_all()
        self._worker.forget(self)

    def _forget(self) -> None:
        self._begin_stretch()
        self._history.clear()
        self._latest, self._handed_out = None, True
        self._meter.late_in_a_row = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _take(self) -> Look | None:
        """The waiting look, which is then in flight; None if it was withdrawn."""
        with self._changed:
            self._in_flight, self._slot = self._slot, None
            return self._in_flight

    def _enter(self, look: Look, feature: Features) -> StreamState | None:
        """Add the look, feature float32 [D], to the ring.

        Returns the state if it wants a reading from the head, else None: the stream is warming
        up (that reading is published here) or has moved on without this look.
        """
        with self._changed:
            if look.stretch != self._stretch:
                return None
            self._in_flight = None
            self._state = add_look(self._state, look.time_seconds, feature, self._card)
            self._meter.looks += 1
            state = self._state
        if is_ready(state, self._card):
            return state
        self._publish(look, warming_up(state, look.time_seconds, self._card))
        return None

    def _conclude(self, look: Look, logits: Logits, known_score: float) -> None:
        """Publish the reading of a look after the head said `logits` [K] and `known_score`."""
        with self._changed:
            if look.stretch != self._stretch:
                return
            self._state, reading = conclude(
                self._state, look.time_seconds, logits, known_score, self._card
            )
        self._publish(look, reading)

    def _publish(self, look: Look, reading: Reading) -> None:
        now = time.monotonic()
        reading = replace(reading, age_seconds=now - look.arrival)
        with self._changed:
            if look.stretch != self._stretch:
                return
            self._history.add(reading)
            self._latest, self._handed_out = reading, False
            self._meter.reading(now, reading.age_seconds)
            if reading.status == "ready":
                self._meter.answer()
            report = self._on_reading
            self._changed.notify_all()
        if report is not None:
            try:
                report(reading)
            except Exception as error:  # noqa: BLE001  handed back by this stream's next `offer`
                self._fail(error)

    def _spoil(self, look: Look, error: FrameError) -> None:
        """The look has no picture: its tick stays unfilled, the next `offer` raises the error."""
        with self._changed:
            if self._in_flight is look:
                self._in_flight = None
            self._meter.bad_frames += 1
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        _forget_frames(error)
        with self._changed:
            if not self._closed:
                self._error, self._raised = error, False

    def _wake(self) -> None:
        """The engine failed: whoever waits shall hear of it."""
        with self._changed:
            self._changed.notify_all()


def _forget_frames(error: BaseException) -> None:
    """Drop the tracebacks: they hold the pictures of the calls in them, and an error is kept."""
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:  # `raise error from error` leads round
        seen.add(id(link))
        link.__traceback__ = None
        link = link.__cause__ or link.__context__

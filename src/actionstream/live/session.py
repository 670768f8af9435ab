"""One live stream: frames in from any thread, looks taken by the worker, the newest reading out.

A frame that is due waits in the session's only slot until the worker takes it; a newer due frame
takes its place. So nothing queues, and a slow model looks less often instead of later::

    frames    0 1 2 3 4 5 6 7 8 9       due: every second one
    slot      0   2 > 4   6 > 8         > = replaced: the looks at 2 and 6 are dropped
    worker    [0......][4......][8..    the model takes four frames' time
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from actionstream.bundle.card import Card
from actionstream.concurrency import Closing, Latest
from actionstream.errors import EngineError, FrameError
from actionstream.inference.look import StreamState, see
from actionstream.inference.sampling import TOLERANCE_SECONDS, Clock, fill
from actionstream.live.history import History, Meter, SessionStatistics, timeline
from actionstream.results import Frame, Pixels, Reading, Segment, check_pixels, check_time

Picture = Pixels | Callable[[], Pixels]
"""RGB uint8 [H, W, 3], or a function without arguments that makes it."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A due frame: its time, when it arrived (monotonic), which stretch of the stream it is of."""

    picture: Picture
    time_seconds: float
    arrival: float
    stretch: int

    def pixels(self) -> Pixels:
        """The picture, made now if it was offered as a function.

        Raises:
            FrameError: it is no picture, or it could not be made.
        """
        if not callable(self.picture):
            return self.picture
        try:
            made = self.picture()
        except Exception as error:  # the caller's own code may raise anything
            raise FrameError(f"the picture could not be made: {error!r}") from error
        return check_pixels(made)


class Session(Closing):
    """One stream of a `Worker`, made by `Worker.open`. Every method is safe from any thread, and
    none but `wait` waits.

    Close it, or use it in `with`: until then the worker keeps its place. `take`, `done`, `fail` and
    `stop` are the worker's side.

    Args:
        card: the model's.
        keep_seconds: how much of its readings `history` keeps.
        on_reading: called with each reading.
        clock: gives the seconds by which rates and ages are measured.
        wake, leave: called with the session when a look waits in its slot, and when it is closed.
    """

    def __init__(
        self,
        card: Card,
        keep_seconds: float,
        on_reading: Callable[[Reading], None] | None,
        *,
        clock: Callable[[], float],
        wake: Callable[[Session], None],
        leave: Callable[[Session], None],
    ) -> None:
        self._card, self._on_reading, self._clock = card, on_reading, clock
        self._wake, self._leave = wake, leave
        self._rules = card.rules
        self._news: Latest[Reading] = Latest()  # the newest reading until it was waited for
        self._lock = threading.Lock()  # guards all that follows
        self._state = StreamState()
        self._stretch = 0  # counts resets: a look of an older stretch is void
        self._slot: Look | None = None
        self._in_flight: Look | None = None
        self._before_flight = Clock()  # where the ticks stood before the look in flight
        self._history = History(keep_seconds, card.spacing_seconds)
        self._latest: Reading | None = None
        self._meter = Meter()
        self._error: Exception | None = None
        self._raised = True  # whether `offer` has raised it
        self._stopped: EngineError | None = None
        self._closed = False

    def offer(self, frame: Frame | Picture, time_seconds: float | None = None) -> bool:
        """Show one frame. Returns at once: it never waits for the model.

        Args:
            frame: a frame (`time_seconds`, `to_rgb()`), as readers and cameras give them; or RGB
                uint8 [H, W, 3], or a function without arguments that makes it. A frame's and a
                function's picture is made in the worker's thread, and only if it is looked at.
                The caller does not change it afterwards.
            time_seconds: when it was taken, by the stream's own clock; a frame carries its own.

        Returns:
            Whether the frame was due and now waits in the slot; False when the session is closed.

        Raises:
            FrameError: the picture or the time is of the wrong kind, or an earlier frame's
                picture could not be made (said once). This frame is then ignored, the stream
                goes on.
            EngineError: the worker's engine failed; its error is the cause.
        """
        picture: Picture
        if isinstance(frame, Frame):
            picture, seconds = frame.to_rgb, check_time(frame.time_seconds)
        elif time_seconds is None:
            raise FrameError("offer takes a frame, or a picture and its time in seconds")
        else:
            picture = frame if callable(frame) else check_pixels(frame)
            seconds = check_time(time_seconds)
        due = self._put_into_slot(picture, seconds)
        if due:
            self._wake(self)
        return due

    def _put_into_slot(self, picture: Picture, time_seconds: float) -> bool:
        """Whether the frame was due."""
        arrival = self._clock()
        with self._lock:
            self._check()
            if self._closed:
                return False
            if self._error is not None and not self._raised:
                self._raised = True
                raise self._error
            self._meter.frame(arrival)
            due = self._is_due(time_seconds)
            if due:
                self._put(Look(picture, time_seconds, arrival, self._stretch))
            return due

    def _check(self) -> None:
        if self._stopped is not None:
            raise self._stopped.with_traceback(None)

    def _is_due(self, time_seconds: float) -> bool:
        """See the frame."""
        state, moment = see(self._state, time_seconds, self._rules)
        if moment == "reset":
            if self._is_late(time_seconds):
                self._meter.late_reset()
            self._meter.looks_dropped += (self._slot is not None) + (self._in_flight is not None)
            self._begin_stretch()
            state, moment = see(self._state, time_seconds, self._rules)
        self._state = state
        return moment == "due"

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

    def take(self) -> tuple[Look, StreamState, int] | None:
        """The look in the slot, which is then in flight, the state, and the ticks that it fills.

        The ticks count as filled from now on. None if the look was withdrawn.
        """
        with self._lock:
            self._in_flight, self._slot = self._slot, None
            look, self._before_flight = self._in_flight, self._state.clock
            if look is None:
                return None
            clock, ticks = fill(self._before_flight, look.time_seconds, self._rules.sampling)
            self._state = replace(self._state, clock=clock)
            return look, self._state, ticks

    def done(self, look: Look, state: StreamState, reading: Reading) -> None:
        """The look went through the model: take the state that it left, publish its reading."""
        with self._lock:
            if look.stretch != self._stretch:
                return
            self._in_flight = None
            self._state = replace(state, clock=self._state.clock)  # frames came meanwhile
            self._meter.looks += 1
        self._publish(look, reading)

    def _publish(self, look: Look, reading: Reading) -> None:
        now = self._clock()
        reading = replace(reading, age_seconds=now - look.arrival)
        with self._lock:
            if look.stretch != self._stretch:
                return
            self._history.add(reading)
            self._latest = reading
            self._meter.reading(now, reading)
            report = self._on_reading
            self._news.put(reading)
        if report is not None:
            try:
                report(reading)
            except Exception as error:  # noqa: BLE001  handed back by this stream's next `offer`
                self._keep_error(error)

    def fail(self, look: Look, error: FrameError) -> None:
        """The look has no picture: its tick stays unfilled, the next `offer` raises the error."""
        with self._lock:
            if self._in_flight is look:
                self._in_flight, before = None, self._before_flight
                clock = replace(
                    self._state.clock,
                    next_tick=before.next_tick,
                    last_look_seconds=before.last_look_seconds,
                )
                self._state = replace(self._state, clock=clock)
            self._meter.bad_frames += 1
        self._keep_error(error)

    def _keep_error(self, error: Exception) -> None:
        _forget_frames(error)
        with self._lock:
            if not self._closed:
                self._error, self._raised = error, False

    def stop(self, error: EngineError) -> None:
        """The engine failed: whoever waits, offers or asks from now on gets this error."""
        with self._lock:
            self._stopped = error
        self._news.close(error)

    @property
    def latest(self) -> Reading | None:
        """The newest reading; None before the first one and after `reset` or `close`.

        Raises:
            EngineError: the worker's engine failed; its error is the cause.
        """
        with self._lock:
            self._check()
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
        return self._news.take(timeout)

    def history(self) -> tuple[Reading, ...]:
        """The readings of the last `keep_seconds` of the stream's time, oldest first."""
        with self._lock:
            return self._history.readings()

    def segments(self) -> tuple[Segment, ...]:
        """The history as segments of equal shown label, in the stream's time; gaps stay gaps."""
        return timeline(self.history(), self._card.reset_after_seconds)

    def statistics(self) -> SessionStatistics:
        """Counts since the session was opened, rates and ages of the last seconds."""
        with self._lock:
            return self._meter.statistics(self._clock())

    @property
    def too_slow(self) -> bool:
        """Whether the model takes so long here that there will be no answer.

        True when the stream was reset twice and more since its last answer, because no look was
        done within the card's `reset_after_seconds` although frames kept coming.
        """
        return self.statistics().too_slow

    @property
    def error(self) -> Exception | None:
        """What last went wrong with this stream alone: a bad frame, or `on_reading` raising."""
        with self._lock:
            return self._error

    @property
    def closed(self) -> bool:
        with self._lock:
            return self._closed

    def reset(self) -> None:
        """Forget the stream and its readings: the next frame is the first. Counts go on."""
        with self._lock:
            self._forget()

    def close(self) -> None:
        """Give the place back and let go of every picture and reading at once. Harmless twice."""
        with self._lock:
            self._closed, self._on_reading, self._error = True, None, None
            self._forget()
        self._news.close()
        self._leave(self)

    def _forget(self) -> None:
        self._begin_stretch()
        self._history.clear()
        self._news.clear()
        self._latest = None
        self._meter.late_in_a_row = 0


def _forget_frames(error: BaseException) -> None:
    """Drop the tracebacks: they hold the pictures of the calls in them, and an error is kept."""
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:  # `raise error from error` leads round
        seen.add(id(link))
        link.__traceback__ = None
        link = link.__cause__ or link.__context__

"""The public handle on one live stream of a worker: frames in, the newest reading out."""

from __future__ import annotations

from collections.abc import Callable

from actionstream.concurrency import Closing
from actionstream.errors import FrameError
from actionstream.live.history import timeline
from actionstream.live.lane import Lane, Picture
from actionstream.live.statistics import SessionStatistics
from actionstream.results import Frame, Reading, Segment, check_pixels, check_time


class Session(Closing):
    """One stream of a `Worker`, made by `Worker.open`. Every method is safe from any thread.

    Close it, or use it in `with`: until then the worker keeps its place.
    """

    def __init__(
        self,
        lane: Lane,
        *,
        gap_seconds: float,
        wake: Callable[[Lane], None],
        leave: Callable[[Lane], None],
    ) -> None:
        self._lane, self._gap_seconds = lane, gap_seconds
        self._wake, self._leave = wake, leave

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
        due = self._lane.offer(picture, seconds)
        if due:
            self._wake(self._lane)
        return due

    @property
    def latest(self) -> Reading | None:
        """The newest reading; None before the first one and after `reset` or `close`.

        Raises:
            EngineError: the worker's engine failed; its error is the cause.
        """
        return self._lane.latest

    def wait(self, timeout: float | None = None) -> Reading | None:
        """The newest reading that `wait` has not returned yet; waits for one if there is none.

        Args:
            timeout: seconds to wait at most; None for as long as it takes.

        Returns:
            None when the time is over or the session is closed.

        Raises:
            EngineError: the worker's engine failed; its error is the cause.
        """
        return self._lane.news.take(timeout)

    def history(self) -> tuple[Reading, ...]:
        """The readings of the last `keep_seconds` of the stream's time, oldest first."""
        return self._lane.history()

    def segments(self) -> tuple[Segment, ...]:
        """The history as segments of equal shown label, in the stream's time; gaps stay gaps."""
        return timeline(self.history(), self._gap_seconds)

    def statistics(self) -> SessionStatistics:
        """Counts since the session was opened, rates and ages of the last seconds."""
        return self._lane.statistics()

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
        return self._lane.error

    @property
    def closed(self) -> bool:
        return self._lane.closed

    def reset(self) -> None:
        """Forget the stream and its readings: the next frame is the first. Counts go on."""
        self._lane.reset()

    def close(self) -> None:
        """Give the place back and let go of every picture and reading at once. Harmless twice."""
        self._lane.close()
        self._leave(self._lane)

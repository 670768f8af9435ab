"""One stream: frames with their time in, readings out, an answer at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from actionstream.errors import FrameError, NoFramesError
from actionstream.inference.accumulator import Accumulator
from actionstream.inference.look import StreamState, finish, look, take
from actionstream.inference.rules import Graphs, Rules
from actionstream.results import Answer, Frame, Reading, RGBFrame, check_time

Order = Literal["rgb", "bgr"]


class Stream:
    """One live stream on one model. Not for several threads at once; make one each.

    Every frame that is due is encoded once; a frame that is not due costs nothing.
    `state` may be read, kept, pickled and put back, here or in another process: it is a value,
    and the stream goes on from it as if nothing had happened.
    """

    def __init__(
        self, graphs: Graphs, rules: Rules, model: Mapping[str, str], *, keep_readings: bool = True
    ) -> None:
        self._graphs, self._rules, self._model = graphs, rules, model
        self._fresh = StreamState(total=Accumulator(keep_readings))
        self.state = self._fresh

    def push(
        self,
        frame: Frame | NDArray[np.uint8],
        time_seconds: float | None = None,
        *,
        order: Order = "rgb",
    ) -> Reading | None:
        """Show one frame to the stream.

        Args:
            frame: uint8 [H, W, 3] with its time beside it; or a `Frame`, which holds both.
            time_seconds: when it was taken, by the caller's clock.
            order: "bgr" for arrays as OpenCV makes them.

        Returns:
            A reading stamped with the frame's time, or None when the frame was not due.

        Raises:
            FrameError: the picture or the time is of the wrong kind; the stream stays as it was.
        """
        arrival = time.monotonic()
        state, due = take(self.state, as_frame(frame, time_seconds, order), self._rules)
        if due is None:
            self.state = state
            return None
        ((self.state, (reading,)),) = look(self._graphs, self._rules, [(state, [due])])
        return replace(reading, age_seconds=time.monotonic() - arrival)

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a new stream."""
        self.state = self._fresh

    def finish(self) -> Answer:
        """The answer over everything pushed since the beginning or `reset()`.

        It is what `recognize` would give for a file of these frames: segments count from the
        first frame. Only the end of the last segment can differ: how long the newest frame is
        shown stands in a file, and is taken here to be as long as the gap before it, which at an
        uneven rate may be more or less. A stream too short to be ready gets one reading from its
        padded ring. The stream can be pushed on afterwards.

        Raises:
            NoFramesError: no frame was pushed.
        """
        total = finish(self._graphs, self._rules, self.state)
        if total.zero_seconds is None:
            raise NoFramesError("stream", "no frame was pushed")
        return total.answer(self._rules, "stream", total.duration_seconds, model=self._model)


def as_frame(
    frame: Frame | NDArray[np.uint8], time_seconds: float | None = None, order: Order = "rgb"
) -> Frame:
    """A frame as `Stream.push` takes it, checked.

    Raises:
        FrameError: it is neither a Frame nor a picture with its time.
    """
    if order not in get_args(Order):
        raise FrameError(f"order must be 'rgb' or 'bgr', got {order!r}")
    if isinstance(frame, Frame):
        if time_seconds is not None or order != "rgb":
            raise FrameError("a Frame has its own time and is RGB: give it alone")
        check_time(frame.time_seconds)
        return frame
    pixels = RGBFrame(frame, check_time(time_seconds))
    return RGBFrame(pixels.pixels[..., ::-1], pixels.time_seconds) if order == "bgr" else pixels

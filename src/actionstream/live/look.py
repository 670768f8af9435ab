"""A frame that will be looked at, on its way from the camera to the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from actionstream.errors import FrameError
from actionstream.results import Pixels, check_pixels

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

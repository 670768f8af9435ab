"""Every error that actionstream raises on purpose.

The tree (the builtin that each one also is stands in brackets)::

    ActionstreamError (Exception)
    ├── VideoError                      a source that gives no pictures; has .kind and .source
    │   ├── VideoNotFoundError          [FileNotFoundError]  kind "not_found"
    │   ├── EmptyVideoError             [ValueError]         kind "empty"
    │   ├── UnreadableVideoError        [OSError]            kind "unreadable"
    │   ├── NoVideoStreamError          [ValueError]         kind "no_video"
    │   ├── NoFramesError               [ValueError]         kind "no_frames"
    │   ├── UnsupportedVideoError       [ValueError]         kind "unsupported"
    │   ├── VideoTooLargeError          [ValueError]         kind "too_large"
    │   ├── VideoTimeoutError           [TimeoutError]       kind "timeout"
    │   └── VideoCrashedError           [RuntimeError]       kind "crashed"
    ├── VideoWriteError                 [OSError]            an output file that cannot be written
    ├── FrameError                      [ValueError]         a picture or time of the wrong kind
    ├── BundleError                     [ValueError]         lists all that is wrong with a bundle
    ├── EngineError                     [RuntimeError]       an engine or device that cannot be used
    ├── BusyError                       [RuntimeError]       every live session is in use
    ├── DatasetError                    [ValueError]         a data set that is not as it should be
    │   └── LeakError                                        one origin in two subsets of a split
    ├── TrainingError                   [RuntimeError]       a store or run that cannot go on
    └── MissingExtraError               [ImportError]        names the `pip install` to do
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

VideoErrorKind = Literal[
    "not_found",
    "empty",
    "unreadable",
    "no_video",
    "no_frames",
    "unsupported",
    "too_large",
    "timeout",
    "crashed",
]


class ActionstreamError(Exception):
    """Base of all errors of this package."""


class VideoError(ActionstreamError):
    """A source that gives no pictures. `str(error)` is one line: source, colon, cause."""

    kind: ClassVar[VideoErrorKind] = "unreadable"

    def __init__(self, source: object, cause: str) -> None:
        self.source = str(source)
        self.cause = cause
        super().__init__(f"{self.source}: {cause}")

    def __str__(self) -> str:  # OSError would print a tuple of its arguments
        return f"{self.source}: {self.cause}"

    def __reduce__(self) -> tuple[type[VideoError], tuple[str, str]]:
        return type(self), (self.source, self.cause)


class VideoNotFoundError(VideoError, FileNotFoundError):
    """There is nothing at that path or address."""

    kind = "not_found"


class EmptyVideoError(VideoError, ValueError):
    """The file holds no bytes."""

    kind = "empty"


class UnreadableVideoError(VideoError, OSError):
    """No permission, no media file, or damaged beyond opening."""

    kind = "unreadable"


class NoVideoStreamError(VideoError, ValueError):
    """A media file without a video stream."""

    kind = "no_video"


class NoFramesError(VideoError, ValueError):
    """A video stream of which no frame could be decoded."""

    kind = "no_frames"


class UnsupportedVideoError(VideoError, ValueError):
    """A format that is refused (playlists) or a codec that is not at hand."""

    kind = "unsupported"


class VideoTooLargeError(VideoError, ValueError):
    """A picture, file or length over a stated limit."""

    kind = "too_large"


class VideoTimeoutError(VideoError, TimeoutError):
    """A source that did not answer in time."""

    kind = "timeout"


class VideoCrashedError(VideoError, RuntimeError):
    """The process that worked on the source ended in the middle of it."""

    kind = "crashed"


class VideoWriteError(ActionstreamError, OSError):
    """An output file that cannot be written. `errno` is the system's, where it was the system."""

    def __init__(self, message: str, number: int | None = None) -> None:
        super().__init__(message)
        self.errno = number

    def __reduce__(self) -> tuple[type[VideoWriteError], tuple[str, int | None]]:
        return type(self), (str(self), self.errno)


class FrameError(ActionstreamError, ValueError):
    """A picture or a time of the wrong kind."""


class BundleError(ActionstreamError, ValueError):
    """A bundle that does not keep its contract: `problems` lists all that is wrong."""

    def __init__(self, source: object, problems: Sequence[str]) -> None:
        self.source = str(source)
        self.problems = tuple(problems)
        super().__init__(f"{self.source}: " + "; ".join(self.problems))

    def __reduce__(self) -> tuple[type[BundleError], tuple[str, tuple[str, ...]]]:
        return type(self), (self.source, self.problems)


class EngineError(ActionstreamError, RuntimeError):
    """An engine or device that cannot be used."""


class BusyError(ActionstreamError, RuntimeError):
    """Every live session that the worker may serve is in use; try again later."""


class DatasetError(ActionstreamError, ValueError):
    """A data set that is not as it should be."""


class LeakError(DatasetError):
    """Clips of one origin in two subsets of a split."""


class TrainingError(ActionstreamError, RuntimeError):
    """A feature store, checkpoint or run that cannot go on."""


class MissingExtraError(ActionstreamError, ImportError):
    """An optional part is not installed; the message names the command that brings it."""

    def __init__(self, what: str, extra: str = "", packages: str = "") -> None:
        self.what, self.extra = what, extra
        self.packages = packages or f"'actionstream[{extra}]'"
        super().__init__(
            f"{what} needs packages that are not installed: pip install {self.packages}"
        )

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        return type(self), (self.what, self.extra, self.packages)

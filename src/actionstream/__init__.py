"""actionstream names the human action in a video or in front of a camera.

The public names live in the modules that `_HOMES` lists and are fetched on first use, so that
`import actionstream` costs a few milliseconds and needs no optional package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actionstream.errors import (
        ActionstreamError,
        BundleError,
        BusyError,
        DatasetError,
        EmptyVideoError,
        EngineError,
        FrameError,
        LeakError,
        MissingExtraError,
        NoFramesError,
        NoVideoStreamError,
        TrainingError,
        UnreadableVideoError,
        UnsupportedVideoError,
        VideoError,
        VideoNotFoundError,
        VideoTimeoutError,
        VideoTooLargeError,
        VideoWriteError,
    )
    from actionstream.inference.stream import Stream
    from actionstream.recognizer import Recognizer, load
    from actionstream.results import (
        Answer,
        Candidate,
        Failure,
        Frame,
        Reading,
        Segment,
        Timing,
        VideoFacts,
    )

__version__ = "0.1.0"

__all__ = [
    "ActionstreamError",
    "Answer",
    "BundleError",
    "BusyError",
    "Candidate",
    "DatasetError",
    "EmptyVideoError",
    "EngineError",
    "Failure",
    "Frame",
    "FrameError",
    "LeakError",
    "MissingExtraError",
    "NoFramesError",
    "NoVideoStreamError",
    "Reading",
    "Recognizer",
    "Segment",
    "Stream",
    "Timing",
    "TrainingError",
    "UnreadableVideoError",
    "UnsupportedVideoError",
    "VideoError",
    "VideoFacts",
    "VideoNotFoundError",
    "VideoTimeoutError",
    "VideoTooLargeError",
    "VideoWriteError",
    "__version__",
    "load",
]

_HOMES = {
    "Answer": "results",
    "Candidate": "results",
    "Failure": "results",
    "Frame": "results",
    "Reading": "results",
    "Recognizer": "recognizer",
    "Segment": "results",
    "Stream": "inference.stream",
    "Timing": "results",
    "VideoFacts": "results",
    "load": "recognizer",
}
"""Where a public name lives; the errors, all the others, live in `errors`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'actionstream' has no attribute {name!r}")
    value = getattr(import_module(f"actionstream.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""actionstream names the human action in a video or in front of a camera.

The public names live in the modules that `_HOMES` lists and are fetched on first use, so that
`import actionstream` costs a few milliseconds and needs no optional package.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take it for `typing.TYPE_CHECKING`; no import is needed
if TYPE_CHECKING:
    from actionstream.draw.annotate import annotate
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
        VideoCrashedError,
        VideoError,
        VideoNotFoundError,
        VideoTimeoutError,
        VideoTooLargeError,
        VideoWriteError,
    )
    from actionstream.inference.stream import Stream
    from actionstream.live.worker import Worker
    from actionstream.recognizer import Recognizer, list_models, load
    from actionstream.results import (
        Answer,
        Candidate,
        Failure,
        Frame,
        Notice,
        Reading,
        RGBFrame,
        Segment,
        Timing,
        VideoFacts,
    )
    from actionstream.teaching.taught import Taught, teach
    from actionstream.video.reader import VideoReader

__version__ = "0.2.0"

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
    "Notice",
    "RGBFrame",
    "Reading",
    "Recognizer",
    "Segment",
    "Stream",
    "Taught",
    "Timing",
    "TrainingError",
    "UnreadableVideoError",
    "UnsupportedVideoError",
    "VideoCrashedError",
    "VideoError",
    "VideoFacts",
    "VideoNotFoundError",
    "VideoReader",
    "VideoTimeoutError",
    "VideoTooLargeError",
    "VideoWriteError",
    "Worker",
    "__version__",
    "annotate",
    "list_models",
    "load",
    "teach",
]

_RESULTS = (
    *("Answer", "Candidate", "Failure", "Frame", "Notice", "RGBFrame", "Reading", "Segment"),
    *("Timing", "VideoFacts"),
)
_HOMES = {
    **dict.fromkeys(_RESULTS, "results"),
    **dict.fromkeys(("Recognizer", "list_models", "load"), "recognizer"),
    **dict.fromkeys(("Taught", "teach"), "teaching.taught"),
    **{"Stream": "inference.stream", "VideoReader": "video.reader", "Worker": "live.worker"},
    "annotate": "draw.annotate",
}
"""Where a public name lives; the errors, all the others, live in `errors`."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'actionstream' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"actionstream.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)

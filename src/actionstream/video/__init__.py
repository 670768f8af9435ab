"""Video in and out. PyAV is used here and nowhere else."""

from actionstream.video.limits import DEFAULT_LIMITS, Limits
from actionstream.video.picture import DecodedFrame
from actionstream.video.probe import VideoProbe, probe
from actionstream.video.reader import VideoReader

__all__ = ["DEFAULT_LIMITS", "DecodedFrame", "Limits", "VideoProbe", "VideoReader", "probe"]

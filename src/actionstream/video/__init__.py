"""Video in and out. PyAV is used here and nowhere else."""

from actionstream.video.formats import VIDEO_EXTENSIONS, find_videos
from actionstream.video.limits import DEFAULT_LIMITS, Limits
from actionstream.video.picture import DecodedFrame
from actionstream.video.probe import VideoProbe, probe
from actionstream.video.reader import VideoReader
from actionstream.video.source import Backoff, LiveSource, LiveState
from actionstream.video.transcode import browser_playable, to_browser_mp4
from actionstream.video.webrtc import fitted, from_webrtc, to_webrtc
from actionstream.video.writer import VideoWriter

__all__ = [
    "DEFAULT_LIMITS",
    "VIDEO_EXTENSIONS",
    "Backoff",
    "DecodedFrame",
    "Limits",
    "LiveSource",
    "LiveState",
    "VideoProbe",
    "VideoReader",
    "VideoWriter",
    "browser_playable",
    "find_videos",
    "fitted",
    "from_webrtc",
    "probe",
    "to_browser_mp4",
    "to_webrtc",
]

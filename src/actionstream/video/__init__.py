"""Video in and out. PyAV is used here and nowhere else."""

from actionstream.video.opening import DEFAULT_LIMITS, VIDEO_EXTENSIONS, Limits, find_videos
from actionstream.video.picture import DecodedFrame, fitted, from_webrtc, to_webrtc
from actionstream.video.reader import VideoProbe, VideoReader, probe
from actionstream.video.source import Backoff, LiveSource, LiveState
from actionstream.video.transcode import browser_playable, to_browser_mp4
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

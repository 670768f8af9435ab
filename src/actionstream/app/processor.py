"""What streamlit-webrtc asks for: a video processor around a camera link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlit_webrtc import VideoProcessorBase

from actionstream.app.camera_link import CameraLink

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


class LinkProcessor(VideoProcessorBase):
    """Hands frames to the link. Runs in streamlit-webrtc's thread and never waits."""

    def __init__(self, link: CameraLink) -> None:
        self._link = link

    async def recv_queued(self, frames: list[VideoFrame]) -> list[VideoFrame]:
        """All frames since the last call; exactly one goes back, or frames would pile up."""
        return [self._link.recv(frames[-1])]

    def on_ended(self) -> None:
        """The camera's track has ended."""
        self._link.end()

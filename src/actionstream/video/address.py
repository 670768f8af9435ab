"""Which camera or network stream an address names, and what FFmpeg may open for it."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import Literal

import av

from actionstream.errors import UnsupportedVideoError, VideoNotFoundError

AddressKind = Literal["camera", "network"]

# Per scheme: the protocols that FFmpeg may use and the demuxers that it may pick. Playlists (HLS,
# DASH, SDP) are not among them: they name further addresses.
_MEDIA = "mpegts,mpjpeg,mjpeg,flv,live_flv,matroska,webm,mov,mp4,ogg,avi,mpeg,h264,hevc,nut"
_SCHEMES: dict[str, tuple[str, str]] = {
    "rtsp": ("rtsp,rtp,udp,tcp", "rtsp,mpegts"),
    "rtsps": ("rtsps,rtsp,rtp,srtp,udp,tcp,tls", "rtsp,mpegts"),
    "http": ("http,https,tls,tcp", _MEDIA),
    "https": ("http,https,tls,tcp", _MEDIA),
    "udp": ("udp", "mpegts"),
    "tcp": ("tcp", _MEDIA),
    "rtmp": ("rtmp,tcp", "flv,live_flv"),
    "rtmps": ("rtmps,rtmp,tls,tcp", "flv,live_flv"),
}

_CAMERA_FORMATS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
_CAMERA_PROTOCOLS = "file"  # a camera opens no protocol at all; FFmpeg wants a name here
_SECRETS = re.compile(r"(?<=://)\S*@")


@dataclass(frozen=True, slots=True)
class LiveAddress:
    """What is opened. `shown` is the address as it may be printed: no user, password or query."""

    kind: AddressKind
    url: str = field(repr=False)
    shown: str
    format: str | None
    options: dict[str, str]

    def redact(self, text: str) -> str:
        """`text` without what must not be printed."""
        return _SECRETS.sub("***@", text.replace(self.url, self.shown))


def parse_address(
    address: str,
    *,
    size: tuple[int, int] | None = None,
    frame_rate: float | None = None,
    rtsp_transport: Literal["tcp", "udp"] = "tcp",
) -> LiveAddress:
    """The camera or stream that `address` names.

    A number or a device (`0`, `/dev/video0`; on Windows and macOS also a camera's name) is a
    local camera, for which `size` (width, height) and `frame_rate` are wishes. Everything with
    `://` is a network stream: rtsp, rtsps, http, https, udp, tcp, rtmp, rtmps.

    Raises:
        UnsupportedVideoError: neither.
        VideoNotFoundError: there is no camera of that number (Windows).
    """
    if "://" in address:
        return _network(address, rtsp_transport)
    return _camera(address.strip(), size, frame_rate)


def _network(address: str, rtsp_transport: str) -> LiveAddress:
    scheme = address.split("://", 1)[0].lower()
    shown = _shown(address)
    if scheme not in _SCHEMES:
        cause = f"not a stream that is read (one of {', '.join(_SCHEMES)})"
        raise UnsupportedVideoError(shown, cause)
    protocols, formats = _SCHEMES[scheme]
    options = {"protocol_whitelist": protocols, "format_whitelist": formats}
    if scheme.startswith("rtsp"):
        options["rtsp_transport"] = rtsp_transport
        options["allowed_media_types"] = "video"
    return LiveAddress("network", address, shown, None, options)


def _shown(address: str) -> str:
    scheme, rest = address.split("://", 1)
    host = rest.rpartition("@")[2]  # the last one: a password may hold "@", "/" and "?"
    secret = "***@" if host != rest else ""
    host, query, _ = host.partition("?")  # tokens travel in queries
    return f"{scheme}://{secret}{host}{'?***' if query else ''}"


def _camera(address: str, size: tuple[int, int] | None, frame_rate: float | None) -> LiveAddress:
    camera_format = _CAMERA_FORMATS.get(sys.platform)
    is_number, is_device = address.isascii() and address.isdigit(), address.startswith("/dev/")
    by_name = sys.platform != "linux" and bool(address) and not address.startswith("/")
    if camera_format is None or not (is_number or is_device or by_name):
        cause = "neither a camera (0, 1, /dev/video0) nor a stream's address (rtsp://, http://)"
        raise UnsupportedVideoError(address, cause)
    options = {"protocol_whitelist": _CAMERA_PROTOCOLS}
    if size is not None:
        options["video_size"] = f"{size[0]}x{size[1]}"
    if frame_rate is not None:
        options["framerate"] = f"{frame_rate:g}"
    return LiveAddress("camera", _device(address, is_number), address, camera_format, options)


def _device(address: str, is_number: bool) -> str:
    """The name by which FFmpeg knows the camera on this system."""
    if sys.platform == "linux":
        return f"/dev/video{int(address)}" if is_number else address
    if sys.platform == "darwin":
        return f"{address}:none"  # no microphone
    if not is_number:
        return f"video={address}"
    cameras = [d for d in av.enumerate_input_devices("dshow") if "video" in d.media_types]
    if int(address) >= len(cameras):
        raise VideoNotFoundError(address, f"there are {len(cameras)} cameras")
    return f"video={cameras[int(address)].name}"

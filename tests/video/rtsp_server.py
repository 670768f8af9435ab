"""Serves a test picture by RTSP on 127.0.0.1 until it is ended; run by the system's Python.

Needs Debian's gir1.2-gst-rtsp-server-1.0 and the usual GStreamer plugins. Usage: PORT.
"""

from __future__ import annotations

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

LIFETIME_SECONDS = 60  # never left behind, whatever becomes of the test

Gst.init(None)
server = GstRtspServer.RTSPServer(address="127.0.0.1", service=sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    "( videotestsrc is-live=true pattern=red ! video/x-raw,width=64,height=48,framerate=25/1 "
    "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! rtph264pay name=pay0 )"
)
factory.set_shared(True)
server.get_mount_points().add_factory("/camera", factory)
server.attach(None)
print("ready", flush=True)
loop = GLib.MainLoop()
GLib.timeout_add_seconds(LIFETIME_SECONDS, loop.quit)
loop.run()

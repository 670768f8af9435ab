"""A page on this machine alone that shows a live picture: MJPEG, and a little JSON beside it.

It listens on 127.0.0.1. Requests whose Host is another name are refused, or any web page could
point a name of its own at this address and read the camera (DNS rebinding); other pages may not
embed the picture either.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

from actionstream.concurrency import Closing, Latest

HOST = "127.0.0.1"
MOST_VIEWERS = 8
"""Windows that may show the picture at the same time."""
STALL_SECONDS = 10.0
"""A viewer that takes nothing for this long is let go."""
REPEAT_SECONDS = 1.0
"""Without a new picture the old one is sent again: so a viewer that has left is noticed."""

_BOUNDARY = "picture"
_log = logging.getLogger(__name__)


class LivePage(Closing):
    """Serves the newest picture and status to browsers on this machine.

    Args:
        port: 0 for any that is free.

    Raises:
        OSError: the port cannot be had.
    """

    def __init__(self, port: int = 0) -> None:
        self._lock = threading.Lock()
        self._viewers: set[Latest[bytes]] = set()
        self._picture = b""
        self.make_status: Callable[[], dict[str, Any]] = dict
        """Gives what /status.json says, whenever a browser asks, in any thread."""
        self._closing = False
        self._server = _Server((HOST, port), _Handler)
        self._server.page = self
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            args=(0.1,),  # seconds until it notices `shutdown`
            name="actionstream-page",
            daemon=True,
        )
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}/"

    @property
    def viewers(self) -> int:
        """How many windows show the picture now; without any, none need be made."""
        with self._lock:
            return len(self._viewers)

    def show(self, jpeg: bytes) -> None:
        """Make this the newest picture. Viewers that are slow miss some."""
        with self._lock:
            self._picture = jpeg
            for box in self._viewers:
                box.put(jpeg)

    def close(self) -> None:
        """Let all viewers go and stop listening. Harmless twice."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            for box in self._viewers:
                box.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def is_own(self, host: str) -> bool:
        """Whether a request's Host header means this page."""
        return host in {f"{name}:{self.port}" for name in (HOST, "localhost")}

    @contextmanager
    def viewing(self) -> Iterator[Latest[bytes] | None]:
        """A viewer's mailbox of pictures; None where there are enough viewers already."""
        box: Latest[bytes] = Latest()
        with self._lock:
            welcome = len(self._viewers) < MOST_VIEWERS and not self._closing
            if welcome:
                self._viewers.add(box)
                box.put(self._picture)
        try:
            yield box if welcome else None
        finally:
            with self._lock:
                self._viewers.discard(box)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    page: LivePage


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "actionstream", ""
    timeout = STALL_SECONDS

    def do_GET(self) -> None:
        if not self.server.page.is_own(self.headers.get("Host", "")):
            self._send(HTTPStatus.MISDIRECTED_REQUEST, "text/plain", b"not this host\n")
        elif self.path == "/":
            self._page()
        elif self.path == "/status.json":
            body = json.dumps(self.server.page.make_status(), ensure_ascii=False).encode()
            self._send(HTTPStatus.OK, "application/json", body)
        elif self.path.split("?")[0] == "/picture.mjpg":
            self._pictures()
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"nothing here\n")

    def _page(self) -> None:
        nonce = secrets.token_urlsafe(16)
        text = files("actionstream.webcam").joinpath("page.html").read_text(encoding="utf-8")
        policy = (
            "default-src 'none'; img-src 'self' data:; connect-src 'self'; "
            f"style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        body = text.replace("{{nonce}}", nonce).encode()
        self._send(HTTPStatus.OK, "text/html; charset=utf-8", body, policy)

    def _send(
        self, status: HTTPStatus, kind: str, body: bytes, policy: str = "default-src 'none'"
    ) -> None:
        self._begin(status, kind, policy)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _begin(self, status: HTTPStatus, kind: str, policy: str = "default-src 'none'") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Security-Policy", policy)
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")

    def _pictures(self) -> None:
        with self.server.page.viewing() as box:
            if box is None:
                self._send(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", b"enough viewers\n")
                return
            self._begin(HTTPStatus.OK, f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
            self.end_headers()
            picture = b""
            while not box.closed:
                picture = box.take(REPEAT_SECONDS) or picture
                if picture:
                    head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\n"
                    head += f"Content-Length: {len(picture)}\r\n\r\n"
                    self.wfile.write(head.encode() + picture + b"\r\n")

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError):  # the viewer has gone; nobody needs to hear of it
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  http.server's name
        _log.debug(format, *args)

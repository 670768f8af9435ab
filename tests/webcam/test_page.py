"""The loopback page: what it serves, to whom, and that it lets go."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator

import pytest
from streams import PATIENCE_SECONDS, eventually

from actionstream.webcam.page import MOST_VIEWERS, LivePage


@pytest.fixture
def page() -> Iterator[LivePage]:
    with LivePage() as page:
        yield page


def get(
    page: LivePage, path: str, host: str | None = None
) -> tuple[http.client.HTTPResponse, http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=PATIENCE_SECONDS)
    connection.putrequest("GET", path, skip_host=host is not None)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    return connection.getresponse(), connection


def read_part(response: http.client.HTTPResponse) -> bytes:
    """The next picture of a multipart stream."""
    assert response.readline() == b"--picture\r\n"
    assert response.readline() == b"Content-Type: image/jpeg\r\n"
    length = int(response.readline().removeprefix(b"Content-Length: "))
    assert response.readline() == b"\r\n"
    body = response.read(length)
    assert response.readline() == b"\r\n"
    return body


def test_the_page_and_its_policy(page: LivePage) -> None:
    response, connection = get(page, "/")
    body = response.read().decode()
    connection.close()
    assert response.status == 200
    assert "/picture.mjpg" in body
    policy = response.headers["Content-Security-Policy"]
    nonce = policy.split("script-src 'nonce-")[1].split("'")[0]
    assert f'<script nonce="{nonce}">' in body
    assert "{{" not in body
    assert "frame-ancestors 'none'" in policy
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_the_status_is_asked_for_anew(page: LivePage) -> None:
    values = iter([{"shown": "Läufer"}, {"shown": None}])
    page.make_status = lambda: next(values)
    for expected in ({"shown": "Läufer"}, {"shown": None}):
        response, connection = get(page, "/status.json")
        assert json.loads(response.read()) == expected
        connection.close()


def test_the_newest_picture_comes_and_repeats(page: LivePage) -> None:
    page.show(b"one")
    response, connection = get(page, "/picture.mjpg?1")
    assert response.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=picture"
    assert read_part(response) == b"one"
    page.show(b"two")
    assert read_part(response) == b"two"
    assert read_part(response) == b"two"  # nothing new for a second: again
    assert page.viewers == 1
    connection.sock and connection.sock.close()
    response.close()
    eventually(lambda: page.viewers == 0)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", "localhost:80"]
)
def test_other_hosts_are_refused(page: LivePage, host: str) -> None:
    page.show(b"secret")
    for path in ("/", "/picture.mjpg", "/status.json"):
        response, connection = get(page, path, host.format(port=page.port))
        assert response.status == 421
        assert b"secret" not in response.read()
        connection.close()


def test_its_own_names_are_welcome(page: LivePage) -> None:
    for name in ("127.0.0.1", "localhost"):
        response, connection = get(page, "/status.json", f"{name}:{page.port}")
        assert response.status == 200
        connection.close()


def test_nothing_else_is_there(page: LivePage) -> None:
    for path in ("/page.html", "/../page.py", "/etc/passwd", "/picture.mjpgx"):
        response, connection = get(page, path)
        assert response.status == 404
        connection.close()


def test_it_listens_on_this_machine_only(page: LivePage) -> None:
    assert page._server.server_address[0] == "127.0.0.1"
    assert page.address == f"http://127.0.0.1:{page.port}/"


def test_viewers_are_bounded(page: LivePage) -> None:
    page.show(b"x")
    held = [get(page, "/picture.mjpg") for _ in range(MOST_VIEWERS)]
    assert page.viewers == MOST_VIEWERS
    response, connection = get(page, "/picture.mjpg")
    assert response.status == 503
    connection.close()
    for response, connection in held:
        response.close()
        connection.close()
    eventually(lambda: page.viewers == 0)


def test_a_slow_viewer_holds_up_nobody(page: LivePage) -> None:
    slow = socket.create_connection(("127.0.0.1", page.port))
    slow.sendall(f"GET /picture.mjpg HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\n\r\n".encode())
    eventually(lambda: page.viewers == 1)
    response, connection = get(page, "/picture.mjpg")
    for number in range(30):
        picture = bytes([number]) * 1_000_000  # more than the slow one's socket takes
        page.show(picture)
        assert read_part(response) == picture
    connection.close()
    response.close()
    slow.close()


def test_close_lets_viewers_go_and_frees_the_port() -> None:
    threads = threading.active_count()
    page = LivePage()
    port = page.port
    page.show(b"x")
    response, connection = get(page, "/picture.mjpg")
    page.close()
    page.close()
    while response.readline():
        pass  # the stream ends
    connection.close()
    eventually(lambda: threading.active_count() == threads)
    with LivePage(port) as again:
        assert again.port == port


def test_a_port_in_use_is_an_error(page: LivePage) -> None:
    with pytest.raises(OSError, match="in use"):
        LivePage(page.port)

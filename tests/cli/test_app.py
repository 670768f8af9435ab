"""`actionstream app`: what it refuses, and that it serves, with HTTPS too."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from browsing import App, end, free_port, serving, serving_script
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streams import eventually
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from actionstream.bundle.folder import shipped
from actionstream.cli import main

HEALTH = "_stcore/health"


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """The message with which these options are refused."""
    try:
        code = main(["app", *options])
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    assert code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--port", "0"], "must be 1 to 65535"),
        (["--port", "http"], "must be 1 to 65535"),
        (["--max-sessions", "0"], "must be a whole number from 1 on"),
        (["--max-upload", "-3"], "must be a whole number from 1 on"),
        (["--cert", "c.pem"], "go together"),
        (["--https", "--key", "k.pem"], "go together"),
        (["--cert", "c.pem", "--key", "k.pem"], "with --https"),
        (["--https", "--cert", "no.pem", "--key", "no.pem"], "no.pem: no such file"),
        (["--models", "no-such-folder"], "'no-such-folder' is not a folder"),
        (["--host", "203.0.113.9"], "no address of this computer"),
    ],
)
def test_wrong_use_is_explained(
    options: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("ACTIONSTREAM_MODELS", "ACTIONSTREAM_MAX_SESSIONS", "ACTIONSTREAM_MAX_UPLOAD_MB"):
        monkeypatch.setenv(name, "")  # so that what the verb sets is undone
    assert said in refused(capsys, *options)


def test_files_and_folders_that_cannot_be_used_are_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("ACTIONSTREAM_MODELS", "ACTIONSTREAM_ICE_SERVERS"):
        monkeypatch.setenv(name, "")
    bad = tmp_path / "bad.pem"
    bad.write_text("not PEM")
    said = refused(capsys, "--https", "--cert", str(bad), "--key", str(bad))
    assert said == f"actionstream app: {bad}: no certificate in PEM form\n"
    monkeypatch.setenv("ACTIONSTREAM_ICE_SERVERS", "turn:turn.example.org")
    assert "ACTIONSTREAM_ICE_SERVERS is a JSON list such as" in refused(capsys)
    bundle = next(iter(shipped().values()))
    said = refused(capsys, "--models", str(bundle))
    assert "is a bundle itself: name the folder that it lies in" in said
    assert said.count("\n") == 1


def test_a_port_in_use_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert f"127.0.0.1:{port} already" in refused(capsys, "--port", str(port))


def fetch(url: str, context: ssl.SSLContext | None = None) -> str:
    with urllib.request.urlopen(url, timeout=10, context=context) as answer:
        return str(answer.read().decode())


def test_it_serves_this_computer_only_and_ends_when_asked(tmp_path: Path) -> None:
    with serving(tmp_path) as app:
        assert fetch(f"{app.url}/{HEALTH}") == "ok"
        said = (tmp_path / "server.log").read_text()
        assert f"{app.url}\n" in said
        port = int(app.url.rpartition(":")[2])
        assert listens_on(app.process.pid, port) == {"127.0.0.1"}
        assert end(app.process) == 0
        assert list(app.folder.iterdir()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="replaces xdg-open")
@pytest.mark.parametrize("browser", [True, False])
def test_the_browser_is_opened_unless_told_otherwise(
    browser: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser is a script that writes down which address it was given."""
    opened, program = tmp_path / "opened", tmp_path / "bin" / "xdg-open"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho \"$@\" >> '{opened}'\n", "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("BROWSER", str(program))
    monkeypatch.setenv("DISPLAY", ":0")
    with serving(tmp_path, browser=browser) as app:
        if browser:
            eventually(lambda: opened.exists() and opened.read_text("utf-8").endswith("\n"))
            assert opened.read_text("utf-8") == f"{app.url}\n"
        end(app.process)
    assert opened.exists() is browser


def listens_on(pid: int, port: int) -> set[str]:
    import psutil

    connections = psutil.Process(pid).net_connections("tcp")
    return {c.laddr.ip for c in connections if c.status == "LISTEN" and c.laddr.port == port}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What is asked of outside servers: all goes to a proxy here that answers nothing."""
    wishes: list[bytes] = []
    # urllib keeps the proxies of its first question; the tests' own ones go straight.
    urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({})))
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def refuse() -> None:
            while True:
                try:
                    visitor, _ = proxy.accept()
                except OSError:  # closed
                    return
                with visitor:
                    wishes.append(visitor.recv(4096))

        thread = threading.Thread(target=refuse)
        thread.start()
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, "127.0.0.1")
        yield wishes
        proxy.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.mark.skipif(sys.platform != "linux", reason="the listening socket is closed as Linux does")
@pytest.mark.parametrize(
    ("way", "options", "listens"),
    [
        (serving_script, [], "127.0.0.1"),
        (
            serving_script,
            ["--server.address", "0.0.0.0", "--browser.serverAddress", "127.0.0.1"],
            "0.0.0.0",
        ),
        (serving, [], "127.0.0.1"),
        (serving, ["--host", "0.0.0.0"], "0.0.0.0"),
    ],
)
def test_no_way_to_start_asks_an_outside_server(
    way: Callable[..., AbstractContextManager[App]],
    options: list[str],
    listens: str,
    asked: list[bytes],
    tmp_path: Path,
) -> None:
    with way(tmp_path, *options) as app:
        assert listens_on(app.process.pid, int(app.url.rpartition(":")[2])) == {listens}
        time.sleep(1.0)  # it asks when it has begun to listen
        assert asked == []


@contextmanager
def visiting(app: App) -> Iterator[str]:
    """What a browser does first: it connects, and the script runs to its end. The session's id."""
    address = f"{app.url.replace('http', 'ws', 1)}/_stcore/stream"
    with connect(address, origin=Origin(app.url)) as visitor:
        wish = BackMsg()
        wish.rerun_script.SetInParent()
        visitor.send(wish.SerializeToString())
        message, session = ForwardMsg(), ""
        while message.WhichOneof("type") != "script_finished":
            message.ParseFromString(bytes(visitor.recv(60)))
            session = session or message.new_session.initialize.session_id
        yield session


@pytest.mark.parametrize("way", [serving_script, serving])
def test_a_foreign_origin_is_refused_and_nobody_is_asked(
    way: Callable[..., AbstractContextManager[App]], asked: list[bytes], tmp_path: Path
) -> None:
    with way(tmp_path) as app:
        if way is serving_script:
            with visiting(app):
                pass
        address = f"{app.url.replace('http', 'ws', 1)}/_stcore/stream"
        for _ in range(5):
            with pytest.raises(InvalidStatus) as refusal:
                connect(address, origin=Origin("http://foreign.example"))
            assert refusal.value.response.status_code == 403
        assert asked == []


def put(app: App, session: str, name: str, content: bytes) -> int:
    """The status with which an upload to the visitor's own address is answered."""
    token = "2|12345678|" + "0" * 32 + "|1"
    body = (
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.mp4"\r\n\r\n'
        + content
        + b"\r\n--x--\r\n"
    )
    wish = urllib.request.Request(
        f"{app.url}/_stcore/upload_file/{session}/{name}",
        data=body,
        method="PUT",
        headers={
            "Content-Type": "multipart/form-data; boundary=x",
            "Cookie": f"_streamlit_xsrf={token}",
            "X-Xsrftoken": token,
        },
    )
    try:
        with urllib.request.urlopen(wish, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code


@pytest.mark.parametrize("way", [serving_script, serving])
def test_uploads_that_no_page_takes_are_bounded(
    way: Callable[..., AbstractContextManager[App]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To made-up ids at one's own address: 20 of 40 MB a visitor, 40 in all, 50 files."""
    monkeypatch.setenv("ACTIONSTREAM_MAX_UPLOAD_MB", "5")
    monkeypatch.setenv("ACTIONSTREAM_MAX_STORAGE_MB", "40")
    options = ["--max-upload", "5", "--max-storage", "40"] if way is serving else []
    large, small = bytes(4_500_000), b"x"
    with way(tmp_path, *options) as app, visiting(app) as one, visiting(app) as two:
        assert [put(app, one, f"a{i}", large) for i in range(7)] == [204] * 4 + [413] * 3
        assert [put(app, two, f"b{i}", small) for i in range(55)] == [204] * 50 + [413] * 5
        with visiting(app) as three, visiting(app) as four:
            assert [put(app, three, f"c{i}", large) for i in range(5)] == [204] * 4 + [413]
            assert put(app, four, "d", large) == 413
        assert put(app, two, "b", small) == 413


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions and state folder")
def test_https_uses_a_certificate_made_here(tmp_path: Path) -> None:
    port = free_port()
    log = tmp_path / "log"
    command = [sys.executable, "-m", "actionstream", "app", "--https", "--host", "127.0.0.1"]
    source = str(Path(__file__).resolve().parents[2] / "src")
    environment = os.environ | {
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "HOME": str(tmp_path),
        "PYTHONPATH": source,
        "PYTHONIOENCODING": "utf-8",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port)], stdout=output, stderr=output, env=environment
        )
    try:
        certificate = tmp_path / "state" / "actionstream" / "certificate.pem"
        url = f"https://127.0.0.1:{port}/{HEALTH}"
        assert wait_for(url, certificate) == "ok"
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            fetch(url)
        key = certificate.with_name("key.pem")
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        said = log.read_text("utf-8")
        assert f"https://127.0.0.1:{port}\n" in said
        assert "█" in said, "no QR code"
    finally:
        end(process)


def wait_for(url: str, certificate: Path, seconds: float = 60.0) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            context = ssl.create_default_context(cafile=str(certificate))
            return fetch(url, context)
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"no answer from {url}")

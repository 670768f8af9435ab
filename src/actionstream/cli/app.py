"""`actionstream app`: the web app, for this computer or, with --https, for phones too."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionstream.cli.options import at_least_one, option

if TYPE_CHECKING:
    from actionstream.app.server import Address

ALL_INTERFACES = "0.0.0.0"
WRONG_USE = 2


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "app",
        help="the web app: videos and cameras in a browser",
        description="Serve the web app. Browsers give cameras to pages of the same computer and "
        "to pages with HTTPS: to use a phone as the camera, start with --https.",
    )
    where = parser.add_argument_group("where")
    option(where, "--port PORT", "(default: 8501)", type=_port, default=8501)
    where.add_argument(
        "--host",
        "--listen",
        metavar="ADDRESS",
        help="where to listen (default: 127.0.0.1, with --https all interfaces)",
    )
    option(where, "--https", "with a certificate made here, or --cert and --key")
    option(where, "--cert PEM", "a certificate for --https", type=Path)
    option(where, "--key PEM", "its private key", type=Path)
    option(where, "--no-browser", "only print the address, open no browser")
    what = parser.add_argument_group("what")
    option(what, "--models DIR", "a folder of bundles for visitors to choose from", type=Path)
    option(what, "--max-sessions N", "cameras at once (default: 4)", type=at_least_one)
    option(what, "--max-upload MB", "largest video (default: 200 MB)", type=at_least_one)
    storage = "videos of all visitors together, with what is made of them (default: 5000 MB)"
    option(what, "--max-storage MB", storage, type=at_least_one)


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    _hand_over(args)
    from actionstream.app.settings import ICE_SERVERS, parse_ice_servers, read_settings

    try:
        settings = read_settings()
        parse_ice_servers(os.environ.get(ICE_SERVERS, ""))
        address = _address(args)
    except (ValueError, OSError) as error:
        print(f"actionstream app: {error}", file=sys.stderr)
        return WRONG_USE
    if not _is_free(address.listen, address.port):
        print(
            f"actionstream app: something listens on {address.listen}:{address.port} already, or "
            "it is no address of this computer; choose another one with --port or --host",
            file=sys.stderr,
        )
        return WRONG_USE
    if settings.models is not None and not any(settings.models.glob("*/card.json")):
        print(
            f"actionstream app: there is no bundle in {settings.models} yet; a bundle is a folder "
            "with a card.json",
            file=sys.stderr,
        )
    _announce(address)
    from actionstream.app.server import bound_uploads, serve
    from actionstream.app.settings import BYTES_PER_MB

    bound_uploads(settings.max_storage_mb * BYTES_PER_MB)
    open_browser = not args.no_browser and _has_screen()
    serve(address, max_upload_mb=settings.max_upload_mb, open_browser=open_browser)
    return 0


def _hand_over(args: argparse.Namespace) -> None:
    """The options become the environment variables that the app reads."""
    from actionstream.app.settings import MAX_SESSIONS, MAX_STORAGE, MAX_UPLOAD, MODELS

    for name, value in {
        MODELS: args.models,
        MAX_SESSIONS: args.max_sessions,
        MAX_UPLOAD: args.max_upload,
        MAX_STORAGE: args.max_storage,
    }.items():
        if value is not None:
            os.environ[name] = str(value)


def _address(args: argparse.Namespace) -> Address:
    """Where to serve. ValueError: options that do not go together, or unusable files."""
    from actionstream.app.server import (
        Address,
        CertificateFiles,
        check,
        host_names,
        own_certificate,
        state_folder,
    )

    given = [path for path in (args.cert, args.key) if path is not None]
    if given and (not args.https or len(given) == 1):
        raise ValueError("--cert and --key go together, and with --https")
    for path in given:
        if not path.is_file():
            raise ValueError(f"{path}: no such file")
    listen = args.host or (ALL_INTERFACES if args.https else "127.0.0.1")
    names = tuple(host_names(listen))
    certificate = None
    if args.https:
        if given:
            certificate = CertificateFiles(args.cert, args.key)
        else:
            certificate = own_certificate(state_folder(), names)
        check(certificate)
    return Address(listen=listen, port=args.port, names=names, certificate=certificate)


def _is_free(host: str, port: int) -> bool:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError:
        return False
    return True


def _has_screen() -> bool:
    """Whether a browser can be seen here: a Linux without a display has none."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _announce(address: Address) -> None:
    """The addresses, and a QR code of the best one where a phone can use it."""
    for url in address.urls:
        print(url)
    if address.certificate is not None:
        _print_qr(address.urls[0])
        print("A browser warns about a certificate that it does not know: accept it once.")
    print("Stop with Ctrl-C.", flush=True)


def _print_qr(url: str) -> None:
    import qrcode

    code = qrcode.QRCode(border=2)
    code.add_data(url)
    try:
        code.print_ascii(invert=True)
    except UnicodeEncodeError:  # a terminal without block characters
        print("(this terminal cannot show a QR code)")


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"must be 1 to 65535, got {text!r}")
    return int(text)

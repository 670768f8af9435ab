"""What the server's owner decides: read from the environment, so that both ways to start agree."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actionstream.bundle.card import CARD_NAME
from actionstream.bundle.folder import shipped

MODELS = "ACTIONSTREAM_MODELS"
MAX_SESSIONS = "ACTIONSTREAM_MAX_SESSIONS"
MAX_UPLOAD = "ACTIONSTREAM_MAX_UPLOAD_MB"
MAX_STORAGE = "ACTIONSTREAM_MAX_STORAGE_MB"
ICE_SERVERS = "ACTIONSTREAM_ICE_SERVERS"

DEFAULT_MAX_SESSIONS = 4
DEFAULT_MAX_UPLOAD_MB = 200
DEFAULT_MAX_STORAGE_MB = 5000
BYTES_PER_MB = 1_000_000
ROOM_A_VIDEO = 3
"""A video takes so many times its size: itself, the annotated one, one for the browser."""

IceServer = dict[str, Any]
_EXAMPLE = '[{"urls": "turn:turn.example.org", "username": "me", "credential": "secret"}]'
_HOST = r"(\[[0-9A-Fa-f:.]+\]|[^\s/?#:@\[\]]+)(:[0-9]{1,5})?"
_ICE_URL = re.compile(rf"stuns?:{_HOST}|turns?:{_HOST}(\?transport=(udp|tcp))?")  # RFC 7064, 7065


class SettingError(ValueError):
    """A setting that cannot be used; the message names it, its value and what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The owner's choices.

    models:         folder whose subfolders are further bundles to choose from; None for none.
    max_sessions:   cameras served at once.
    max_upload_mb:  the largest video accepted, in megabytes (10**6 bytes).
    max_storage_mb: what the videos of all visitors may take together, in megabytes; room for at
                    least one of the largest.
    """

    models: Path | None = None
    max_sessions: int = DEFAULT_MAX_SESSIONS
    max_upload_mb: int = DEFAULT_MAX_UPLOAD_MB
    max_storage_mb: int = DEFAULT_MAX_STORAGE_MB


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings in these environment variables; ICE_SERVERS is the camera page's own.

    Raises:
        SettingError: a value that is not as it must be.
    """
    settings = Settings(
        models=_folder(environment.get(MODELS, "")),
        max_sessions=_count(environment, MAX_SESSIONS, DEFAULT_MAX_SESSIONS),
        max_upload_mb=_count(environment, MAX_UPLOAD, DEFAULT_MAX_UPLOAD_MB),
        max_storage_mb=_count(environment, MAX_STORAGE, DEFAULT_MAX_STORAGE_MB),
    )
    needed = ROOM_A_VIDEO * settings.max_upload_mb
    if settings.max_storage_mb < needed:
        raise SettingError(
            f"{MAX_STORAGE} is at least {needed}, {ROOM_A_VIDEO} times {MAX_UPLOAD}, "
            f"or the largest video finds no room; got {settings.max_storage_mb}"
        )
    return settings


def _folder(text: str) -> Path | None:
    if not text.strip():
        return None
    folder = Path(text).expanduser()
    if not folder.is_dir():
        raise SettingError(f"{MODELS} names a folder of bundles, but {text!r} is not a folder")
    if (folder / CARD_NAME).is_file():
        raise SettingError(
            f"{MODELS} names a folder of bundles, but {text!r} is a bundle itself: name the folder "
            f"that it lies in, {str(folder.absolute().parent)!r}"
        )
    for name, place in shipped().items():
        own = folder / name
        if (own / CARD_NAME).is_file() and own.resolve() != place.resolve():
            raise SettingError(
                f"{MODELS}: {str(own)!r} has the name of a bundle that comes with actionstream; "
                "give its folder another one"
            )
    return folder


def _count(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "").strip() or str(default)
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise SettingError(f"{name} is a whole number of at least 1, got {text!r}")
    return int(text)


def parse_ice_servers(text: str, name: str = ICE_SERVERS) -> tuple[IceServer, ...]:
    """The servers in this JSON text; see `check_ice_servers`. () for no text.

    Raises:
        SettingError: no JSON, or no such servers.
    """
    if not text.strip():
        return ()
    try:
        servers = json.loads(text)
    except ValueError:
        servers = None
    return check_ice_servers(servers, name)


def check_ice_servers(servers: object, name: str = ICE_SERVERS) -> tuple[IceServer, ...]:
    """A list of objects with `urls`, and `username` and `credential` if needed; or one object.

    Raises:
        SettingError: it is something else. The message has none of the values: they are secret.
    """
    listed = [servers] if isinstance(servers, dict) else servers
    if not isinstance(listed, list) or not all(_is_ice_server(server) for server in listed):
        raise SettingError(
            f"{name} is a JSON list such as {_EXAMPLE}; stun needs no username and credential, "
            "turn does"
        )
    return tuple(listed)


def _is_ice_server(server: object) -> bool:
    if not isinstance(server, dict) or not set(server) <= {"urls", "username", "credential"}:
        return False
    urls = server.get("urls")
    listed = urls if isinstance(urls, list) else [urls]
    good = [url for url in listed if isinstance(url, str) and _ICE_URL.fullmatch(url)]
    access = [server[key] for key in ("username", "credential") if key in server]
    needed = 2 if any(url.startswith("turn") for url in good) else 0  # browsers insist
    return (
        bool(listed)
        and len(good) == len(listed)
        and all(isinstance(word, str) for word in access)
        and len(access) >= needed
    )


def ice_servers() -> list[IceServer]:
    """STUN and TURN servers: from the environment, else from Streamlit's secrets, else none.

    Raises:
        SettingError: what the owner wrote names no servers.
    """
    named = parse_ice_servers(os.environ.get(ICE_SERVERS, ""))
    return list(named or _from_secrets(f"the secret {ICE_SERVERS}"))


def _from_secrets(name: str) -> tuple[IceServer, ...]:
    """Written as JSON text, or as TOML: one table or several."""
    import streamlit as st
    from streamlit.errors import StreamlitSecretNotFoundError

    try:
        secret = st.secrets.get(ICE_SERVERS, "")
    except StreamlitSecretNotFoundError as error:
        if error.__cause__ is None:  # there is no file of secrets
            return ()
        raise SettingError(f"{name}: {error}") from error
    if isinstance(secret, str):
        return parse_ice_servers(secret, name)
    return check_ice_servers(_bare(secret), name)


def _bare(secret: Any) -> Any:
    """Streamlit's tables as dictionaries."""
    if isinstance(secret, Mapping):
        return {key: _bare(value) for key, value in secret.items()}
    return [_bare(value) for value in secret] if isinstance(secret, list) else secret

"""What the server's owner decides: read from the environment, so that both ways to start agree."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    ice_servers:    STUN and TURN servers, as browsers take them; none unless said.
    """

    models: Path | None = None
    max_sessions: int = DEFAULT_MAX_SESSIONS
    max_upload_mb: int = DEFAULT_MAX_UPLOAD_MB
    max_storage_mb: int = DEFAULT_MAX_STORAGE_MB
    ice_servers: tuple[IceServer, ...] = ()


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings in these environment variables.

    Raises:
        SettingError: a value that is not as it must be.
    """
    settings = Settings(
        models=_folder(environment.get(MODELS, "")),
        max_sessions=_count(environment, MAX_SESSIONS, DEFAULT_MAX_SESSIONS),
        max_upload_mb=_count(environment, MAX_UPLOAD, DEFAULT_MAX_UPLOAD_MB),
        max_storage_mb=_count(environment, MAX_STORAGE, DEFAULT_MAX_STORAGE_MB),
        ice_servers=parse_ice_servers(environment.get(ICE_SERVERS, ""), ICE_SERVERS),
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
    return folder


def _count(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "").strip() or str(default)
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise SettingError(f"{name} is a whole number of at least 1, got {text!r}")
    return int(text)


def parse_ice_servers(text: str, name: str = ICE_SERVERS) -> tuple[IceServer, ...]:
    """The servers in this JSON list of objects: `urls`, and `username` and `credential` if needed.

    Raises:
        SettingError: not such a list.
    """
    if not text.strip():
        return ()
    example = '[{"urls": "turn:turn.example.org", "username": "me", "credential": "secret"}]'
    try:
        servers = json.loads(text)
    except ValueError:
        servers = None
    if not isinstance(servers, list) or not all(_is_ice_server(server) for server in servers):
        raise SettingError(f"{name} is a JSON list such as {example}")
    return tuple(servers)


def _is_ice_server(server: object) -> bool:
    if not isinstance(server, dict) or not set(server) <= {"urls", "username", "credential"}:
        return False
    urls = server.get("urls")
    listed = urls if isinstance(urls, list) else [urls]
    return bool(listed) and all(
        isinstance(url, str) and url.split(":")[0] in {"stun", "stuns", "turn", "turns"}
        for url in listed
    )

"""What the server's owner may say in the environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actionstream.app.settings import (
    ICE_SERVERS,
    MAX_SESSIONS,
    MAX_STORAGE,
    MAX_UPLOAD,
    MODELS,
    SettingError,
    Settings,
    read_settings,
)

TURN = {"urls": ["turn:turn.example.org:3478"], "username": "me", "credential": "secret"}


def test_nothing_said_means_no_outside_server_at_all() -> None:
    assert read_settings({}) == Settings(
        models=None, max_sessions=4, max_upload_mb=200, max_storage_mb=5000, ice_servers=()
    )


def test_everything_can_be_said(tmp_path: Path) -> None:
    said = {
        MODELS: str(tmp_path),
        MAX_SESSIONS: "7",
        MAX_UPLOAD: "12",
        MAX_STORAGE: "36",
        ICE_SERVERS: json.dumps([TURN, {"urls": "stun:stun.example.org"}]),
    }
    settings = read_settings(said)
    assert settings.models == tmp_path
    assert (settings.max_sessions, settings.max_upload_mb, settings.max_storage_mb) == (7, 12, 36)
    assert settings.ice_servers == (TURN, {"urls": "stun:stun.example.org"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (MAX_SESSIONS, "0"),
        (MAX_SESSIONS, "many"),
        (MAX_SESSIONS, "-1"),
        (MAX_SESSIONS, "²"),
        (MAX_UPLOAD, "1.5"),
        (MAX_STORAGE, "599"),
        (MAX_STORAGE, "unlimited"),
        (MODELS, "/no/such/folder"),
        (ICE_SERVERS, "stun:stun.example.org"),
        (ICE_SERVERS, '{"urls": "stun:stun.example.org"}'),
        (ICE_SERVERS, '[{"url": "stun:stun.example.org"}]'),
        (ICE_SERVERS, '[{"urls": []}]'),
        (ICE_SERVERS, '[{"urls": "https://example.org"}]'),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=name):
        read_settings({name: value})

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
    check_ice_servers,
    parse_ice_servers,
    read_settings,
)
from actionstream.bundle.folder import shipped

TURN = {"urls": ["turn:turn.example.org:3478"], "username": "me", "credential": "secret"}


def test_nothing_said_means_no_outside_server_at_all() -> None:
    assert read_settings({}) == Settings(
        models=None, max_sessions=4, max_upload_mb=200, max_storage_mb=5000
    )
    assert parse_ice_servers("") == ()


def test_everything_can_be_said(tmp_path: Path) -> None:
    said = {
        MODELS: str(tmp_path),
        MAX_SESSIONS: "7",
        MAX_UPLOAD: "12",
        MAX_STORAGE: "36",
    }
    settings = read_settings(said)
    assert settings.models == tmp_path
    assert (settings.max_sessions, settings.max_upload_mb, settings.max_storage_mb) == (7, 12, 36)


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
    ],
)
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=name):
        read_settings({name: value})


def test_a_bundle_is_no_folder_of_bundles(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text("{}")
    with pytest.raises(SettingError, match="is a bundle itself: name the folder") as raised:
        read_settings({MODELS: str(tmp_path)})
    assert repr(str(tmp_path.parent)) in str(raised.value)


def test_a_bundle_with_the_name_of_a_shipped_one_is_refused(tmp_path: Path) -> None:
    name, place = next(iter(shipped().items()))
    (tmp_path / name).symlink_to(place)
    assert read_settings({MODELS: str(tmp_path)}).models == tmp_path, "it is the same one"
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    (tmp_path / name / "card.json").write_text("{}")
    with pytest.raises(SettingError, match=f"{name}' has the name of a bundle that comes with"):
        read_settings({MODELS: str(tmp_path)})


@pytest.mark.parametrize(
    "server",
    [
        TURN,
        {"urls": "stun:stun.example.org"},
        {"urls": ["stun:192.0.2.1:3478", "stuns:[2001:db8::1]:5349"]},
        {"urls": "turns:turn.example.org:443?transport=tcp", "username": "", "credential": ""},
    ],
)
def test_servers_are_taken_in_a_list_or_alone(server: dict[str, object]) -> None:
    assert parse_ice_servers(json.dumps([server, TURN])) == (server, TURN)
    assert parse_ice_servers(json.dumps(server)) == (server,)
    assert check_ice_servers(server) == (server,)


@pytest.mark.parametrize(
    "text",
    [
        "stun:stun.example.org",
        '"stun:stun.example.org"',
        "7",
        '["stun:stun.example.org"]',
        '{"urls": "stun"}',
        '{"urls": "stun:"}',
        '{"urls": "stun://stun.example.org"}',
        '{"urls": "stun:a b"}',
        '{"urls": "stun:stun.example.org?transport=udp"}',
        '{"urls": 5}',
        '[{"url": "stun:stun.example.org"}]',
        '[{"urls": []}]',
        '[{"urls": "https://example.org"}]',
        '[{"urls": "turn:turn.example.org"}]',
        '[{"urls": "turn:turn.example.org", "username": "me"}]',
        '[{"urls": "turn:turn.example.org", "username": 5, "credential": "hidden"}]',
        '[{"urls": "stun:stun.example.org", "username": 5}]',
    ],
)
def test_no_servers_are_said_to_be_none_without_their_secrets(text: str) -> None:
    with pytest.raises(SettingError, match=ICE_SERVERS) as raised:
        parse_ice_servers(text)
    assert "hidden" not in str(raised.value)

"""STUN and TURN servers: from the environment, else from Streamlit's secrets, else none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from actionstream.app.settings import (
    ICE_SERVERS,
    IceServer,
    SettingError,
    check_ice_servers,
    parse_ice_servers,
)


def ice_servers() -> list[IceServer]:
    """The servers for both ends of the connection; [] unless the owner names some.

    Raises:
        SettingError: what the owner wrote names no servers.
    """
    named = parse_ice_servers(os.environ.get(ICE_SERVERS, ""))
    return list(named or _from_secrets(f"the secret {ICE_SERVERS}"))


def _from_secrets(name: str) -> tuple[IceServer, ...]:
    """Written as JSON text, or as TOML: one table or several."""
    try:
        secret = st.secrets.get(ICE_SERVERS, "")
    except StreamlitSecretNotFoundError as error:
        if error.__cause__ is None:  # there is no file of secrets
            return ()
        raise SettingError(f"{name}: {error}") from error
    return (
        parse_ice_servers(secret, name)
        if isinstance(secret, str)
        else (check_ice_servers(_bare(secret), name))
    )


def _bare(secret: Any) -> Any:
    """Streamlit's tables as dictionaries."""
    if isinstance(secret, Mapping):
        return {key: _bare(value) for key, value in secret.items()}
    return [_bare(value) for value in secret] if isinstance(secret, list) else secret

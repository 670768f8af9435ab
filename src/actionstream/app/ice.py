"""STUN and TURN servers: from the environment, else from Streamlit's secrets, else none."""

from __future__ import annotations

import json

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from actionstream.app import state
from actionstream.app.settings import ICE_SERVERS, IceServer, parse_ice_servers


def ice_servers() -> list[IceServer]:
    """The servers for both ends of the connection; [] unless the owner names some.

    Raises:
        SettingError: the secret is not a list of servers.
    """
    named = state.server().settings.ice_servers
    return list(named or parse_ice_servers(_secret(), f"the secret {ICE_SERVERS}"))


def _secret() -> str:
    """The secret as JSON text; it may be written as TOML tables, too."""
    try:
        secret = st.secrets.get(ICE_SERVERS, "")
    except StreamlitSecretNotFoundError:  # there is no file of secrets
        return ""
    if isinstance(secret, str):
        return secret
    return json.dumps([dict(server) for server in secret])

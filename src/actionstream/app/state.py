"""What the pages share: the server's models and queue, and what belongs to this visitor."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from actionstream.app.jobs import Runner
from actionstream.app.models import Models
from actionstream.app.settings import BYTES_PER_MB, Settings, read_settings
from actionstream.app.space import Space
from actionstream.app.visitor import Visitor
from actionstream.errors import ActionstreamError, BundleError
from actionstream.recognizer import Recognizer

GRACE_SECONDS = 30.0
"""How long a visitor whose connection is gone may take to come back before all is freed."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Server:
    """One per process. `space` holds the visitors' folders and goes when the server ends."""

    settings: Settings
    models: Models
    runner: Runner
    space: Space

    def close(self) -> None:
        self.runner.close()
        self.models.close()
        shutil.rmtree(self.space.root, ignore_errors=True)


@st.cache_resource(show_spinner=False)
def server() -> Server:
    """The server's own things, made at the first visit.

    Raises:
        SettingError: the owner's settings cannot be used.
    """
    settings = read_settings()
    root = Path(tempfile.mkdtemp(prefix="actionstream-"))
    space = Space(root, settings.max_storage_mb * BYTES_PER_MB)
    models = Models(settings.models, settings.max_sessions)
    made = Server(settings, models, Runner(space.check), space)
    atexit.register(made.close)
    return made


def visitor() -> Visitor:
    """What belongs to this browser tab; new at its first run, and after it was away too long."""
    found: Visitor | None = st.session_state.get("visitor")
    if found is None or found.closed:
        found = st.session_state["visitor"] = Visitor.arrive(server().space)
    context = get_script_run_ctx()
    _presence(found, context.session_id if context is not None else "")
    return found


@dataclass(frozen=True, slots=True)
class _Presence:
    """Held by Streamlit for as long as the tab is connected."""

    visitor: Visitor
    session_id: str

    def end(self) -> None:
        """Called on the server's event loop when the connection is gone."""
        self.visitor.step_away()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # not connected to a browser: a test
            self.visitor.leave()
            return
        loop.call_later(GRACE_SECONDS, self._free)

    def _free(self) -> None:
        runtime = st.runtime.get_instance()
        if runtime.is_active_session(self.session_id):
            return
        self.visitor.leave()
        # Uploads and the videos on the page are kept in memory by Streamlit until this.
        runtime.close_session(self.session_id)


@st.cache_resource(scope="session", on_release=_Presence.end, show_spinner=False)
def _presence(_visitor: Visitor, session_id: str) -> _Presence:
    _visitor.come_back()
    return _Presence(_visitor, session_id)


def model_name() -> str:
    """The bundle that this visitor has chosen; the server's first one unless said."""
    names = server().models.names()
    chosen = st.session_state.get("model")
    return chosen if chosen in names else names[0]


def model() -> Recognizer:
    """The chosen model, loaded if nobody has used it yet; the next one if it cannot be used.

    Then that one is this visitor's choice from now on, and `unusable_model` tells.

    Raises:
        ActionstreamError: there is none that can be used.
    """
    chosen, first = model_name(), None
    for name in dict.fromkeys((chosen, *server().models.names())):
        try:
            found = _loaded(name)
        except (ActionstreamError, KeyError, OSError) as error:
            _log.error("the model %s cannot be used: %s", name, error)
            first = first or error
            continue
        if name != chosen:
            st.session_state["model"], st.session_state["unusable_model"] = name, chosen
        return found
    raise BundleError("models", ["there is none that can be used"]) from first


def choose_model(name: str) -> None:
    """The visitor wants this one."""
    st.session_state["model"] = name
    st.session_state.pop("unusable_model", None)


def unusable_model() -> str | None:
    """The model that this visitor would have if it could be used."""
    name: str | None = st.session_state.get("unusable_model")
    return name


def _loaded(name: str) -> Recognizer:
    with contextlib.ExitStack() as stack:
        if not server().models.is_loaded(name):
            stack.enter_context(st.spinner("Loading the model…"))
        return server().models.recognizer(name)

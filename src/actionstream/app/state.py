"""What the pages share: the server's models and queue, and what belongs to this visitor."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from actionstream.app.jobs import JobQueue
from actionstream.app.models import Models
from actionstream.app.server import bound_uploads
from actionstream.app.settings import BYTES_PER_MB, Settings, read_settings
from actionstream.app.storage import Storage
from actionstream.app.visitor import Quota, Visitor
from actionstream.errors import ActionstreamError, BundleError
from actionstream.recognizer import Recognizer

GRACE_SECONDS = 30.0
"""How long a visitor whose connection is gone may take to come back before all is freed."""

COOKIE = "actionstream_visitor"
"""Holds the visitor's token, set by the page's script; other visitors' are never sent anywhere."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Server:
    """One per process. `quota` holds the visitors' folders, which go when the server ends."""

    settings: Settings
    models: Models
    queue: JobQueue
    quota: Quota
    storage: Storage
    visitors: WeakValueDictionary[str, Visitor] = field(default_factory=WeakValueDictionary)
    """By their tokens; those who are here."""

    def close(self) -> None:
        self.queue.close()
        self.models.close()
        self.storage.close()


@st.cache_resource(show_spinner=False)
def server() -> Server:
    """The server's own things, made at the first visit.

    Raises:
        SettingError: the owner's settings cannot be used.
    """
    settings = read_settings()
    bound_uploads(settings.max_storage_mb * BYTES_PER_MB)
    storage = Storage()
    quota = Quota(storage.root, settings.max_storage_mb * BYTES_PER_MB)
    models = Models(settings.models, settings.max_sessions)
    made = Server(settings, models, JobQueue(quota.check), quota, storage)
    atexit.register(made.close)
    return made


def visitor() -> Visitor:
    """What belongs to this browser; new at its first run, and after it was away too long."""
    found: Visitor | None = st.session_state.get("visitor")
    if found is None or found.closed:
        visitors = server().visitors
        found = visitors.get(st.context.cookies.get(COOKIE, ""))
        if found is None or found.closed:
            # A token that a browser brings is never taken for a new visitor's: it may be stolen.
            found = Visitor.arrive(server().quota)
            visitors[found.token] = found
        st.session_state["visitor"] = found
    _presence(found, tab())
    return found


def tab() -> str:
    """Which of the visitor's tabs this is."""
    context = get_script_run_ctx()
    return context.session_id if context is not None else ""


@dataclass(frozen=True, slots=True)
class _Presence:
    """Held by Streamlit for as long as the tab is connected."""

    visitor: Visitor
    session_id: str

    def end(self) -> None:
        """Called on the server's event loop when the connection is gone."""
        self.visitor.step_away(self.session_id)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # not connected to a browser: a test
            self.visitor.leave(self.session_id)
            return
        loop.call_later(GRACE_SECONDS, self._free)

    def _free(self) -> None:
        runtime = st.runtime.get_instance()
        if runtime.is_active_session(self.session_id):
            return
        self.visitor.leave(self.session_id)
        # Uploads and the videos on the page are kept in memory by Streamlit until this.
        runtime.close_session(self.session_id)


@st.cache_resource(scope="session", on_release=_Presence.end, show_spinner=False)
def _presence(_visitor: Visitor, session_id: str) -> _Presence:
    _visitor.come(session_id)
    return _Presence(_visitor, session_id)


def model_name() -> str:
    """The bundle that this visitor has chosen; the server's first one unless said."""
    names, chosen = server().models.names(), visitor().model_name
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
            visitor().model_name = name
            st.session_state["unusable_model"] = chosen
        return found
    raise BundleError("models", ["there is none that can be used"]) from first


def choose_model(name: str) -> None:
    """The visitor wants this one."""
    visitor().model_name = name
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

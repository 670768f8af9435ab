"""Pieces that several pages use, and the page's own scripts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

from actionstream.app import state
from actionstream.app.markup import html, readable
from actionstream.draw import display_name

ASSETS = Path(__file__).with_name("assets")
BEAT_SECONDS = 2.0
MENU = "model_menu"


def heading(title: str, lead: str) -> None:
    """A page's title and its one sentence."""
    st.title(title, anchor=False)
    st.html(f'<p class="as-lead">{html(lead)}</p>')


def link_to(page: str, label: str) -> None:
    """A link to another page of the app, by the name that the shell gave it."""
    st.page_link(st.session_state["pages"][page], label=label)


def known_actions(labels: Sequence[str]) -> None:
    """All actions that the model knows."""
    st.header(f"It knows {len(labels)} actions", anchor=False)
    chips = "".join(f"<li>{html(display_name(label))}</li>" for label in labels)
    st.html(f'<ul class="as-chips">{chips}</ul>')


def model_menu() -> None:
    """A menu of the server's bundles; hidden while there is only one."""
    names = state.server().models.names()
    if len(names) < 2:
        return
    st.session_state[MENU] = state.model_name()  # not what was picked, if that cannot be used
    st.selectbox("Model", names, key=MENU, format_func=readable, on_change=_choose, width=260)


def _choose() -> None:
    state.choose_model(st.session_state[MENU])


def download(
    label: str, make: Callable[[], str | bytes], name: str, kind: str, icon: str, key: str
) -> None:
    """A button for a file that is made when it is pressed."""
    st.download_button(
        label, make, name, kind, icon=f":material/{icon}:", on_click="ignore", key=key
    )


def camera_facts() -> Mapping[str, Any]:
    """What the browser says of cameras, as `words.diagnose` takes it; {} until it has told."""
    told = _component("camera")(
        key="camera_facts", default={"facts": {}}, on_facts_change=_noted, height=1
    )
    facts = told.get("facts")
    return facts if isinstance(facts, Mapping) else {}


@st.fragment(run_every=BEAT_SECONDS)
def heartbeat() -> None:
    """Beat in the browser, and draw the page again if it says that the beats have stopped.

    What a run still has to tell is dropped by Streamlit (seen with 1.67) if a part of the page
    asks to be renewed in the very moment in which that run ends. The timers of the parts may be in
    it: then a camera's answer would stand still for good. It is seldom, even on a busy server.
    To be called last, since the end of a run is what gets lost, and in the same place on every
    page, so that a page which came only in part is noticed too.
    """
    told = _component("page")(
        key="page_script",
        data={"beat": time.monotonic(), "cookie": state.COOKIE, "visitor": state.visitor().token},
        default={"stopped": 0},
        on_stopped_change=_noted,
        height=1,
    )
    stopped = told.get("stopped")
    if stopped and stopped != st.session_state.get("heartbeat_stopped"):
        st.session_state["heartbeat_stopped"] = stopped
        st.rerun()


def _noted() -> None:
    """Streamlit sends only states that somebody listens to; the fragment reads them itself."""


@cache
def _component(name: str) -> ComponentRenderer:
    script = (ASSETS / f"{name}.js").read_text(encoding="utf-8")
    return st.components.v2.component(f"actionstream_{name}", js=script)

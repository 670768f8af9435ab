"""Notices that the page has stopped renewing itself, and has it drawn again.

What a run still has to tell is dropped by Streamlit (seen with 1.67) if a part of the page asks to
be renewed in the very moment in which that run ends. The timers of the parts may be in it: then a
camera's answer would stand still for good. It is seldom, even on a busy server.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

BEAT_SECONDS = 2.0
SCRIPT = Path(__file__).with_name("assets") / "pulse.js"


@st.fragment(run_every=BEAT_SECONDS)
def pulse() -> None:
    """Beat in the browser, and draw the page again if it says that the beats have stopped.

    To be called last, since the end of a run is what gets lost, and in the same place on every
    page, so that a page which came only in part is noticed too.
    """
    told = _component()(
        key="pulse",
        data={"beat": time.monotonic()},
        default={"stopped": 0},
        on_stopped_change=_noted,
        height=1,
    )
    stopped = told.get("stopped")
    if stopped and stopped != st.session_state.get("pulse_stopped"):
        st.session_state["pulse_stopped"] = stopped
        st.rerun()


def _noted() -> None:
    """Streamlit sends only states that somebody listens to; the fragment reads them itself."""


@cache
def _component() -> ComponentRenderer:
    return st.components.v2.component("actionstream_pulse", js=SCRIPT.read_text(encoding="utf-8"))

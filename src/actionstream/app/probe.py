"""What the visitor's browser says of cameras: a small piece of JavaScript in the page."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

SCRIPT = Path(__file__).with_name("assets") / "probe.js"


def camera_facts() -> Mapping[str, Any]:
    """The newest facts, as `diagnose` takes them; {} until the browser has told."""
    told = _probe()(key="camera_probe", default={"facts": {}}, on_facts_change=_noted, height=1)
    facts = told.get("facts")
    return facts if isinstance(facts, Mapping) else {}


def _noted() -> None:
    """Streamlit sends only states that somebody listens to; the fragment reads them itself."""


@cache
def _probe() -> ComponentRenderer:
    return st.components.v2.component(
        "actionstream_camera_probe", js=SCRIPT.read_text(encoding="utf-8")
    )

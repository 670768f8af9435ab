"""Pieces that several pages use."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from actionstream.app.text import html
from actionstream.draw import spoken


def heading(title: str, lead: str) -> None:
    """A page's title and its one sentence."""
    st.title(title, anchor=False)
    st.html(f'<p class="as-lead">{html(lead)}</p>')


def link_to(page: str, label: str) -> None:
    """A link to another page of the app, by the name that the shell gave it."""
    st.page_link(st.session_state["pages"][page], label=label)


def known_actions(labels: Sequence[str]) -> None:
    """All actions that the model knows."""
    st.subheader(f"It knows {len(labels)} actions", anchor=False)
    chips = "".join(f"<li>{html(spoken(label))}</li>" for label in labels)
    st.html(f'<ul class="as-chips">{chips}</ul>')

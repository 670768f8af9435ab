"""The frame around every page: title, look, navigation, and a page for when nothing works."""

from __future__ import annotations

import logging

import streamlit as st

from actionstream.app import about_page, camera_page, state, video_page, words
from actionstream.app.settings import SettingError
from actionstream.app.widgets import ASSETS, heartbeat
from actionstream.errors import ActionstreamError

_log = logging.getLogger(__name__)


def draw() -> None:
    """One run of the app for one visitor."""
    st.html(ASSETS / "style.css")
    st.logo(ASSETS / "logo.svg", size="large")
    pages = {
        "video": st.Page(
            video_page.draw, title="Video", icon=":material/movie:", url_path="video", default=True
        ),
        "camera": st.Page(
            camera_page.draw, title="Camera", icon=":material/videocam:", url_path="camera"
        ),
        "about": st.Page(
            about_page.draw, title="About the model", icon=":material/info:", url_path="about"
        ),
    }
    page = st.navigation(list(pages.values()), position="top")
    st.set_page_config(f"{page.title} · actionstream", str(ASSETS / "icon.svg"), layout="wide")
    st.session_state["pages"] = pages
    beating = st.container(key="beating")
    try:
        state.visitor()
        model = state.model()
    except SettingError as error:
        _log.error("the app cannot start: %s", error)
        _cannot_start("A setting of this server is wrong.")
        return
    except ActionstreamError as error:
        _log.error("the app cannot start: %s", error)
        _cannot_start("This server has no model that it can use.")
        return
    if (unusable := state.unusable_model()) is not None:
        st.warning(words.other_model(unusable, model.card.name), icon=":material/warning:")
    page.run()
    with beating:
        heartbeat()


def _cannot_start(reason: str) -> None:
    st.title("Not ready")
    st.error(f"{reason} Its owner finds more in the server's log.", icon=":material/error:")

"""The visitor's own camera, named while it runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st
from streamlit_webrtc import WebRtcMode, WebRtcStreamerContext, webrtc_streamer
from streamlit_webrtc.config import Translations
from streamlit_webrtc.webrtc import SignallingTimeoutError

from actionstream.app import downloads, markup, result, state
from actionstream.app.camera_link import CameraLink, LinkProcessor, Minute
from actionstream.app.markup import clock
from actionstream.app.settings import IceServer, SettingError, ice_servers
from actionstream.app.visitor import Visitor
from actionstream.app.widgets import camera_facts, heading, link_to, model_menu
from actionstream.app.words import CONNECTION_SECONDS, TROUBLES, Trouble, diagnose
from actionstream.results import Segment

LOOK_AGAIN_SECONDS = 0.4
TIMELINE_SECONDS = 60.0

# Small pictures are all that the model needs, and many visitors fit on one server with them.
CONSTRAINTS: dict[str, Any] = {
    "video": {"width": {"ideal": 480}, "height": {"ideal": 360}, "frameRate": {"ideal": 15}},
    "audio": False,
}
WORDS: Translations = {
    "start": "Start",
    "stop": "Stop",
    "select_device": "Choose a camera",
    "media_api_not_available": "This browser offers no camera to this page",
    "device_ask_permission": "Please allow the camera",
    "device_not_available": "The camera cannot be used",
    "device_access_denied": "The camera was not allowed",
}

_log = logging.getLogger(__name__)


def draw() -> None:
    """Draw the page."""
    heading("Point your camera at the action", "Stand back a little, so that all of you is seen.")
    visitor = state.visitor()
    left, right = st.columns([3, 2], gap="large")
    # Below both, so that a phone has the picture and the answer on its first screen.
    with st.container(horizontal=True, vertical_alignment="bottom"):
        model_menu()
        st.toggle("Mirror the picture", key="mirror")
        if state.model().card.pose is not None:
            st.toggle("Draw the skeleton", key="skeleton")
    with left.container(key="camera-view"):
        playing = _viewer(visitor)
    with right:
        _live(visitor, playing)
    with st.container(border=True):
        st.header("The last minute", anchor=False)
        _last_minute(visitor, playing)
        if not playing:
            _what_was_seen(visitor)


def _link(visitor: Visitor) -> CameraLink | None:
    """The camera of this tab."""
    return visitor.links.get(state.tab())


def _viewer(visitor: Visitor) -> bool:
    """The camera and what keeps it from being seen; whether it is running."""
    try:
        servers = ice_servers()
    except SettingError as error:
        _log.error("no camera can be connected: %s", error)
        _say(TROUBLES["misconfigured"])
        return False
    playing = _camera(visitor, servers)
    _trouble(visitor, playing)
    return playing


def _camera(visitor: Visitor, servers: list[IceServer]) -> bool:
    """The camera's frame with its buttons; whether it is running."""
    try:
        context = _connection(visitor, servers)
    except SignallingTimeoutError:
        st.warning("The server is too busy to connect just now. Press Stop, then Start again.")
        return False
    link = _link(visitor)
    if link is not None:
        link.overlay.mirror = st.session_state["mirror"]
        link.overlay.skeleton = bool(st.session_state.get("skeleton"))
        if not (context.state.playing or context.state.signalling):
            link.end()
    return bool(context.state.playing)


def _connection(visitor: Visitor, servers: list[IceServer]) -> WebRtcStreamerContext[Any, Any]:
    models, name, tab = state.server().models, state.model_name(), state.tab()
    looks_needed, mirror = state.model().card.ready_after, bool(st.session_state["mirror"])
    open_session = partial(models.open_session, name)
    context: WebRtcStreamerContext[Any, Any] = webrtc_streamer(
        key=f"camera-{name}",
        mode=WebRtcMode.SENDRECV,
        # Both sides, and never None: then streamlit-webrtc would ask a server for addresses.
        rtc_configuration={"iceServers": servers},
        media_stream_constraints=CONSTRAINTS,
        video_processor_factory=lambda: LinkProcessor(
            visitor.connect(tab, CameraLink(open_session, looks_needed, mirror=mirror))
        ),
        video_html_attrs={
            "autoPlay": True,
            "controls": False,
            "muted": True,
            "style": {"width": "100%", "borderRadius": "0.7rem"},
        },
        translations=WORDS,
    )
    return context


@st.fragment(run_every=1.0)
def _trouble(visitor: Visitor, playing: bool) -> None:
    """Says what keeps the camera from being seen, and offers the other way."""
    facts, link = camera_facts(), _link(visitor)
    waiting = link.silent_seconds if link is not None else 0.0
    full = state.server().models.is_full() and (link is None or link.state != "running")
    on = _is_on(link, playing)
    slow = on and link is not None and link.too_slow
    stalled = on and link is not None and _is_stalled(link)
    found = diagnose(facts, waiting, full=full, stalled=stalled, slow=slow)
    if found is not None:
        _say(found)
    elif not on:
        st.caption("The picture goes to this server only, and nothing of it is kept.")
    elif link is not None and link.state == "failed":
        st.error("The model stopped working on this server.", icon=":material/error:")


def _is_stalled(link: CameraLink) -> bool:
    return link.stalled_seconds >= CONNECTION_SECONDS


def _say(trouble: Trouble) -> None:
    with st.container(border=True, key=f"trouble-{trouble.kind}"):
        st.markdown(f":material/videocam_off: **{trouble.title}**")
        st.write(trouble.advice)
        link_to("video", "Add a video instead")


@st.fragment(run_every=LOOK_AGAIN_SECONDS)
def _live(visitor: Visitor, playing: bool) -> None:
    """The newest reading and how fresh it is."""
    link = _link(visitor)
    on = _is_on(link, playing)
    st.html(_reading(link) if on and link is not None else _before(link))
    st.html(markup.tiles(_figures(link if on else None)))


def _is_on(link: CameraLink | None, playing: bool) -> bool:
    """Whether the camera is on: the page was told so, or its pictures arrive.

    The browser tells that the camera plays after the first pictures are here: on a busy server
    seconds later, and `playing` is what the newest run of the whole page knew.
    """
    return link is not None and (playing or link.is_serving)


def _before(link: CameraLink | None) -> str:
    """While the camera is off. A link that waits for its first one is of a camera that is on."""
    if link is not None and link.state == "waiting":
        return markup.placeholder("Connecting", "Waiting for the camera's first picture.")
    if link is not None and link.size is not None:  # Stop was pressed, or the connection broke
        return markup.placeholder("Ready", "The camera has stopped. Press Start to go on.")
    return markup.placeholder("Ready", "Press Start and allow the camera.")


def _reading(link: CameraLink) -> str:
    if _is_stalled(link):
        return markup.placeholder("No picture", "The camera's picture has stopped arriving.")
    if link.state == "busy":
        return markup.placeholder("Waiting for a place", "Others are using all of them just now.")
    if link.too_slow:
        return markup.placeholder("Too slow", "No look at the picture is done in time.")
    reading = link.shown
    if reading is None or reading.status == "warming_up":
        return markup.placeholder("Warming up", "The first looks are being taken.")
    return markup.answer(reading.shown, reading.shown_confidence, reading.shown_top(3))


def _figures(link: CameraLink | None) -> list[tuple[str, str]]:
    if link is None:
        names = ("Camera", "Answers", "Age of the answer", "Looks dropped")
        return [(name, "–") for name in names]
    figures = link.statistics()
    reading = link.shown
    age = "–" if reading is None else f"{1000 * reading.age_seconds:.0f} ms"
    return [
        ("Camera", f"{figures.frames_per_second:.0f}/s"),
        ("Answers", f"{figures.readings_per_second:.1f}/s"),
        ("Age of the answer", age),
        ("Looks dropped", f"{figures.looks_dropped}"),
    ]


@st.fragment(run_every=1.0)
def _last_minute(visitor: Visitor, playing: bool) -> None:
    link = _link(visitor)
    minute = Minute() if link is None else link.minute()
    known = [part for part in minute.segments if part.label is not None]
    longest = max(known, key=lambda part: part.end_seconds - part.start_seconds, default=None)
    top = None if longest is None else longest.label
    on = _is_on(link, playing)
    if on and link is not None and link.shown is not None:
        top = link.shown.shown
    start = minute.end_seconds - TIMELINE_SECONDS
    end = "now" if on else "the end"
    axis = ("1 minute ago", "30 s ago", end) if on else ("1 minute before", "30 s", end)
    with st.container(height=190 if on else "content", border=False):
        st.html(markup.timeline(minute.segments, start, TIMELINE_SECONDS, axis, top=top))


def _what_was_seen(visitor: Visitor) -> None:
    """After Stop: the last minute in words, and as files."""
    link = _link(visitor)
    minute = Minute() if link is None else link.minute()
    segments = downloads.minute_segments(minute)
    if not segments:
        return
    st.write(_in_words(segments))
    identity, length = state.model().identity, segments[-1].end_seconds
    with st.container(horizontal=True):
        result.kept(
            lambda: downloads.minute_json(minute, identity),
            lambda: downloads.as_csv("camera", segments),
            lambda: downloads.as_svg(segments, length, None),
            name="camera",
            key="camera",
        )


def _in_words(segments: Sequence[Segment]) -> str:
    """ "Seen: Playing Piano for 30 s, Drumming for 5 s." """
    seconds: dict[str, float] = {}
    for part in segments:
        name = markup.name_of(part.label)
        seconds[name] = seconds.get(name, 0.0) + part.end_seconds - part.start_seconds
    longest = sorted(seconds.items(), key=lambda item: -item[1])
    said = ", ".join(f"{name} for {clock(time, whole=True)}" for name, time in longest)
    return f"Seen in the last minute before the end: {said}."

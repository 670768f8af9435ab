"""The first page: add videos, watch them being worked on, read the answer."""

from __future__ import annotations

from typing import BinaryIO

import streamlit as st

from actionstream.app import result, state, words
from actionstream.app.jobs import Job, QueueFullError
from actionstream.app.settings import BYTES_PER_MB
from actionstream.app.space import NoRoomError
from actionstream.app.visitor import MOST_VIDEOS, TooManyVideosError, Visitor
from actionstream.app.widgets import heading, known_actions, link_to
from actionstream.demo import make_clip

TYPES = ("mp4", "avi", "mov", "mkv", "webm", "m4v")


def draw() -> None:
    """Draw the page."""
    heading("What is happening in your video?", "Add a clip and the action in it is named.")
    visitor = state.visitor()
    _add_videos(visitor)
    if visitor.jobs:
        _show(visitor, _choose(visitor))
    else:
        _welcome(visitor)


def _add_videos(visitor: Visitor) -> None:
    limit = state.server().settings.max_upload_mb
    intake = st.session_state.setdefault("intake", 0)
    files = st.file_uploader(
        "Drop one or more videos here, or choose them",
        type=list(TYPES),
        accept_multiple_files=True,
        max_upload_size=limit,
        key=f"upload-{intake}",
    )
    for problem in st.session_state.pop("upload_problems", []):
        st.warning(problem, icon=":material/warning:")
    if not files:
        return
    problems = [_take(visitor, file.name, file, file.size) for file in files]
    st.session_state["upload_problems"] = [problem for problem in problems if problem]
    # A fresh uploader lets Streamlit forget its copies of the files.
    st.session_state["intake"] = intake + 1
    st.rerun()


def _take(visitor: Visitor, name: str, data: BinaryIO, size: int) -> str | None:
    """Queue one video; says why if that cannot be."""
    server, title = state.server(), result.plain(name)
    if size > server.settings.max_upload_mb * BYTES_PER_MB * 1.05:  # Streamlit counts in MiB
        return words.too_large(title, server.settings.max_upload_mb)
    try:
        chosen = state.model_name()
        job = visitor.add(name, data, server.runner, lambda: server.models.recognizer(chosen))
    except TooManyVideosError:
        return f"There are {MOST_VIDEOS} videos here already: remove one to add “{title}”."
    except QueueFullError:
        return f"The server has too much to do just now for “{title}”. Please try again later."
    except NoRoomError:
        return words.no_room(title, server.settings.max_storage_mb)
    except OSError:
        return f"The server could not store “{title}”. Please try again later."
    st.session_state["chosen_job"] = job
    return None


def _welcome(visitor: Visitor) -> None:
    left, right = st.columns(2, gap="medium")
    with left.container(border=True, height="stretch"):
        st.subheader("Use your camera", anchor=False)
        st.write("See the action named while it happens. The picture goes to this server only.")
        link_to("camera", "Open the camera")
    with right.container(border=True, height="stretch"):
        st.subheader("No clip at hand?", anchor=False)
        st.write(
            "Try a drawn figure doing jumping jacks. The model has only ever seen people on film, "
            "so it may well say “no known action”."
        )
        if st.button("Try the example", icon=":material/play_circle:"):
            _add_example(visitor)
    known_actions(state.model().labels)


def _add_example(visitor: Visitor) -> None:
    clip = visitor.folder / "example.mp4"
    with st.spinner("Drawing the example…"):
        make_clip(clip)
    with clip.open("rb") as file:
        problem = _take(visitor, "example-jumping-jacks.mp4", file, clip.stat().st_size)
    clip.unlink()
    st.session_state["upload_problems"] = [problem] if problem else []
    st.rerun()


def _choose(visitor: Visitor) -> Job:
    """The video to show: the newest unless another was picked."""
    chosen = st.session_state.get("chosen_job")
    job: Job = chosen if chosen in visitor.jobs else visitor.jobs[-1]
    if len(visitor.jobs) == 1:
        return job
    numbers = range(len(visitor.jobs))
    picked = st.pills(
        "Your videos",
        numbers,
        default=visitor.jobs.index(job),
        required=True,
        format_func=lambda number: _title(visitor.jobs[number]),
        key=f"videos-{[id(job) for job in visitor.jobs]}-{id(job)}",
        label_visibility="collapsed",
    )
    job = visitor.jobs[int(picked)]
    st.session_state["chosen_job"] = job
    return job


def _title(job: Job) -> str:
    marks = {"done": ":material/check:", "failed": ":material/error:"}
    mark = marks.get(job.stage, "" if job.finished else ":material/hourglass_top:")
    return f"{mark} {job.name}".strip()


def _show(visitor: Visitor, job: Job) -> None:
    with st.container(border=True, key="video-result"):
        with st.container(horizontal=True, vertical_alignment="center", wrap=False):
            st.subheader(result.plain(job.name), anchor=False, width="stretch")
            removed = st.button("Remove", icon=":material/delete:", key=f"rm-{id(job)}")
        if removed:
            visitor.remove(job)
            st.rerun()
        result.draw(job)

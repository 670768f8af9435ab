"""The first page: add videos, watch them being worked on, read the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

import streamlit as st

from actionstream.app import result, state, words
from actionstream.app.job import Job
from actionstream.app.jobs import QueueFullError
from actionstream.app.settings import BYTES_PER_MB
from actionstream.app.space import NoRoomError
from actionstream.app.text import plain, shortened
from actionstream.app.visitor import MOST_VIDEOS, TooManyVideosError, Visitor
from actionstream.app.widgets import heading, known_actions, link_to
from actionstream.evaluation.demo import make_clip

TYPES = ("mp4", "avi", "mov", "mkv", "webm", "m4v")
PILL_LETTERS = 40
"""Of a name in the row of videos to choose from."""


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
    server, title = state.server(), plain(shortened(name))
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
    titles = _titles(visitor.jobs)
    # A pick must change neither the key nor the words of an option: Streamlit knows a widget by the
    # one and an option by the other, and a click on what is no longer there is lost.
    picked = st.pills(
        "Your videos",
        range(len(visitor.jobs)),
        default=visitor.jobs.index(job),
        required=True,
        format_func=lambda number: titles[number],
        key=f"videos-{'-'.join(job.key for job in visitor.jobs)}",
        label_visibility="collapsed",
    )
    _readiness(visitor)
    job = visitor.jobs[int(picked)]
    st.session_state["chosen_job"] = job
    return job


def _titles(jobs: Sequence[Job]) -> list[str]:
    """Names as Markdown, all different: "a.mp4", "b.mp4", "a.mp4 (2)"."""
    titles: list[str] = []
    for job in jobs:
        title, count = shortened(job.name, PILL_LETTERS), 1
        while (found := title if count == 1 else f"{title} ({count})") in titles:
            count += 1
        titles.append(found)
    return [plain(title) for title in titles]


@st.fragment(run_every=1.0)
def _readiness(visitor: Visitor) -> None:
    finished = sum(job.finished for job in visitor.jobs)
    if finished < len(visitor.jobs):
        st.caption(f"{finished} of {len(visitor.jobs)} videos are done.")


def _show(visitor: Visitor, job: Job) -> None:
    with st.container(border=True, key="video-result"):
        with st.container(horizontal=True, vertical_alignment="center", wrap=False):
            st.subheader(plain(shortened(job.name)), anchor=False, width="stretch")
            removed = st.button("Remove", icon=":material/delete:", key=f"rm-{job.key}")
        if removed:
            visitor.remove(job)
            st.rerun()
        result.draw(job)

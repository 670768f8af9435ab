"""The first page: add videos, watch them being worked on, read the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from actionstream.app import downloads, result, state, words
from actionstream.app.jobs import Job, QueueFullError, QuotaExceededError
from actionstream.app.markup import plain, shortened
from actionstream.app.settings import BYTES_PER_MB
from actionstream.app.visitor import MOST_VIDEOS, TooManyVideosError, Visitor
from actionstream.app.widgets import download, heading, known_actions, link_to, model_menu
from actionstream.evaluation.demo import make_clip
from actionstream.video import VIDEO_EXTENSIONS

PILL_LETTERS = 40
"""Of a name in the row of videos to choose from."""


def draw() -> None:
    """Draw the page."""
    heading("What is happening in your video?", "Add a clip and the action in it is named.")
    visitor = state.visitor()
    model_menu()
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
        type=[extension.removeprefix(".") for extension in VIDEO_EXTENSIONS],
        accept_multiple_files=True,
        max_upload_size=limit,
        key=f"upload-{intake}",
    )
    for refusal in visitor.refusals:
        st.warning(refusal, icon=":material/warning:")
    if not files:
        return
    _take_all(visitor, [(file.name, file, file.size) for file in files])
    # Streamlit would keep its copies in memory for the whole visit.
    if (context := get_script_run_ctx()) is not None:
        kept: Any = context.uploaded_file_mgr
        for file in files:
            kept.remove_file(context.session_id, file.file_id)
    st.session_state["intake"] = intake + 1
    st.rerun()


def _take_all(visitor: Visitor, files: Sequence[tuple[str, BinaryIO, int]]) -> None:
    before = len(visitor.jobs)
    refusals = [_take(visitor, *file) for file in files]
    visitor.refusals = [refusal for refusal in refusals if refusal]
    st.session_state["fresh_jobs"] = visitor.jobs[before:]
    st.session_state.pop("chosen_job", None)


def _take(visitor: Visitor, name: str, data: BinaryIO, size: int) -> str | None:
    """Queue one video; says why if that cannot be."""
    server, title = state.server(), plain(shortened(name))
    if size > server.settings.max_upload_mb * BYTES_PER_MB * 1.05:  # Streamlit counts in MiB
        return words.too_large(title, server.settings.max_upload_mb)
    try:
        chosen = state.model_name()
        visitor.add(name, data, server.queue, lambda: server.models.setup(chosen))
    except TooManyVideosError:
        return f"There are {MOST_VIDEOS} videos here already: remove one to add “{title}”."
    except QueueFullError:
        return f"The server has too much to do just now for “{title}”. Please try again later."
    except QuotaExceededError:
        return words.no_room(title, server.settings.max_storage_mb)
    except OSError:
        return f"The server could not store “{title}”. Please try again later."
    return None


def _welcome(visitor: Visitor) -> None:
    left, right = st.columns(2, gap="medium")
    with left.container(border=True, height="stretch"):
        st.header("Use your camera", anchor=False)
        st.write("See the action named while it happens. The picture goes to this server only.")
        link_to("camera", "Open the camera")
    with right.container(border=True, height="stretch"):
        st.header("No clip at hand?", anchor=False)
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
        _take_all(visitor, [("example-jumping-jacks.mp4", file, clip.stat().st_size)])
    clip.unlink()
    st.rerun()


def _choose(visitor: Visitor) -> Job:
    """The video to show, with a way to pick another."""
    jobs = visitor.jobs
    if len(jobs) == 1:
        return jobs[0]
    job = st.session_state["shown_job"] = _to_show(jobs)
    _overview(visitor)
    titles = _titles(jobs)
    # A pick must change neither the key nor the words of an option: Streamlit knows a widget by the
    # one and an option by the other, and a click on what is no longer there is lost.
    key = f"videos-{'-'.join(job.key for job in jobs)}"
    st.session_state[key] = jobs.index(job)
    st.pills(
        "Show",
        range(len(jobs)),
        required=True,
        format_func=lambda number: titles[number],
        key=key,
        on_change=_pick,
        args=(jobs, key),
    )
    return job


def _pick(jobs: Sequence[Job], key: str) -> None:
    st.session_state["chosen_job"] = jobs[int(st.session_state[key])]


def _to_show(jobs: Sequence[Job]) -> Job:
    """The one that was picked; else the first answered of those that came last; else any answer."""
    fresh = [job for job in st.session_state.get("fresh_jobs", ()) if job.answer is not None]
    answered = [job for job in jobs if job.answer is not None]
    wanted: list[Job | None] = [
        st.session_state.get("chosen_job"),
        *fresh,
        *reversed(answered),
        *jobs,
    ]
    return next(job for job in wanted if job is not None and job in jobs)


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
def _overview(visitor: Visitor) -> None:
    """All videos at a glance, and all answers in one file."""
    jobs = list(visitor.jobs)
    st.html(result.overview(jobs, [state.server().queue.before(job) for job in jobs]))
    answered = [job for job in jobs if job.answer is not None]
    if answered:
        name = "actionstream-answers.zip"
        make = lambda: downloads.archive(answered)  # noqa: E731
        download("Download all", make, name, "application/zip", "folder_zip", "download-all")
    if jobs and _to_show(jobs) is not st.session_state.get("shown_job"):
        st.rerun()


def _show(visitor: Visitor, job: Job) -> None:
    with st.container(border=True, key="video-result"):
        with st.container(horizontal=True, vertical_alignment="center", wrap=False):
            st.header(plain(shortened(job.name)), anchor=False, width="stretch")
            removed = st.button("Remove", icon=":material/delete:", key=f"rm-{job.key}")
        if removed:
            visitor.remove(job)
            visitor.refusals = []
            st.session_state.pop("chosen_job", None)
            st.rerun()
        result.draw(job)

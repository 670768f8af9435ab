"""One video on its way from the queue to the answer."""

from __future__ import annotations

import streamlit as st

from actionstream.app import downloads, markup, words
from actionstream.app.job import Job
from actionstream.app.text import plain
from actionstream.results import Answer, VideoFacts


def draw(job: Job) -> None:
    """Whatever there is to see of this video now."""
    if job.stage == "failed":
        st.error(words.problem(job), icon=":material/error:")
    elif job.stage == "cancelled":
        st.info("Cancelled. Remove it, or add it again.", icon=":material/block:")
    elif job.answer is None:
        _progress(job, job.stage)
    else:
        _answer(job, job.answer)


@st.fragment(run_every=0.4)
def _progress(job: Job, stage: str) -> None:
    """Follows a job; draws the whole page again when it has come to another stage."""
    if job.stage != stage:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="bottom", wrap=False):
        st.progress(job.share, text=f"{words.stage(job)}…", width="stretch")
        cancelled = st.button("Cancel", icon=":material/close:", key=f"cancel-{job.key}")
    if cancelled:
        job.cancel()
        st.rerun()


def _answer(job: Job, answer: Answer) -> None:
    left, right = st.columns([2, 3], gap="large")
    duration = answer.video.duration_seconds if answer.video is not None else 0.0
    note = (
        f"Judged over all {markup.clock(duration)} of it."
        if answer.known
        else "Nothing here is much like the actions below."
    )
    left.html(markup.answer(answer.label, answer.confidence, answer.top(3), note=note))
    with right:
        st.markdown("**What happens when**")
        axis = [markup.clock(duration * part / 4) for part in range(5)]
        st.html(markup.timeline(answer.segments, 0.0, duration, axis))
    if not job.finished:
        _progress(job, job.stage)
    _videos(job)
    _downloads(job, answer)
    with st.expander("Details", icon=":material/query_stats:"):
        _details(answer)


def _videos(job: Job) -> None:
    left, right = st.columns(2, gap="medium")
    with left:
        st.caption("Original")
        if job.original is not None:
            st.video(str(job.original), alt=f"{job.name} as it was added")
        else:
            st.html('<div class="as-empty-video">Being made ready…</div>')
    with right:
        st.caption("With the answer on it")
        if job.annotated is not None:
            st.video(str(job.annotated), alt=f"{job.name} with the action written on it")
        else:
            st.html('<div class="as-empty-video">Being drawn…</div>')


def _downloads(job: Job, answer: Answer) -> None:
    with st.container(horizontal=True):
        if job.annotated is not None:
            st.download_button(
                "Annotated video",
                job.annotated.read_bytes,
                downloads.name_for(job.name, "-annotated.mp4"),
                "video/mp4",
                icon=":material/download:",
                on_click="ignore",
                key=f"mp4-{job.key}",
            )
        st.download_button(
            "JSON",
            downloads.as_json(answer),
            downloads.name_for(job.name, ".json"),
            "application/json",
            icon=":material/data_object:",
            on_click="ignore",
            key=f"json-{job.key}",
        )
        st.download_button(
            "CSV",
            downloads.as_csv(answer),
            downloads.name_for(job.name, ".csv"),
            "text/csv",
            icon=":material/table:",
            on_click="ignore",
            key=f"csv-{job.key}",
        )
        st.download_button(
            "Timeline",
            lambda: downloads.as_picture(answer),
            downloads.name_for(job.name, "-timeline.png"),
            "image/png",
            icon=":material/image:",
            on_click="ignore",
            key=f"png-{job.key}",
        )


def _details(answer: Answer) -> None:
    if answer.video is not None:
        st.html(markup.tiles(_facts(answer.video)))
        if answer.video.corrupt_packets or answer.video.truncated:
            st.caption("The file is damaged in places; what could be read was used.")
    if answer.timing is not None and answer.model is not None:
        st.caption(
            f"Worked on for {answer.timing.total_seconds:.1f} s by the model "
            f"{plain(answer.model['name'])} ({answer.model['fingerprint']})."
        )


def _facts(video: VideoFacts) -> list[tuple[str, str]]:
    return [
        ("Length", markup.clock(video.duration_seconds)),
        ("Size", f"{video.width}×{video.height}"),
        ("Frames a second", f"{video.frame_rate:.3g}"),
        ("Frames read", f"{video.frames_read}"),
        ("Frames looked at", f"{video.frames_encoded}"),
    ]

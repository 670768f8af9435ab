"""One video on its way from the queue to the answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from actionstream.app import downloads, markup, words
from actionstream.app.jobs import Job
from actionstream.app.markup import clock, plain
from actionstream.app.widgets import download
from actionstream.draw import headline, percent
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


@st.fragment(run_every=0.5)
def _progress(job: Job, stage: str) -> None:
    """Follows a job; draws the whole page again when it has come to another stage."""
    if job.stage != stage:
        st.rerun()
    said = ", ".join(filter(None, (words.stage(job), words.time_left(job.seconds_left()))))
    with st.container(horizontal=True, vertical_alignment="bottom", wrap=False):
        st.progress(job.share, text=f"{said}…", width="stretch")
        cancelled = st.button("Cancel", icon=":material/close:", key=f"cancel-{job.key}")
    if cancelled:
        job.cancel()
        st.rerun()
    reading = job.reading
    if job.answer is None and reading is not None and reading.status == "ready":
        note = f"So far, at {clock(reading.time_seconds)} of the video."
        top = reading.shown_top(3)
        st.html(markup.answer(reading.shown, reading.shown_confidence, top, note=note))


def _answer(job: Job, answer: Answer) -> None:
    left, right = st.columns([2, 3], gap="large")
    duration = answer.video.duration_seconds if answer.video is not None else 0.0
    with left:
        st.html(_headline(answer, duration))
        for notice in dict.fromkeys((*answer.warnings, *job.notices)):
            st.caption(f":material/info: {plain(notice.message)}")
    with right:
        st.header("What happens when", anchor=False)
        axis = [clock(duration * part / 4) for part in range(5)]
        shown = markup.timeline(answer.segments, 0.0, duration, axis, top=answer.label, seek=True)
        st.html(shown)
        st.caption("Press a bar to see that moment in the videos.")
    if not job.finished:
        _progress(job, job.stage)
    elif job.error is not None:
        st.warning(f"The videos below are not complete. {words.problem(job)}")
    _videos(job)
    _downloads(job, answer, duration)
    with st.expander("Details", icon=":material/query_stats:"):
        _details(answer)


def _headline(answer: Answer, duration: float) -> str:
    top, title = answer.top(3), None
    if answer.several:
        title, note = "Several actions", headline(answer)
    elif answer.known:
        note = f"Judged over all {clock(duration)} of it."
    else:
        note = "Nothing here is much like the actions below."
    return markup.answer(answer.label, answer.confidence, top, note=note, title=title)


def _videos(job: Job) -> None:
    left, right = st.columns(2, gap="medium")
    with left:
        _video("Original", job.original, f"{job.name} as it was added", job.finished)
    with right:
        said = f"{job.name} with the action written on it"
        _video("With the answer on it", job.annotated, said, job.finished)


def _video(title: str, path: Path | None, alt: str, finished: bool) -> None:
    st.caption(title)
    if path is not None:
        st.video(str(path), alt=alt)
    else:
        waiting = "There is none." if finished else "Being made…"
        st.html(f'<div class="as-empty-video">{waiting}</div>')


def _downloads(job: Job, answer: Answer, duration: float) -> None:
    key, name = job.key, job.name
    with st.container(horizontal=True):
        if job.annotated is not None:
            mp4 = downloads.name_for(name, "-annotated.mp4")
            read = job.annotated.read_bytes
            download("Annotated video", read, mp4, "video/mp4", "download", f"mp4-{key}")
        kept(
            lambda: downloads.as_json(answer),
            lambda: downloads.as_csv(answer.source, answer.segments),
            lambda: downloads.as_svg(answer.segments, duration, answer.label),
            name=name,
            key=key,
        )


def kept(
    make_json: downloads.Make,
    make_csv: downloads.Make,
    make_svg: downloads.Make,
    *,
    name: str,
    key: str,
) -> None:
    """Buttons for an answer as JSON, as a table and as a picture."""
    end = downloads.name_for
    download("JSON", make_json, end(name, ".json"), "application/json", "data_object", f"j-{key}")
    download("CSV", make_csv, end(name, ".csv"), "text/csv", "table", f"c-{key}")
    picture = end(name, "-timeline.svg")
    download("Timeline", make_svg, picture, "image/svg+xml", "image", f"s-{key}")


def overview(jobs: Sequence[Job], before: Sequence[int]) -> str:
    """All videos in a table. `before`: how many videos wait before each."""
    rows = [
        (job.name, _short(job), _state(job, waiting), words.time_left(job.seconds_left()))
        for job, waiting in zip(jobs, before, strict=True)
    ]
    return markup.table("Your videos", ("Video", "Answer", "State", "Time left"), rows)


def _short(job: Job) -> str:
    if job.answer is None:
        return "–"
    known = job.answer.label is not None and not job.answer.several
    return headline(job.answer) + (f" {percent(job.answer.confidence)}" if known else "")


def _state(job: Job, before: int) -> str:
    if job.stage == "failed":
        return words.problem(job)
    if job.stage == "waiting" and before:
        return f"Waiting, {before} before it"
    return words.stage(job)


def _details(answer: Answer) -> None:
    if answer.video is not None:
        st.html(markup.tiles(_facts(answer.video)))
    if answer.timing is not None and answer.model is not None:
        st.caption(
            f"Worked on for {answer.timing.total_seconds:.1f} s by the model "
            f"{plain(answer.model['name'])} ({answer.model['fingerprint']})."
        )


def _facts(video: VideoFacts) -> list[tuple[str, str]]:
    return [
        ("Length", clock(video.duration_seconds)),
        ("Size", f"{video.width}×{video.height}"),
        ("Frames a second", f"{video.frame_rate:.3g}"),
        ("Frames read", f"{video.frames_read}"),
        ("Frames looked at", f"{video.frames_encoded}"),
    ]

"""What went wrong, in words for people who came to see an action named."""

from __future__ import annotations

from actionstream.app.job import Job, Stage
from actionstream.app.text import plain
from actionstream.errors import VideoErrorKind

_PROBLEMS: dict[VideoErrorKind, str] = {
    "not_found": "This video is no longer on the server. Please add it again.",
    "empty": "This file is empty. Perhaps it was not copied completely?",
    "unreadable": "This file cannot be read as a video: it is damaged, or it is something else.",
    "no_video": "This file has no picture, only sound or other data.",
    "no_frames": "Not one picture of this video could be decoded; the file is probably damaged.",
    "unsupported": "This kind of video cannot be decoded here. MP4, MOV, AVI, MKV and WebM work.",
    "too_large": "The pictures of this video are too large for this server: it takes up to about "
    "4096×2304 pixels (4K). A smaller copy of it will work.",
    "timeout": "Reading this video took too long, so it was given up.",
}
_STAGES: dict[Stage, str] = {
    "waiting": "Waiting for its turn",
    "reading": "Looking at the video",
    "drawing": "Drawing the answer on the video",
    "converting": "Making the original playable here",
}


def problem(job: Job) -> str:
    """Why this video has no answer."""
    if job.error is not None:
        return _PROBLEMS[job.error.kind]
    if job.out_of_room:
        return (
            "The server's room for videos was used up while this one was worked on. Remove videos "
            "that you no longer need, or add it again later."
        )
    return (
        "Something went wrong on the server with this video. Other videos still work; "
        "the server's log has the details for its owner."
    )


def stage(job: Job) -> str:
    """What is being done with this video now."""
    return _STAGES.get(job.stage, "")


def too_large(name: str, megabytes: int) -> str:
    """That this video is over the size limit."""
    return f"“{name}” is larger than {megabytes} MB, the most that this server takes."


def no_room(name: str, megabytes: int) -> str:
    """That the videos of all visitors leave no room for this one."""
    return (
        f"There is no room for “{name}” just now: this server keeps {megabytes} MB of videos for "
        "all its visitors. Remove videos that you no longer need, or try again later."
    )


def other_model(unusable: str, used: str) -> str:
    """That a model cannot be used, and which one is used instead. As Markdown."""
    return (
        f"The model “{plain(unusable)}” cannot be used: something is wrong with it, and the "
        f"server's log has the details for its owner. “{plain(used)}” is used instead."
    )

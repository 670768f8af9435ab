"""What is said to people who came to see an action named: about videos, cameras and models."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from actionstream.app.jobs import Job, QuotaExceededError, Stage
from actionstream.app.markup import clock, plain
from actionstream.errors import VideoError, VideoErrorKind

_PROBLEMS: dict[VideoErrorKind, str] = {
    "not_found": "This video is no longer on the server. Please add it again.",
    "empty": "This file is empty. Perhaps it was not copied completely?",
    "unreadable": "This file cannot be read as a video: it is damaged, or it is something else.",
    "no_video": "This file has no picture, only sound or other data.",
    "no_frames": "Not one picture of this video could be decoded; the file is probably damaged.",
    "unsupported": "This kind of video cannot be decoded here. MP4, MOV, AVI, MKV and WebM work.",
    "too_large": "This video is too large for this server: it takes pictures of up to about "
    "4096×2304 pixels (4K), and the fewer of them the larger they are. A smaller or shorter copy "
    "of it will work.",
    "timeout": "Reading this video took too long, so it was given up.",
    "crashed": "Reading this video failed on the server: it is damaged in a way that nothing can "
    "read. Other videos still work.",
}
_STAGES: dict[Stage, str] = {
    "waiting": "Waiting for its turn",
    "reading": "Looking at the video",
    "drawing": "Drawing the answer on the video",
    "converting": "Making the original playable here",
    "done": "Done",
    "failed": "No answer",
    "cancelled": "Cancelled",
}
_QUOTA = (
    "The server's room for videos was used up while this one was worked on. Remove videos that "
    "you no longer need, or add it again later."
)


def problem(job: Job) -> str:
    """Why this video has no answer, or no annotated video."""
    if isinstance(job.error, VideoError):
        return _PROBLEMS[job.error.kind]
    if isinstance(job.error, QuotaExceededError):
        return _QUOTA
    if _is_full_disk(job.error):
        return "The server's disk is full."
    return (
        "Something went wrong on the server with this video. Other videos still work; "
        "the server's log has the details for its owner."
    )


def _is_full_disk(error: Exception | None) -> bool:
    causes = (error, None if error is None else error.__cause__)
    return any(getattr(one, "errno", None) == errno.ENOSPC for one in causes)


def stage(job: Job) -> str:
    """What is being done with this video now, and how far it has come."""
    said = _STAGES[job.stage]
    if job.finished or job.stage == "waiting":
        return said
    return f"{said}: {job.share:.0%}"


def time_left(seconds: float | None) -> str:
    """ "about 1:20 left"; "" while that is not known."""
    return "" if seconds is None else f"about {clock(max(seconds, 1.0), whole=True)} left"


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


TroubleKind = (
    Literal["insecure", "unsupported", "refused", "missing", "in_use", "other"]
    | Literal["no_connection", "stalled", "full", "slow", "misconfigured"]
)

CONNECTION_SECONDS = 10.0
"""How long a connection may take before the page says that there is none."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why there is no picture from the camera, and what the visitor can do."""

    kind: TroubleKind
    title: str
    advice: str


_TROUBLES: dict[TroubleKind, tuple[str, str]] = {
    "insecure": (
        "Browsers give no camera to this address",
        "A camera needs HTTPS, or a page on the same computer (localhost). The server's owner can "
        "start the app with `actionstream app --https`.",
    ),
    "unsupported": (
        "This browser offers no camera to web pages",
        "Try a current Firefox, Chrome, Edge or Safari, outside of apps that embed a browser.",
    ),
    "refused": (
        "The camera was not allowed",
        "Click the camera or lock symbol beside the address, allow the camera for this page, "
        "then press Start again.",
    ),
    "missing": (
        "No camera was found",
        "Plug one in, or check that it is switched on in the system's privacy settings, then "
        "press Start.",
    ),
    "in_use": (
        "The camera cannot be opened",
        "Another program or tab is probably using it. Close that, then press Start again.",
    ),
    "other": (
        "The camera did not start",
        "Choose another one, or reload the page and try again.",
    ),
    "no_connection": (
        "No picture arrives at the server",
        "A firewall or router between you and the server seems to keep the video away. Another "
        "network may work; the server's owner can also set up a TURN server.",
    ),
    "stalled": (
        "The picture has stopped arriving",
        "The connection was interrupted, or the camera was switched off. Press Stop, then Start.",
    ),
    "full": (
        "All places for cameras are taken just now",
        "As soon as somebody stops, the answer starts here by itself.",
    ),
    "slow": (
        "This server is too slow for this model",
        "It cannot look at the picture often enough to name what happens. Another model (choose it "
        "above) or fewer visitors may help; a video is answered at any speed.",
    ),
    "misconfigured": (
        "This server's setting for connections is wrong",
        "No camera can be connected until its owner mends it; the server's log says how. A video "
        "is answered all the same.",
    ),
}
TROUBLES = {kind: Trouble(kind, *words) for kind, words in _TROUBLES.items()}

# Names of the errors that getUserMedia ends with (W3C Media Capture and Streams, section 10.3.1).
_BROWSER_ERRORS: dict[str, TroubleKind] = {
    "NotAllowedError": "refused",
    "SecurityError": "refused",
    "NotFoundError": "missing",
    "OverconstrainedError": "missing",
    "NotReadableError": "in_use",
    "AbortError": "in_use",
}


def diagnose(
    facts: Mapping[str, Any],
    silent_seconds: float,
    *,
    full: bool,
    stalled: bool = False,
    slow: bool = False,
) -> Trouble | None:
    """What keeps the camera from being seen; None if nothing is known to.

    Args:
        facts: from the page's script: `secure`, `supported`, `cameras` (a number, or -1),
            `permission` ("granted", "denied", "prompt" or "unknown") and `error` (the name of
            the last failure to open the camera, or "").
        silent_seconds: how long the server has waited for the first frame of a connection.
        full: all places are taken.
        stalled: pictures came, and none has for CONNECTION_SECONDS.
        slow: the camera is served, but the model takes too long for an answer.
    """
    kind = _browser_trouble(facts)
    if kind is None:
        silent = silent_seconds >= CONNECTION_SECONDS
        found: dict[TroubleKind, bool] = {
            "no_connection": silent,
            "stalled": stalled,
            "full": full,
            "slow": slow,
        }
        kind = next((name for name, holds in found.items() if holds), None)
    return None if kind is None else TROUBLES[kind]


def _browser_trouble(facts: Mapping[str, Any]) -> TroubleKind | None:
    if facts.get("secure") is False:
        return "insecure"
    if facts.get("supported") is False:
        return "unsupported"
    if facts.get("permission") == "denied":
        return "refused"
    if facts.get("cameras") == 0:
        return "missing"
    error = str(facts.get("error") or "")
    return _BROWSER_ERRORS.get(error, "other") if error else None

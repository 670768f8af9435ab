"""Why there is no picture from the camera, in plain words. Pure functions of what is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

TroubleKind = Literal[
    "insecure",
    "unsupported",
    "refused",
    "missing",
    "in_use",
    "other",
    "no_connection",
    "stalled",
    "full",
    "slow",
    "misconfigured",
]

CONNECTION_SECONDS = 10.0
"""How long a connection may take before the page says that there is none."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong and what the visitor can do."""

    kind: TroubleKind
    title: str
    advice: str


_TROUBLES = (
    Trouble(
        "insecure",
        "Browsers give no camera to this address",
        "A camera needs HTTPS, or a page on the same computer (localhost). The server's owner can "
        "start the app with `actionstream app --https`.",
    ),
    Trouble(
        "unsupported",
        "This browser offers no camera to web pages",
        "Try a current Firefox, Chrome, Edge or Safari, outside of apps that embed a browser.",
    ),
    Trouble(
        "refused",
        "The camera was not allowed",
        "Click the camera or lock symbol beside the address, allow the camera for this page, "
        "then press Start again.",
    ),
    Trouble(
        "missing",
        "No camera was found",
        "Plug one in, or check that it is switched on in the system's privacy settings, then "
        "press Start.",
    ),
    Trouble(
        "in_use",
        "The camera cannot be opened",
        "Another program or tab is probably using it. Close that, then press Start again.",
    ),
    Trouble(
        "other",
        "The camera did not start",
        "Choose another one, or reload the page and try again.",
    ),
    Trouble(
        "no_connection",
        "No picture arrives at the server",
        "A firewall or router between you and the server seems to keep the video away. Another "
        "network may work; the server's owner can also set up a TURN server.",
    ),
    Trouble(
        "stalled",
        "The picture has stopped arriving",
        "The connection was interrupted, or the camera was switched off. Press Stop, then Start.",
    ),
    Trouble(
        "full",
        "All places for cameras are taken just now",
        "As soon as somebody stops, the answer starts here by itself.",
    ),
    Trouble(
        "slow",
        "This server is too slow for this model",
        "It cannot look at the picture often enough to name what happens. Another model (see About "
        "the model) or fewer visitors may help; a video is answered at any speed.",
    ),
    Trouble(
        "misconfigured",
        "This server's setting for connections is wrong",
        "No camera can be connected until its owner mends it; the server's log says how. A video "
        "is answered all the same.",
    ),
)
TROUBLES: Mapping[TroubleKind, Trouble] = {trouble.kind: trouble for trouble in _TROUBLES}

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
        facts: from the page's probe: `secure`, `supported`, `cameras` (a number, or -1),
            `permission` ("granted", "denied", "prompt" or "unknown") and `error` (the name of
            the last failure to open the camera, or "").
        silent_seconds: how long the server has waited for the first frame of a connection.
        full: all places are taken.
        stalled: pictures came, and none has for CONNECTION_SECONDS.
        slow: the camera is served, but the model takes too long for an answer.
    """
    kind = _browser_trouble(facts)
    if kind is None and silent_seconds >= CONNECTION_SECONDS:
        kind = "no_connection"
    if kind is None and stalled:
        kind = "stalled"
    if kind is None and full:
        kind = "full"
    if kind is None and slow:
        kind = "slow"
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

"""What is said of cameras without a picture."""

from __future__ import annotations

from typing import Any

import pytest

from actionstream.app.words import TROUBLES, diagnose

WELL: dict[str, Any] = {
    "secure": True,
    "supported": True,
    "cameras": 1,
    "permission": "granted",
    "error": "",
}


@pytest.mark.parametrize(
    ("facts", "silent", "full", "kind"),
    [
        ({}, 0.0, False, None),
        ({}, 9.9, False, None),
        ({}, 10.0, False, "no_connection"),
        ({}, 0.0, True, "full"),
        ({"secure": False, "supported": False, "cameras": -1}, 0.0, True, "insecure"),
        ({"supported": False}, 0.0, False, "unsupported"),
        ({"permission": "denied", "cameras": 0}, 0.0, False, "refused"),
        ({"permission": "prompt"}, 0.0, False, None),
        ({"cameras": 0}, 20.0, False, "missing"),
        ({"cameras": -1}, 0.0, False, None),
        ({"error": "NotAllowedError", "permission": "unknown"}, 0.0, False, "refused"),
        ({"error": "NotFoundError"}, 0.0, False, "missing"),
        ({"error": "OverconstrainedError"}, 0.0, False, "missing"),
        ({"error": "NotReadableError"}, 0.0, False, "in_use"),
        ({"error": "AbortError"}, 0.0, False, "in_use"),
        ({"error": "SomethingNewError"}, 0.0, False, "other"),
    ],
)
def test_each_cause_has_its_own_words(
    facts: dict[str, Any], silent: float, full: bool, kind: str | None
) -> None:
    for slow in (False, True):  # slowness is told only where nothing else is wrong
        trouble = diagnose(WELL | facts, silent, full=full, slow=slow)
        assert (trouble.kind if trouble else None) == (kind or ("slow" if slow else None))


def test_a_picture_that_stops_is_told_before_all_but_the_browsers_own_troubles() -> None:
    for full in (False, True):
        trouble = diagnose(WELL, 0.0, full=full, stalled=True, slow=True)
        assert trouble is not None
        assert trouble.kind == "stalled"
    denied = diagnose(WELL | {"permission": "denied"}, 0.0, full=True, stalled=True)
    assert denied is not None
    assert denied.kind == "refused"


def test_before_the_browser_has_told_nothing_is_guessed() -> None:
    assert diagnose({}, 0.0, full=False) is None


def test_all_advice_is_there_and_differs() -> None:
    assert len({trouble.title for trouble in TROUBLES.values()}) == len(TROUBLES) == 11
    assert all(trouble.advice.endswith(".") for trouble in TROUBLES.values())

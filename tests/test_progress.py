"""The one bar: what it shows, and that it stays silent where nobody watches."""

from __future__ import annotations

import pytest

from actionstream.progress import ProgressBar, share


@pytest.mark.parametrize(
    ("done", "total", "part"),
    [(1, 4, 0.25), (5, 4, 1.0), (-1, 4, 0.0), (3, None, 0.0), (3, 0, 0.0)],
)
def test_a_share_is_between_nothing_and_all(done: float, total: float | None, part: float) -> None:
    assert share(done, total) == part


def test_it_is_silent_where_nobody_watches(capfd: pytest.CaptureFixture[str]) -> None:
    with ProgressBar() as bar:
        bar(1, 2, "clip.mp4")
        with bar.paused():
            pass
    assert capfd.readouterr() == ("", "")


def test_it_shows_name_and_share(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with ProgressBar() as bar:
        bar(1, 2, "x" * 50 + "the\x1bend.mp4")
        bar(1, 4, "next")
    out, err = capfd.readouterr()
    assert out == ""
    assert "next" in err
    assert " 25%" in err
    assert "\x1bend" not in err

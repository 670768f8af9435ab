"""The web app: Streamlit pages over the recogniser and the live worker.

Only widgets live in the pages. What runs beside them (the queue of uploads in `jobs`, the
visitor's camera in `camera_link`) never touches Streamlit: pages look at its values.
"""

from __future__ import annotations


def main() -> None:
    """Draw the app for one visitor; Streamlit calls this again whenever something changes."""
    from actionstream.app.server import ask_nobody
    from actionstream.app.shell import draw

    ask_nobody()  # `streamlit run` has begun to serve before it comes here
    draw()

"""What the model can do and cannot do, first for people, then what its card says."""

from __future__ import annotations

import re

import streamlit as st

from actionstream.app import markup, state
from actionstream.app.markup import html, plain
from actionstream.app.widgets import heading, known_actions, model_menu
from actionstream.bundle.card import Card
from actionstream.bundle.readme import card_text

WEAK, MOST_WEAK = 0.85, 6
"""An action that is named rightly less often than this counts as a weak one; so many are listed."""


def draw() -> None:
    """Draw the page."""
    heading(
        "About the model",
        "How often it is right, where it is weak, and what it has never been shown.",
    )
    model_menu()
    model = state.model()
    card = model.card
    _how_often_right(card)
    left, right = st.columns(2, gap="large")
    with left:
        _weak(card)
    with right:
        _never_shown(card)
    known_actions(card.labels)
    with st.expander("For technicians: all that the model's card says"):
        # Without headings, which would be the page's, and code, in which escapes would show.
        text = re.sub(r"(?<!\\)`", "", card_text(card, plain))
        st.markdown(re.sub(r"(?m)^#+ (.+)$", r"**\1**", text))
        st.caption(f"{plain(card.name)}, fingerprint {model.fingerprint}")


def _how_often_right(card: Card) -> None:
    st.header("How often is it right?", anchor=False)
    figures = {figure.name: figure for figure in card.measured.figures}
    said = [
        (f"{figures[name].value:.0%}", words)
        for name, words in (
            ("top-1", "of clips of actions that it knows are named rightly"),
            ("top-3", "have the right action among the best three"),
            ("others refused", "of clips of anything else are called “no known action”"),
        )
        if name in figures
    ]
    if not said:
        st.write("That was not measured.")
        return
    tiles = "".join(
        f'<div class="as-tile as-large"><span class="as-value">{html(value)}</span>'
        f"<span>{html(words)}</span></div>"
        for value, words in said
    )
    st.html(f'<div class="as-tiles">{tiles}</div>')
    if not card.training.comparable:
        st.warning("These figures come from a split that leaks: they compare with nothing.")


def _weak(card: Card) -> None:
    st.header("Where is it weak?", anchor=False)
    right = card.measured.per_class
    weak = sorted((share, label) for label, share in right.items() if share < WEAK)[:MOST_WEAK]
    if not weak:
        st.write("No action stands out." if right else "That was not measured.")
        return
    rows = [(markup.name_of(label), f"{share:.0%}") for share, label in weak]
    st.html(markup.table("Named rightly least often", ("Action", "Right"), rows))


def _never_shown(card: Card) -> None:
    st.header("What can it not know?", anchor=False)
    st.markdown("\n".join(f"- {plain(limit)}" for limit in card.limits) or "Nothing is said.")

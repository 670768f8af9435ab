"""What the model can do and cannot do, first for people, then what its card says."""

from __future__ import annotations

from typing import Any

import streamlit as st

from actionstream.app import markup, state
from actionstream.app.text import html, plain, readable
from actionstream.app.widgets import heading, known_actions, model_menu
from actionstream.bundle.card import Card, FigureCard
from actionstream.draw import display_name

FIGURES_IN_A_ROW = 3
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
        _accuracy(card)
        _actions(card)
        _training(card)
        _licence(card)
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


def _accuracy(card: Card) -> None:
    st.header("What was measured", anchor=False)
    figures = card.measured.figures
    for first in range(0, len(figures), FIGURES_IN_A_ROW):  # rows: a phone stacks them in order
        columns = st.columns(FIGURES_IN_A_ROW)
        for column, figure in zip(columns, figures[first:], strict=False):
            with column.container(border=True, height="stretch"):
                _figure(figure)


def _figure(figure: FigureCard) -> None:
    st.metric(plain(figure.name), f"{figure.value:.1%}")
    st.caption(
        f"{figure.low:.1%} to {figure.high:.1%} in 95 of 100 repetitions. Measured on "
        f"{figure.evaluated} of {figure.listed} clips: {plain(figure.how)}."
    )


def _actions(card: Card) -> None:
    clips, right = card.training.clips_per_label, card.measured.per_class
    rows: list[dict[str, Any]] = [
        {"Action": readable(display_name(label))} for label in card.labels
    ]
    for row, label in zip(rows, card.labels, strict=True):
        row |= {"Training clips": clips.get(label)} if clips else {}
        row |= {"Right": f"{right[label]:.0%}"} if label in right else {}
    head = list(rows[0])
    cells = [[str(row.get(name) or "–") for name in head] for row in rows]
    st.html(markup.table("Every action that it knows", head, cells))


def _training(card: Card) -> None:
    training = card.training
    st.header("How it was trained", anchor=False)
    st.markdown(
        f"- Data: {plain(training.data)}\n- Split: {plain(training.split)}\n"
        f"- Clips: {training.clips}, and {training.no_action_clips} of other actions or none\n"
        f"- A {plain(card.encoder.name)} ({plain(card.encoder.precision)}) looks at "
        f"{card.geometry.input_size}×{card.geometry.input_size} pixels every "
        f"{card.spacing_seconds:g} s; a head of the kind {plain(card.head.name)} reads the last "
        "16 looks"
    )


def _licence(card: Card) -> None:
    st.header("Who may use it", anchor=False)
    st.markdown(
        f"- Code: {plain(card.licence.code)}\n- Weights: {plain(card.licence.weights)}\n"
        f"- Data: {plain(card.licence.data)}"
    )

"""What the model knows, how well, from what, and where it ends: straight from its card."""

from __future__ import annotations

from typing import Any

import streamlit as st

from actionstream.app import state
from actionstream.app.text import plain, readable
from actionstream.app.widgets import heading
from actionstream.bundle.card import Card, FigureCard
from actionstream.draw import spoken

FIGURES_IN_A_ROW = 3
MENU = "model_menu"


def draw() -> None:
    """Draw the page."""
    heading("About the model", "All of this stands in the model's own card.")
    _choice()
    model = state.model()
    card = model.card
    _accuracy(card)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _actions(card)
    with right:
        _limits(card)
        _training(card)
        _licence(card)
        st.caption(f"{plain(card.name)}, fingerprint {model.fingerprint}")


def _choice() -> None:
    """A menu of the server's bundles; hidden while there is only one."""
    names = state.server().models.names()
    if len(names) < 2:
        return
    st.session_state[MENU] = state.model_name()  # not what was picked, if that cannot be used
    st.selectbox("Model", names, key=MENU, format_func=readable, on_change=_choose)


def _choose() -> None:
    state.choose_model(st.session_state[MENU])


def _accuracy(card: Card) -> None:
    st.subheader("How well it does", anchor=False)
    if not card.measured.figures:
        st.write("Not measured.")
        return
    figures = card.measured.figures
    for first in range(0, len(figures), FIGURES_IN_A_ROW):  # rows: a phone stacks them in order
        columns = st.columns(FIGURES_IN_A_ROW)
        for column, figure in zip(columns, figures[first:], strict=False):
            with column.container(border=True, height="stretch"):
                _figure(figure)
    if not card.training.comparable:
        st.warning("These figures come from a split that leaks: they compare with nothing.")


def _figure(figure: FigureCard) -> None:
    st.metric(plain(figure.name), f"{figure.value:.1%}")
    st.caption(
        f"{figure.low:.1%} to {figure.high:.1%} in 95 of 100 repetitions. Measured on "
        f"{figure.evaluated} of {figure.listed} clips: {plain(figure.how)}."
    )


def _actions(card: Card) -> None:
    st.subheader(f"The {len(card.labels)} actions that it knows", anchor=False)
    clips, right = card.training.clips_per_label, card.measured.per_class
    rows: list[dict[str, Any]] = [{"Action": readable(spoken(label))} for label in card.labels]
    for row, label in zip(rows, card.labels, strict=True):
        row |= {"Training clips": clips.get(label)} if clips else {}
        row |= {"Right": right.get(label)} if right else {}
    st.dataframe(
        rows,
        hide_index=True,
        height=min(38 * len(rows) + 40, 640),
        column_config={
            "Right": st.column_config.ProgressColumn(
                "Right",
                help="Share of the test clips named rightly",
                format="percent",
                min_value=0.0,
                max_value=1.0,
            )
        },
    )


def _limits(card: Card) -> None:
    st.subheader("What it cannot do", anchor=False)
    st.markdown("\n".join(f"- {plain(limit)}" for limit in card.limits) or "Nothing is said.")


def _training(card: Card) -> None:
    training = card.training
    st.subheader("How it was trained", anchor=False)
    st.markdown(
        f"- Data: {plain(training.data)}\n- Split: {plain(training.split)}\n"
        f"- Clips: {training.clips}, and {training.no_action_clips} of other actions or none\n"
        f"- A {plain(card.encoder.name)} ({plain(card.encoder.precision)}) looks at "
        f"{card.geometry.input_size}×{card.geometry.input_size} pixels every "
        f"{card.spacing_seconds:g} s; a head of the kind {plain(card.head.name)} reads the last "
        "16 looks"
    )


def _licence(card: Card) -> None:
    st.subheader("Who may use it", anchor=False)
    st.markdown(
        f"- Code: {plain(card.licence.code)}\n- Weights: {plain(card.licence.weights)}\n"
        f"- Data: {plain(card.licence.data)}"
    )

"""The card for people: Markdown that says what a bundle knows, how well, and from what."""

from __future__ import annotations

from collections.abc import Iterator

from actionstream.bundle.card import Card, FigureCard


def card_text(card: Card) -> str:
    """The bundle's README.md. Everything in it comes from the card."""
    return "\n".join(_lines(card)) + "\n"


def _lines(card: Card) -> Iterator[str]:
    yield from (f"# {card.name}", "")
    yield (
        f"A bundle of actionstream: {card.encoder.name} ({card.encoder.precision}) looks at "
        f"{card.geometry.input_size}x{card.geometry.input_size} pixels every "
        f"{card.spacing_seconds:g} s, and a `{card.head.name}` head reads the last 16 looks. "
        f"It knows {len(card.labels)} actions."
    )
    if card.pose:
        yield (
            f"Each look also holds the pose of the most prominent person ({card.pose.name}: 33 "
            "landmarks), who is followed from look to look."
        )
    yield from ("", "## Accuracy", "")
    yield from _figures(card.measured.figures)
    yield from ("", "## Actions", "")
    yield from _actions(card)
    yield from ("", "## Limits", "")
    yield from (f"- {limit}" for limit in card.limits)
    yield from ("", "## Training", "")
    yield from _training(card)
    yield from ("", "## Licence", "")
    yield f"- code: {card.licence.code}"
    yield f"- weights: {card.licence.weights}"
    if card.pose:
        yield f"- pose: {card.pose.source}; {card.pose.licence}"
    yield f"- data: {card.licence.data}"
    versions = ", ".join(f"{name} {version}" for name, version in card.versions.items())
    yield from ("", f"Made with {versions}." if versions else "")


def _figures(figures: tuple[FigureCard, ...]) -> Iterator[str]:
    if not figures:
        yield "Not measured."
        return
    yield "| figure | value | 95 % interval | clips | how |"
    yield "|---|---|---|---|---|"
    for figure in figures:
        yield (
            f"| {figure.name} | {figure.value:.3f} | {figure.low:.3f} to {figure.high:.3f} "
            f"| {figure.evaluated} of {figure.listed} | {figure.how} |"
        )


def _actions(card: Card) -> Iterator[str]:
    measured, training = card.measured.per_class, card.training
    grouped = "training groups | " if training.groups_per_label else ""
    yield f"| action | training clips | {grouped}top-1 |"
    yield f"|---|---|{'---|' if grouped else ''}---|"
    for label in card.labels:
        clips = training.clips_per_label.get(label, 0)
        groups = f"{training.groups_per_label.get(label, 0)} | " if grouped else ""
        top1 = f"{measured[label]:.2f}" if label in measured else ""
        yield f"| {label} | {clips} | {groups}{top1} |"


def _training(card: Card) -> Iterator[str]:
    training = card.training
    yield f"- data: {training.data}"
    yield f"- split: {training.split}"
    yield (
        f"- clips: {training.clips}, and {training.no_action_clips} of other actions or none, "
        'for "no known action"'
    )
    if not training.comparable:
        yield "- **The split leaks: these figures are not comparable with others.**"
    yield f"- command: `{training.command}`"

"""The card for people: Markdown that says what a bundle knows, how well, and from what."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from actionstream.bundle.card import Card, FigureCard, TaughtCard

Said = Callable[[str], str]


def card_text(card: Card, said: Said = str) -> str:
    """The bundle's README.md, all from the card; `said` may make the card's texts harmless."""
    return "\n".join(_lines(card, said)) + "\n"


def _lines(card: Card, said: Said) -> Iterator[str]:
    yield from (f"# {said(card.name)}", "")
    yield (
        f"A bundle of actionstream: {said(card.encoder.name)} ({said(card.encoder.precision)}) "
        f"looks at {card.geometry.input_size}x{card.geometry.input_size} pixels every "
        f"{card.spacing_seconds:g} s, and a `{said(card.head.name)}` head reads the last 16 looks. "
        f"It knows {len(card.labels)} actions."
    )
    if card.pose:
        yield (
            "Each look also holds the pose of the most prominent person "
            f"({said(card.pose.name)}: 33 landmarks), who is followed from look to look."
        )
    yield from ("", "## Accuracy", "")
    yield from _figures(card.measured.figures, said)
    if card.taught:
        yield from ("", "## Taught", "")
        yield from _taught(card.taught, said)
    yield from ("", "## Actions", "")
    yield from _actions(card, said)
    yield from ("", "## Limits", "")
    yield from (f"- {said(limit)}" for limit in card.limits)
    yield from ("", "## Training", "")
    yield from _training(card, said)
    yield from ("", "## Licence", "")
    yield f"- code: {said(card.licence.code)}"
    yield f"- weights: {said(card.licence.weights)}"
    if card.pose:
        yield f"- pose: {said(card.pose.source)}; {said(card.pose.licence)}"
    yield f"- data: {said(card.licence.data)}"
    versions = ", ".join(f"{said(name)} {said(version)}" for name, version in card.versions.items())
    yield from ("", f"Made with {versions}." if versions else "")


def _figures(figures: tuple[FigureCard, ...], said: Said) -> Iterator[str]:
    if not figures:
        yield "Not measured."
        return
    yield "| figure | value | 95 % interval | clips | how |"
    yield "|---|---|---|---|---|"
    for figure in figures:
        yield (
            f"| {said(figure.name)} | {figure.value:.3f} | {figure.low:.3f} to {figure.high:.3f} "
            f"| {figure.evaluated} of {figure.listed} | {said(figure.how)} |"
        )


def _taught(taught: TaughtCard, said: Said) -> Iterator[str]:
    yield f"Made from {said(taught.base)} by `actionstream teach`."
    if taught.estimate:
        yield from (
            "",
            "| action | to expect elsewhere | each source left out | refused | clips | sources |",
        )
        yield "|---|---|---|---|---|---|"
    for label, share in taught.estimate.items():
        rests = f"{taught.refused[label]:.2f} | {taught.clips[label]} | {taught.sources[label]}"
        yield f"| {said(label)} | {share:.2f} | {taught.left_out[label]:.2f} | {rests} |"
    if taught.old_before is not None and taught.old_after is not None:
        told = f"{taught.old_before:.3f} before, {taught.old_after:.3f} with the taught ones"
        yield from ("", f"Recall of the older actions, on windows of their training clips: {told}.")
    yield from ("", *(f"- {said(warning)}" for warning in taught.warnings))


def _actions(card: Card, said: Said) -> Iterator[str]:
    measured, training = card.measured.per_class, card.training
    grouped = "training groups | " if training.groups_per_label else ""
    yield f"| action | training clips | {grouped}top-1 |"
    yield f"|---|---|{'---|' if grouped else ''}---|"
    for label in card.labels:
        clips = training.clips_per_label.get(label, 0)
        groups = f"{training.groups_per_label.get(label, 0)} | " if grouped else ""
        top1 = f"{measured[label]:.2f}" if label in measured else ""
        yield f"| {said(label)} | {clips} | {groups}{top1} |"


def _training(card: Card, said: Said) -> Iterator[str]:
    training = card.training
    yield f"- data: {said(training.data)}"
    yield f"- split: {said(training.split)}"
    yield (
        f"- clips: {training.clips}, and {training.no_action_clips} of other actions or none, "
        'for "no known action"'
    )
    if not training.comparable:
        yield "- **The split leaks: these figures are not comparable with others.**"
    yield f"- command: `{said(training.command)}`"

"""Write the tables of figures in README.md from the cards of the shipped bundles.

    python scripts/readme_figures.py            # between the marks in README.md
    python scripts/readme_figures.py --check    # only say whether they are what the cards say

Run it when a bundle changes. scripts/check runs the check.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actionstream.bundle.card import Card
from actionstream.bundle.folder import open_bundle, resolve, shipped
from actionstream.draw import display_name

README = Path(__file__).resolve().parent.parent / "README.md"
# The rows of the first table: a figure's name on the card, and how the README says it.
FIGURES = {
    "top-1": "right, official split 1, {evaluated} of {listed} test clips",
    "top-1 as answered": 'the same, "no known action" counted as wrong',
    "top-1, other cameras": "right, {evaluated} clips from other cameras",
    "top-1 as answered, other cameras": 'the same, "no known action" counted as wrong',
    "others refused": 'other actions that get "no known action" ({evaluated} clips)',
}


def main() -> int:
    """Rewrite the tables, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare only; exit code 1 if stale")
    args = parser.parse_args()
    text = README.read_text("utf-8")
    cards = in_order()
    made = between(text, "models", models(cards))
    made = between(made, "actions", actions(cards))
    if args.check:
        if made != text:
            print(
                "README.md: the figures are not those of the cards; run scripts/readme_figures.py"
            )
        return int(made != text)
    README.write_text(made, "utf-8")
    return 0


def in_order() -> list[Card]:
    """The cards of the shipped bundles, the default first."""
    paths = sorted(shipped().values(), key=lambda path: (path != resolve(), path.name))
    return [open_bundle(path).card for path in paths]


def between(text: str, name: str, table: str) -> str:
    """`text` with what stands between the marks of that name replaced."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        sys.exit(f"README.md has no marks {begin.strip()} and {end.strip()}")
    return f"{before}{begin}{table}{end}{after}"


def models(cards: Sequence[Card]) -> str:
    """What each model is and how good it is."""
    rows = [
        ["shipped model", *(f"`{card.name}`" for card in cards)],
        ["---"] * (1 + len(cards)),
        ["encoder, input, looks", *map(_looks, cards)],
        ["actions", *(str(len(card.labels)) for card in cards)],
    ]
    for name, words in FIGURES.items():
        figures = [
            next((f for f in card.measured.figures if f.name == name), None) for card in cards
        ]
        known = next((figure for figure in figures if figure is not None), None)
        if known is not None:
            said = words.format(evaluated=known.evaluated, listed=known.listed)
            rows.append([said, *map(_figure, figures)])
    rows.append(["size of the download", *(f"{_megabytes(card.name):.0f} MB" for card in cards)])
    return _table(rows)


def actions(cards: Sequence[Card]) -> str:
    """Each action: what it was learned from, and the share of its test clips that are right."""
    rows = [["action", "training clips, groups", *(f"`{card.name}`" for card in cards)]]
    rows.append(["---"] * len(rows[0]))
    for label in cards[0].labels:
        training = cards[0].training
        groups = (training.groups_per_label or {}).get(label, "")
        clips = f"{training.clips_per_label.get(label, '')}, {groups}".rstrip(", ")
        rows.append([display_name(label), clips, *(_right(card, label) for card in cards)])
    return _table(rows)


def _looks(card: Card) -> str:
    name = card.encoder.name
    return f"{name}, {card.geometry.input_size} px, every {card.spacing_seconds:g} s"


def _figure(figure: Any) -> str:
    if figure is None:
        return ""
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def _right(card: Card, label: str) -> str:
    value = card.measured.per_class.get(label)
    return "" if value is None else f"{value:.2f}"


def _megabytes(name: str) -> float:
    return sum(file.stat().st_size for file in resolve(name).iterdir()) / 1e6


def _table(rows: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    sys.exit(main())

"""`actionstream models`: which models come with the package, and what one knows."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from actionstream.bundle.card import Card
    from actionstream.bundle.folder import Bundle

HEADLINE = "top-1"  # the figure of a card that stands for a model in the list
_WIDE = 200  # columns where no terminal says how many there are


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "models",
        help="the models that come with the package, and what one knows",
        description="List the models that come with the package, or say what one knows, how well, "
        "and from what.",
    )
    parser.add_argument(
        "model", nargs="?", metavar="DIR|VARIANT", help="a bundle's folder or a shipped variant"
    )
    parser.add_argument("--json", action="store_true", help="print JSON: the card, or all cards")


def run(args: argparse.Namespace) -> int:
    """Print the list, or one card."""
    from actionstream.bundle.folder import open_bundle, resolve, shipped

    if args.model is not None:
        bundle = open_bundle(resolve(args.model))
        _print_json(bundle) if args.json else _print_card(bundle)
        return 0
    bundles = [open_bundle(path) for path in shipped().values()]
    if args.json:
        for bundle in bundles:
            _print_json(bundle)
    else:
        _show(_list(bundles, resolve().name))
    return 0


def _print_json(bundle: Bundle) -> None:
    fields = {"path": str(bundle.path), "fingerprint": bundle.fingerprint}
    card = bundle.card.model_dump(mode="json", exclude_unset=True)
    print(json.dumps(fields | card, ensure_ascii=False))


def _list(bundles: list[Bundle], default: str) -> Table:
    table = _table("MODEL", "ACTIONS", "RIGHT", "CLIPS", "LOOKS")
    for bundle in bundles:
        card = bundle.card
        figure = next((f for f in card.measured.figures if f.name == HEADLINE), None)
        table.add_row(
            bundle.path.name + (" (default)" if bundle.path.name == default else ""),
            str(len(card.labels)),
            "" if figure is None else f"{figure.value:.1%}",
            "" if figure is None else f"{figure.evaluated} of {figure.listed}",
            _looks(card),
        )
    return table


def _looks(card: Card) -> str:
    size, spacing = card.geometry.input_size, card.spacing_seconds
    return f"{card.encoder.name}, {size}x{size} pixels, every {spacing:g} s"


def _print_card(bundle: Bundle) -> None:
    card = bundle.card
    for name, value in _facts(bundle):
        print(f"{name:<9} {value}")
    print()
    _show(_figures(card))
    print()
    _show(_actions(card))
    for limit in card.limits:
        print(f"- {limit}")


def _facts(bundle: Bundle) -> Iterator[tuple[str, str]]:
    card = bundle.card
    yield "model", f"{card.name} ({bundle.fingerprint}), {len(card.labels)} actions"
    yield "looks", _looks(card)
    yield "trained", card.training.data
    yield "weights", card.licence.weights
    yield "folder", str(bundle.path)


def _figures(card: Card) -> Table:
    table = _table("FIGURE", "VALUE", "95 % INTERVAL", "CLIPS")
    for figure in card.measured.figures:
        interval, clips = f"{figure.low:.3f}-{figure.high:.3f}", f"{figure.evaluated}"
        table.add_row(figure.name, f"{figure.value:.3f}", interval, f"{clips} of {figure.listed}")
    return table


def _actions(card: Card) -> Table:
    """What each action was learned from, and how often it was right."""
    from actionstream.draw import display_name

    right, clips = card.measured.per_class, card.training.clips_per_label
    groups: dict[str, int] = getattr(card.training, "groups_per_label", {})
    table = _table("ACTION", "LABEL", "CLIPS", *(["GROUPS"] if groups else []), "RIGHT")
    for label in card.labels:
        counts = [str(clips.get(label, ""))] + ([str(groups.get(label, ""))] if groups else [])
        table.add_row(
            display_name(label), label, *counts, f"{right[label]:.0%}" if label in right else ""
        )
    return table


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for column in columns:
        numbers = column in ("ACTIONS", "RIGHT", "VALUE", "CLIPS", "GROUPS")
        table.add_column(column, justify="right" if numbers else "left")
    return table


def _show(table: Table) -> None:
    """Print it: as wide as the terminal, or as wide as need be where there is none."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _WIDE
    console = Console(width=width, markup=False, highlight=False, emoji=False, no_color=True)
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():
        print(line.rstrip())

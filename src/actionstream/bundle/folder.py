"""A bundle: a folder of weights and their card. Checked as a whole, written as a whole.

The folder holds card.json, encoder.onnx, head.onnx, weights.safetensors and README.md (the card
for people). No pickle, nothing executable. Whatever is wrong with one is one `BundleError` that
lists all of it; nothing about a bundle is ever only a warning.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from actionstream.bundle import card as cards
from actionstream.bundle.card import BUNDLE_FILES, CARD_NAME, OPTIONAL_FILES, Card
from actionstream.bundle.memory import MEMORY_NAME, header_problems
from actionstream.bundle.readme import card_text
from actionstream.errors import BundleError

README_NAME = "README.md"
WEIGHTS_NAME = "weights.safetensors"
DEFAULT_NAME, FAST_NAME = "DEFAULT", "FAST"
"""Files beside the shipped variants that hold the names of the default and of the faster one."""
PRETRAINED = Path(__file__).with_name("pretrained")

_LARGEST_CARD_BYTES = 1_000_000
_LARGEST_FILE_BYTES = 500_000_000  # ten times the largest encoder that `train` knows
_WEIGHTS = {"head", "known"}
"""Parts of weights.safetensors that must and may be there. The encoder's tensors are those in
encoder.onnx; bundles of schema version 1 repeat them."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A checked bundle. `fingerprint` is the first 12 hex digits of SHA-256 of card.json."""

    path: Path
    card: Card
    fingerprint: str

    @property
    def encoder_path(self) -> Path:
        return self.path / "encoder.onnx"

    @property
    def head_path(self) -> Path:
        return self.path / "head.onnx"

    @property
    def weights_path(self) -> Path:
        return self.path / WEIGHTS_NAME


def open_bundle(path: str | Path) -> Bundle:
    """Check a bundle's card and files, and return it. Its networks are checked as they are opened.

    Raises:
        BundleError: lists all that is wrong. A card with unknown, missing or impossible keys stops
            there; with a right card: files missing, unlisted, changed or leading out of the
            folder, and weights that are none.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise BundleError(folder, ["there is no such folder"])
    text = _card_bytes(folder)
    try:
        card = cards.parse(text)
    except BundleError as error:
        raise BundleError(folder, [f"{CARD_NAME}: {one}" for one in error.problems]) from None
    problems = [*_file_problems(folder, card), *_content_problems(folder, card)]
    if problems:
        raise BundleError(folder, problems)
    return Bundle(folder, card, cards.fingerprint(text))


def _card_bytes(folder: Path) -> bytes:
    path = folder / CARD_NAME
    if not path.is_file():
        raise BundleError(folder, [f"{CARD_NAME}: missing"])
    if path.stat().st_size > _LARGEST_CARD_BYTES:
        raise BundleError(folder, [f"{CARD_NAME}: larger than {_LARGEST_CARD_BYTES} bytes"])
    return path.read_bytes()


def _file_problems(folder: Path, card: Card) -> Iterator[str]:
    wanted = {CARD_NAME, README_NAME, *card.files}
    found = {entry.name: entry for entry in folder.iterdir()}
    for name in sorted(wanted - set(found)):
        yield f"{name}: missing"
    for name in sorted(set(found) - wanted):
        yield f"{name}: not part of a bundle"
    root = folder.resolve()
    for name in sorted(wanted & set(found)):
        if not found[name].is_file():
            yield f"{name}: not a file"
        elif found[name].resolve().parent != root:
            yield f"{name}: a link that leads out of the folder"


def _content_problems(folder: Path, card: Card) -> Iterator[str]:
    for name, digest in card.files.items():
        path = folder / name
        if not path.is_file():
            continue
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            yield f"{name}: larger than {_LARGEST_FILE_BYTES} bytes"
        elif cards.file_digest(path) != digest:
            yield f"{name}: its SHA-256 is not the one in the card"
        elif path.suffix == ".safetensors":
            yield from (f"{name}: {problem}" for problem in _tensor_problems(path, card))


def _tensor_problems(path: Path, card: Card) -> Iterator[str]:
    if path.name == MEMORY_NAME:
        yield from header_problems(path, len(card.labels))
        return
    try:
        with safe_open(path, framework="np") as tensors:
            parts = {name.partition(".")[0] for name in tensors.keys()}  # noqa: SIM118  no mapping
    except (SafetensorError, OSError) as error:
        yield f"not a safetensors file ({error})"
        return
    if not (parts >= _WEIGHTS and parts <= {"encoder", *_WEIGHTS}):
        yield f"tensors must be named head.* and known.*, got {sorted(parts)}"


def write_bundle(
    folder: str | Path,
    make: Callable[[Path], None],
    make_card: Callable[[dict[str, str]], Card],
    *,
    check: Callable[[Bundle], None] | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Write a bundle whole or not at all: made beside its place, checked, then renamed.

    Args:
        folder: where it shall be.
        make: writes encoder.onnx, head.onnx, weights.safetensors and what else the bundle has into
            the folder it is given.
        make_card: the card, given the SHA-256 of each of them by name.
        check: what else it has to stand before it is renamed; raises if it does not.
        overwrite: replace a bundle that is there; nothing but a bundle is ever replaced.

    Raises:
        BundleError: there is something at that place already, or what was made is no bundle.
    """
    target = Path(folder)
    _check_place(target, overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        make(making)
        _write_card(making, make_card)
        made = _open_as(making, target)
        if check is not None:
            check(made)
        making.chmod(0o755)  # mkdtemp's folders are their maker's alone
        _put(making, target)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return open_bundle(target)


def _check_place(target: Path, overwrite: bool) -> None:
    if not target.exists() and not target.is_symlink():
        return
    if not overwrite:
        raise BundleError(target, ["exists already; ask to overwrite it, or choose another folder"])
    if not (target / CARD_NAME).is_file():
        raise BundleError(target, ["exists and is no bundle: it will not be overwritten"])


def _write_card(folder: Path, make_card: Callable[[dict[str, str]], Card]) -> None:
    there = [name for name in OPTIONAL_FILES if (folder / name).is_file()]
    card = make_card({name: cards.file_digest(folder / name) for name in (*BUNDLE_FILES, *there)})
    (folder / CARD_NAME).write_text(cards.dump(card), encoding="utf-8")
    (folder / README_NAME).write_text(card_text(card), encoding="utf-8")


def _open_as(folder: Path, name: Path) -> Bundle:
    """`open_bundle`, with errors that name the place where the bundle would have been."""
    try:
        return open_bundle(folder)
    except BundleError as error:
        raise BundleError(name, error.problems) from None


def _put(made: Path, target: Path) -> None:
    """Rename into place; an old bundle steps aside first and is removed last."""
    if not target.exists():
        made.rename(target)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    target.rename(aside / "bundle")
    try:
        made.rename(target)
    except BaseException:
        (aside / "bundle").rename(target)
        raise
    finally:
        shutil.rmtree(aside)


def shipped() -> dict[str, Path]:
    """The variants that come with the package, by name: NAME-vN, a version of NAME."""
    if not PRETRAINED.is_dir():
        return {}
    return {p.name: p for p in sorted(PRETRAINED.iterdir()) if (p / CARD_NAME).is_file()}


def resolve(name_or_path: str | Path | None = None) -> Path:
    """The folder of a bundle: None for the default, else a shipped variant's name, or a folder.

    A name without its version is the newest version's; "fast" is the faster of the variants.

    Raises:
        BundleError: there is no such variant and no such folder; the message lists the variants.
    """
    variants = shipped()
    if name_or_path is None:
        return variants[_chosen(DEFAULT_NAME, variants)]
    if isinstance(name_or_path, str):
        versions = [name for name in variants if _unversioned(name)[0] == name_or_path]
        if versions:
            return variants[max(versions, key=_unversioned)]
        if name_or_path in variants:
            return variants[name_or_path]
        if name_or_path == FAST_NAME.lower() and (PRETRAINED / FAST_NAME).is_file():
            return variants[_chosen(FAST_NAME, variants)]
    folder = Path(name_or_path)
    if folder.is_dir():
        return folder
    known = ", ".join(variants) or "none"
    raise BundleError(
        name_or_path, [f"neither a folder nor a shipped variant (there are: {known})"]
    )


def _unversioned(name: str) -> tuple[str, int]:
    """Name and version: "lite2-v3" is version 3 of lite2, "lite2" its version 1."""
    match = re.fullmatch(r"(.+)-v(\d+)", name)
    return (match[1], int(match[2])) if match else (name, 1)


def _chosen(file: str, variants: dict[str, Path]) -> str:
    chosen = PRETRAINED / file
    name = chosen.read_text(encoding="utf-8").strip() if chosen.is_file() else ""
    if name not in variants:
        known = ", ".join(variants) or "none"
        raise BundleError(chosen, [f"names no shipped variant, got {name!r} (there are: {known})"])
    return name

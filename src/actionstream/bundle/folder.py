"""A bundle: a folder of weights and their card. Checked as a whole, written as a whole.

The folder holds card.json, encoder.onnx, head.onnx, weights.safetensors and README.md (the card
for people). No pickle, nothing executable. Whatever is wrong with one is one `BundleError` that
lists all of it; nothing about a bundle is ever only a warning.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from actionstream.bundle import card as cards
from actionstream.bundle.card import BUNDLE_FILES, CARD_NAME, Card
from actionstream.bundle.card_readable import Readable, read_leniently
from actionstream.bundle.onnx_file import FLOAT, UINT8, NotOnnxError, OnnxFacts, Value, read_facts
from actionstream.bundle.readme import card_text
from actionstream.bundle.weights_file import NotSafetensorsError, read_tensors, tensor_problems
from actionstream.errors import BundleError
from actionstream.inference.sampling import WINDOW

README_NAME = "README.md"
DEFAULT_NAME = "DEFAULT"
"""File beside the shipped variants that holds the default's name."""
PRETRAINED = Path(__file__).parent.parent / "pretrained"

_LARGEST_CARD_BYTES = 1_000_000
_ALLOWED_DOMAINS = {"", "ai.onnx", "com.microsoft"}
"""Operators of ONNX and of ONNX Runtime itself: nothing that a plug-in would have to bring."""
_UNKNOWN = "?"
"""A size that a card with faults does not tell: any will do."""


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
        return self.path / "weights.safetensors"


def open_bundle(path: str | Path) -> Bundle:
    """Check everything about a bundle, and return it.

    Raises:
        BundleError: lists all that is wrong: files missing, unlisted, changed or leading out of
            the folder, a card with unknown, missing or impossible keys, networks whose inputs and
            outputs are not what the card says or whose data lie elsewhere, tensors that are not
            those of the card's head. With a faulty card the files are compared with what can be
            read of it.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise BundleError(folder, ["there is no such folder"])
    problems = list(_file_problems(folder))
    card, text = _read_card(folder, problems)
    problems += _content_problems(folder, read_leniently(text))
    if problems or card is None:
        raise BundleError(folder, problems)
    return Bundle(folder, card, cards.fingerprint(text))


def _file_problems(folder: Path) -> Iterator[str]:
    wanted = {CARD_NAME, README_NAME, *BUNDLE_FILES}
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


def _read_card(folder: Path, problems: list[str]) -> tuple[Card | None, bytes]:
    path = folder / CARD_NAME
    if not path.is_file():
        return None, b""
    if path.stat().st_size > _LARGEST_CARD_BYTES:
        problems.append(f"{CARD_NAME}: larger than {_LARGEST_CARD_BYTES} bytes")
        return None, b""
    text = path.read_bytes()
    try:
        return cards.parse(text), text
    except BundleError as error:
        problems += [f"{CARD_NAME}: {problem}" for problem in error.problems]
        return None, text


def _content_problems(folder: Path, card: Readable) -> Iterator[str]:
    checks: dict[str, Callable[[Path, Readable], Iterator[str]]] = {
        "encoder.onnx": _encoder_problems,
        "head.onnx": _head_problems,
        "weights.safetensors": _weights_problems,
    }
    for name, check in checks.items():
        path = folder / name
        if not path.is_file():
            continue
        if card.digest(name) not in (None, cards.file_digest(path)):
            yield f"{name}: its SHA-256 is not the one in the card"
        yield from (f"{name}: {problem}" for problem in check(path, card))


def _encoder_problems(path: Path, card: Readable) -> Iterator[str]:
    size, depth = _size(card.input_size), _size(card.feature_size)
    inputs = [Value("images", UINT8, ("N", size, size, 3))]
    return _network_problems(path, inputs, [Value("features", FLOAT, ("N", depth))])


def _head_problems(path: Path, card: Readable) -> Iterator[str]:
    inputs = [Value("features", FLOAT, ("B", WINDOW, _size(card.feature_size)))]
    logits = Value("logits", FLOAT, ("B", _size(card.num_labels)))
    return _network_problems(path, inputs, [logits, Value("known_score", FLOAT, ("B",))])


def _size(told: int | None) -> int | str:
    return _UNKNOWN if told is None else told


def _network_problems(path: Path, inputs: list[Value], outputs: list[Value]) -> Iterator[str]:
    try:
        facts: OnnxFacts = read_facts(path)
    except NotOnnxError as error:
        yield str(error)
        return
    for kind, wanted, found in (
        ("inputs", inputs, facts.inputs),
        ("outputs", outputs, facts.outputs),
    ):
        fit = (_fits(*pair) for pair in zip(found, wanted, strict=False))
        if len(found) != len(wanted) or not all(fit):
            yield f"{kind} must be {_listed(wanted)}, got {_listed(found)}"
    if facts.external:
        yield f"keeps data in other files ({', '.join(facts.external[:3])})"
    for domain in sorted(facts.domains - _ALLOWED_DOMAINS):
        yield f"uses operators of the foreign domain {domain!r}"


def _fits(found: Value, wanted: Value) -> bool:
    """Whether a value is the one wanted. The names of dimensions that vary are free."""
    same = (found.name, found.element_type) == (wanted.name, wanted.element_type)
    if not same or len(found.shape) != len(wanted.shape):
        return False
    return all(
        want == _UNKNOWN or (got == want if isinstance(want, int) else isinstance(got, str))
        for got, want in zip(found.shape, wanted.shape, strict=True)
    )


def _listed(values: list[Value]) -> str:
    types = {FLOAT: "float32", UINT8: "uint8"}
    return ", ".join(
        f"{value.name} {types.get(value.element_type, f'type {value.element_type}')} "
        f"[{', '.join(str(size) for size in value.shape)}]"
        for value in values
    )


def _weights_problems(path: Path, card: Readable) -> Iterator[str]:
    try:
        tensors = read_tensors(path)
    except NotSafetensorsError as error:
        yield str(error)
        return
    yield from tensor_problems(tensors, card.head, card.feature_size, card.num_labels)


def write_bundle(
    folder: str | Path,
    make: Callable[[Path], None],
    make_card: Callable[[dict[str, str]], Card],
    *,
    overwrite: bool = False,
) -> Bundle:
    """Write a bundle whole or not at all: made beside its place, checked, then renamed.

    Args:
        folder: where it shall be.
        make: writes encoder.onnx, head.onnx and weights.safetensors into the folder it is given.
        make_card: the card, given the SHA-256 of each of them by name.
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
        _open_as(making, target)
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
    card = make_card({name: cards.file_digest(folder / name) for name in BUNDLE_FILES})
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
    made.rename(target)
    shutil.rmtree(aside)


def shipped() -> dict[str, Path]:
    """The variants that come with the package, by name."""
    if not PRETRAINED.is_dir():
        return {}
    return {p.name: p for p in sorted(PRETRAINED.iterdir()) if (p / CARD_NAME).is_file()}


def resolve(name_or_path: str | Path | None = None) -> Path:
    """The folder of a bundle: None for the default, else a shipped variant's name, or a folder.

    Raises:
        BundleError: there is no such variant and no such folder; the message lists the variants.
    """
    variants = shipped()
    if name_or_path is None:
        name_or_path = _default(variants)
    if isinstance(name_or_path, str) and name_or_path in variants:
        return variants[name_or_path]
    folder = Path(name_or_path)
    if folder.is_dir():
        return folder
    known = ", ".join(variants) or "none"
    raise BundleError(
        name_or_path, [f"neither a folder nor a shipped variant (there are: {known})"]
    )


def _default(variants: dict[str, Path]) -> str:
    chosen = PRETRAINED / DEFAULT_NAME
    name = chosen.read_text(encoding="utf-8").strip() if chosen.is_file() else ""
    if name not in variants:
        known = ", ".join(variants) or "none"
        raise BundleError(chosen, [f"names no shipped variant, got {name!r} (there are: {known})"])
    return name

"""What a bundle is: `card.json`, read and written strictly.

The card carries everything that decides an answer besides the weights: labels in order, input
geometry, spacing, calibration, thresholds, smoothing, and where the weights come from. A key too
many or too few, or a value of the wrong type, is an error that lists all that is wrong.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from actionstream import preprocess
from actionstream.decide import SmoothingRule
from actionstream.errors import BundleError
from actionstream.preprocess import Geometry
from actionstream.sampling import WINDOW, SamplingRule

SCHEMA_VERSION = 1
CARD_NAME = "card.json"
BUNDLE_FILES = ("encoder.onnx", "head.onnx", "weights.safetensors")
"""Files whose SHA-256 the card holds. The folder also holds card.json and README.md."""

_SHA256 = "^[0-9a-f]{64}$"
_PARTS_DISAGREE = "parts_disagree"

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class EncoderCard(_Strict):
    """The CNN. `name` is one of networks' encoders, `feature_size` D of its features [N, D]."""

    name: str
    feature_size: Annotated[int, Field(ge=1)]
    precision: Literal["float32", "int8"]


class HeadCard(_Strict):
    """The part that reads 16 looks. `options` are the constructor's, to build it again."""

    name: str
    options: dict[str, int | float | bool | str]


class GeometryCard(_Strict):
    """How a frame becomes the encoder's input; see `actionstream.preprocess.Geometry`."""

    input_size: Annotated[int, Field(ge=16, le=1024)]
    window_fraction: Annotated[float, Field(ge=0.1, le=1.0)]


class TrainingCard(_Strict):
    """What the weights were trained on. `lists` is the fingerprint of the clip lists."""

    data: str
    split: str
    clips: Annotated[int, Field(ge=0)]
    clips_per_label: dict[str, int]
    no_action_clips: Annotated[int, Field(ge=0)]
    lists: str
    comparable: bool
    recipe: dict[str, Any]
    command: str


class FigureCard(_Strict):
    """One measured figure: value, 95 % interval, and on how many of the listed clips."""

    name: str
    value: float
    low: float
    high: float
    evaluated: Annotated[int, Field(ge=1)]
    listed: Annotated[int, Field(ge=1)]
    how: str


class MeasuredCard(_Strict):
    """Measured figures of exactly these weights; `per_class` is top-1 by label."""

    figures: tuple[FigureCard, ...]
    per_class: dict[str, float]


class LicenceCard(_Strict):
    """Who may use what."""

    code: str
    weights: str
    data: str


class Card(_Strict):
    """The contract between weights and program. See the fields' names: units stand in them."""

    schema_version: Literal[1]
    name: Annotated[str, Field(min_length=1)]
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    encoder: EncoderCard
    head: HeadCard
    geometry: GeometryCard
    spacing_seconds: Positive
    ready_after: Annotated[int, Field(ge=1, le=WINDOW)]
    reset_after_seconds: Positive
    temperature: Positive
    file_temperature: Positive
    threshold: Fraction
    known_threshold: Fraction
    smooth_tau_seconds: Positive
    hold_seconds: NotNegative
    switch_margin: Fraction
    preprocessing_fingerprint: str
    files: dict[str, str]
    training: TrainingCard
    measured: MeasuredCard
    limits: tuple[str, ...]
    versions: dict[str, str]
    licence: LicenceCard

    @field_validator("labels")
    @classmethod
    def _labels_differ(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(labels)) != len(labels) or any(not label.strip() for label in labels):
            raise ValueError("labels must all differ and none be blank")
        return labels

    @field_validator("files")
    @classmethod
    def _files_are_listed(cls, files: dict[str, str]) -> dict[str, str]:
        if set(files) != set(BUNDLE_FILES):
            raise ValueError(f"files must name exactly {', '.join(BUNDLE_FILES)}")
        if any(re.match(_SHA256, digest) is None for digest in files.values()):
            raise ValueError("each file needs its SHA-256 as 64 hex digits")
        return files

    @model_validator(mode="after")
    def _parts_agree(self) -> Card:
        problems = list(_disagreements(self))
        if problems:
            raise PydanticCustomError(_PARTS_DISAGREE, "{words}", {"words": "; ".join(problems)})
        return self

    @property
    def input_geometry(self) -> Geometry:
        return Geometry(self.geometry.input_size, self.geometry.window_fraction)

    @property
    def sampling(self) -> SamplingRule:
        return SamplingRule(self.spacing_seconds, self.reset_after_seconds)

    @property
    def smoothing(self) -> SmoothingRule:
        return SmoothingRule(
            self.threshold, self.smooth_tau_seconds, self.hold_seconds, self.switch_margin
        )


T = TypeVar("T")


def _none_if_wrong(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    try:
        return check(value)
    except ValidationError:
        return None


Lenient = Annotated[T | None, WrapValidator(_none_if_wrong)]


class _Lenient(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)


class ReadableEncoder(_Lenient):
    """See `Readable`."""

    feature_size: Lenient[Annotated[int, Field(ge=1)]] = None


class ReadableGeometry(_Lenient):
    """See `Readable`."""

    input_size: Lenient[Annotated[int, Field(ge=16, le=1024)]] = None
    window_fraction: Lenient[Annotated[float, Field(ge=0.1, le=1.0)]] = None


class Readable(_Lenient):
    """What can be read of a card, whatever else is wrong with it; None where it cannot.

    It is what the other files of a bundle can be compared with, so that one error lists all that
    is wrong. `files` has only the SHA-256 that are some.
    """

    labels: Lenient[list[str]] = None
    encoder: Lenient[ReadableEncoder] = None
    head: Lenient[HeadCard] = None
    geometry: Lenient[ReadableGeometry] = None
    spacing_seconds: Lenient[Positive] = None
    reset_after_seconds: Lenient[Positive] = None
    preprocessing_fingerprint: Lenient[str] = None
    files: Lenient[dict[str, Lenient[Annotated[str, Field(pattern=_SHA256)]]]] = None

    @property
    def input_size(self) -> int | None:
        return self.geometry.input_size if self.geometry else None

    @property
    def feature_size(self) -> int | None:
        return self.encoder.feature_size if self.encoder else None

    @property
    def num_labels(self) -> int | None:
        return len(self.labels) if self.labels else None

    def digest(self, name: str) -> str | None:
        """The SHA-256 that the card has of a file."""
        return self.files.get(name) if self.files else None


def read_leniently(text: str | bytes) -> Readable:
    """What can be read of this JSON text; never an error."""
    try:
        return Readable.model_validate_json(text)
    except ValidationError:  # no JSON, or no object
        return Readable()


def _disagreements(card: Card | Readable) -> Iterator[str]:
    """Keys that are each as they must be and do not go together."""
    spacing, reset = card.spacing_seconds, card.reset_after_seconds
    if spacing is not None and reset is not None:
        try:
            SamplingRule(spacing, reset)
        except ValueError as error:
            yield str(error)
    geometry, found = card.geometry, card.preprocessing_fingerprint
    if geometry is None or spacing is None or found is None:
        return
    size, fraction = geometry.input_size, geometry.window_fraction
    if size is None or fraction is None:
        return
    expected = preprocess.fingerprint(Geometry(size, fraction), spacing)
    if found != expected:
        yield (
            f"preprocessing_fingerprint is {found!r}, but these geometry keys and this version of "
            f"actionstream give {expected!r}"
        )


def parse(text: str | bytes, source: object = CARD_NAME) -> Card:
    """The card in this JSON text.

    Raises:
        BundleError: not JSON, or keys or values that are not as they must be: all of them listed.
    """
    try:
        return Card.model_validate_json(text)
    except ValidationError as error:
        # Of the whole card pydantic only looks whether its parts agree if each of them is right.
        wrong = [_problem(item) for item in error.errors() if item["type"] != _PARTS_DISAGREE]
        raise BundleError(source, [*wrong, *_disagreements(read_leniently(text))]) from None


def _problem(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"]) or "card"
    words = {"missing": "key is missing", "extra_forbidden": "unknown key"}
    return f"{where}: {words.get(item['type'], item['msg'])}"


def dump(card: Card) -> str:
    """The card as the text of `card.json`: the order of the fields, two spaces, newline."""
    return card.model_dump_json(indent=2) + "\n"


def fingerprint(text: bytes) -> str:
    """First 12 hex digits of SHA-256 of card.json's bytes: `model.fingerprint`."""
    return hashlib.sha256(text).hexdigest()[:12]


def file_digest(path: Path) -> str:
    """SHA-256 of a file as 64 hex digits, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

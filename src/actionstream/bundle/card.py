"""What a bundle is: `card.json`, read and written strictly.

The card carries everything that decides an answer besides the weights: labels in order, input
geometry, spacing, calibration, thresholds, smoothing, and where the weights come from. A key too
many or too few, or a value of the wrong type, is an error that lists all that is wrong.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from actionstream.errors import BundleError
from actionstream.inference import pose, preprocess
from actionstream.inference.postprocess import SmoothingRule
from actionstream.inference.preprocess import Geometry
from actionstream.inference.rules import Rules
from actionstream.inference.sampling import WINDOW, SamplingRule

SCHEMA_VERSION = 2
"""Written by `export`. Version 1, without the parts that may be left out, is read as well."""
CARD_NAME = "card.json"
BUNDLE_FILES = ("encoder.onnx", "head.onnx")
"""Files whose SHA-256 the card holds. The folder also holds card.json and README.md."""
POSE_FILES = ("pose.onnx", "person.onnx", "LICENSE-pose.txt")
"""Files of a bundle with a pose: the networks, and the licence they come under."""
OPTIONAL_FILES = ("weights.safetensors", "memory.safetensors", *POSE_FILES)
"""Files that a bundle may have besides, with their SHA-256: the head's tensors for the torch engine
and for more training, what `teach` needs, the pose."""

_SHA256 = re.compile("[0-9a-f]{64}")

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
AtLeastOne = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=16, le=1024)]


class Strict(BaseModel):
    """A key too many or too few, or a value of the wrong type, is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class EncoderCard(Strict):
    """The CNN. `name` is one of networks' encoders, `feature_size` D of its features [N, D]."""

    name: str
    feature_size: AtLeastOne
    precision: Literal["float32", "float16", "int8"]


class HeadCard(Strict):
    """The part that reads 16 looks. `options` are the constructor's, to build it again."""

    name: str
    options: dict[str, int | float | bool | str]


class GeometryCard(Strict):
    """How a frame becomes the encoder's input; see `actionstream.inference.preprocess.Geometry`."""

    input_size: Side
    window_fraction: Annotated[float, Field(ge=0.1, le=1.0)]


class PoseCard(Strict):
    """The networks in pose.onnx and person.onnx: where they come from, the numbers that they add
    to a look's feature, and how the person is found (`actionstream.inference.pose.fingerprint`)."""

    name: str
    source: str
    licence: str
    feature_size: AtLeastOne
    finder: str


class TrainingCard(Strict):
    """What the weights were trained on. `lists` is the fingerprint of the clip lists."""

    data: str
    split: str
    clips: Count
    clips_per_label: dict[str, int]
    groups_per_label: dict[str, int] = {}
    no_action_clips: Count
    lists: str
    comparable: bool
    recipe: dict[str, Any]
    command: str


class FigureCard(Strict):
    """One measured figure: value, 95 % interval, and on how many of the listed clips."""

    name: str
    value: float
    low: float
    high: float
    evaluated: AtLeastOne
    listed: AtLeastOne
    how: str


class MeasuredCard(Strict):
    """Measured figures of exactly these weights; `per_class` is top-1 by label."""

    figures: tuple[FigureCard, ...]
    per_class: dict[str, float]


class ConfusionCard(Strict):
    """The share of `label`'s clips that was taken for `said`."""

    label: str
    said: str
    share: Fraction


class TaughtCard(Strict):
    """What `teach` added to which bundle, and its own estimate.

    left_out is leave-one-source-out recall by label, on so many clips of so many sources; estimate
    what that lets expect of all of them together; refused the share that the OOD score of fits
    without the source calls no known action, by label and of the clips of nothing; then what was
    taken for what, and the recall of older actions before and after.
    """

    base: str
    labels: tuple[str, ...]
    estimate: dict[str, Fraction]
    left_out: dict[str, Fraction]
    refused: dict[str, Fraction]
    nothing_refused: Fraction | None
    clips: dict[str, Count]
    sources: dict[str, Count]
    confusions: tuple[ConfusionCard, ...]
    old_before: Fraction | None
    old_after: Fraction | None
    warnings: tuple[str, ...]


class LicenceCard(Strict):
    """Who may use what."""

    code: str
    weights: str
    data: str


class Card(Strict):
    """The contract between weights and program. See the fields' names: units stand in them."""

    schema_version: Literal[1, 2]
    name: Annotated[str, Field(min_length=1)]
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    encoder: EncoderCard
    pose: PoseCard | None = None
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
    taught: TaughtCard | None = None
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
        named = set(files)
        if not named >= set(BUNDLE_FILES) or named - {*BUNDLE_FILES, *OPTIONAL_FILES}:
            raise ValueError(
                f"files must name {', '.join(BUNDLE_FILES)} and may name only "
                f"{', '.join(OPTIONAL_FILES)} besides"
            )
        if not all(_SHA256.fullmatch(digest) for digest in files.values()):
            raise ValueError("each file needs its SHA-256 as 64 hex digits")
        return files

    @property
    def look_size(self) -> int:
        """Numbers that a look puts into the ring: the picture's, and the pose's if there is one."""
        return self.encoder.feature_size + (self.pose.feature_size if self.pose else 0)

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

    @property
    def rules(self) -> Rules:
        """What inference needs to know of the bundle."""
        return Rules(
            self.labels,
            self.input_geometry,
            self.sampling,
            self.smoothing,
            self.ready_after,
            self.temperature,
            self.file_temperature,
            self.known_threshold,
            self.pose is not None,
        )


def parse(text: str | bytes, source: object = CARD_NAME) -> Card:
    """The card in this JSON text.

    Raises:
        BundleError: not JSON, or keys or values that are not as they must be: all of them listed.
    """
    try:
        json.loads(text, object_pairs_hook=_refuse_doubles)
    except _DoubledKeyError as error:
        raise BundleError(source, [f"{error}: the key is there twice"]) from None
    except (ValueError, RecursionError):
        pass  # no JSON: pydantic says where
    try:
        card = Card.model_validate_json(text)
    except ValidationError as error:
        raise BundleError(source, [_problem(item) for item in error.errors()]) from None
    problems = list(_disagreements(card))
    if problems:
        raise BundleError(source, problems)
    return card


class _DoubledKeyError(Exception):
    """Which of the two counts depends on who reads it."""


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> None:
    seen = set()
    for key, _ in pairs:
        if key in seen:
            raise _DoubledKeyError(key)
        seen.add(key)


def _problem(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"]) or "card"
    words = {"missing": "key is missing", "extra_forbidden": "unknown key"}
    return f"{where}: {words.get(item['type'], item['msg'])}"


def _disagreements(card: Card) -> Iterator[str]:
    """Keys that are each as they must be and do not go together."""
    try:
        _ = card.sampling
    except ValueError as error:
        yield str(error)
    finder = card.pose.finder if card.pose else None
    expected = preprocess.fingerprint(card.input_geometry, card.spacing_seconds, finder)
    if card.preprocessing_fingerprint != expected:
        yield (
            f"preprocessing_fingerprint is {card.preprocessing_fingerprint!r}, but these geometry "
            f"keys and this version of actionstream give {expected!r}"
        )
    if card.files.keys() & set(POSE_FILES) != (set(POSE_FILES) if card.pose else set()):
        yield f"files must name {', '.join(POSE_FILES)} if the card has a pose, and only then"
    if card.pose and card.pose.finder != pose.fingerprint():
        yield (
            f"pose.finder is {card.pose.finder!r}, but this version of actionstream finds people "
            f"as {pose.fingerprint()!r}"
        )
    if card.pose and card.pose.feature_size != pose.POSE_SIZE:
        yield f"pose.feature_size is {card.pose.feature_size}, a pose has {pose.POSE_SIZE} numbers"


def dump(card: Card) -> str:
    """The card as the text of `card.json`: the order of the fields, two spaces, newline."""
    return card.model_dump_json(indent=2, exclude_unset=True) + "\n"


def fingerprint(text: bytes) -> str:
    """First 12 hex digits of SHA-256 of card.json's bytes: `model.fingerprint`."""
    return hashlib.sha256(text).hexdigest()[:12]


def file_digest(path: Path) -> str:
    """SHA-256 of a file as 64 hex digits, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

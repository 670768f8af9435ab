"""What a bundle is: `card.json`, read and written strictly.

The card carries everything that decides an answer besides the weights: labels in order, input
geometry, spacing, calibration, thresholds, smoothing, and where the weights come from. A key too
many or too few, or a value of the wrong type, is an error that lists all that is wrong.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from actionstream.bundle.card_parts import (
    SHA256,
    EncoderCard,
    Fraction,
    GeometryCard,
    HeadCard,
    LicenceCard,
    MeasuredCard,
    NotNegative,
    Positive,
    Strict,
    TrainingCard,
)
from actionstream.bundle.card_readable import disagreements, read_leniently
from actionstream.errors import BundleError
from actionstream.inference.postprocess import SmoothingRule
from actionstream.inference.preprocess import Geometry
from actionstream.inference.rules import Rules
from actionstream.inference.sampling import WINDOW, SamplingRule

SCHEMA_VERSION = 1
CARD_NAME = "card.json"
BUNDLE_FILES = ("encoder.onnx", "head.onnx", "weights.safetensors")
"""Files whose SHA-256 the card holds. The folder also holds card.json and README.md."""

_PARTS_DISAGREE = "parts_disagree"


class Card(Strict):
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
        if any(re.match(SHA256, digest) is None for digest in files.values()):
            raise ValueError("each file needs its SHA-256 as 64 hex digits")
        return files

    @model_validator(mode="after")
    def _parts_agree(self) -> Card:
        problems = list(disagreements(self))
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
        raise BundleError(source, [*wrong, *disagreements(read_leniently(text))]) from None


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

"""The parts of a bundle's card, and the kinds of its values."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SHA256 = "^[0-9a-f]{64}$"

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Strict(BaseModel):
    """A key too many or too few, or a value of the wrong type, is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class EncoderCard(Strict):
    """The CNN. `name` is one of networks' encoders, `feature_size` D of its features [N, D]."""

    name: str
    feature_size: Annotated[int, Field(ge=1)]
    precision: Literal["float32", "int8"]


class HeadCard(Strict):
    """The part that reads 16 looks. `options` are the constructor's, to build it again."""

    name: str
    options: dict[str, int | float | bool | str]


class GeometryCard(Strict):
    """How a frame becomes the encoder's input; see `actionstream.inference.preprocess.Geometry`."""

    input_size: Annotated[int, Field(ge=16, le=1024)]
    window_fraction: Annotated[float, Field(ge=0.1, le=1.0)]


class TrainingCard(Strict):
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


class FigureCard(Strict):
    """One measured figure: value, 95 % interval, and on how many of the listed clips."""

    name: str
    value: float
    low: float
    high: float
    evaluated: Annotated[int, Field(ge=1)]
    listed: Annotated[int, Field(ge=1)]
    how: str


class MeasuredCard(Strict):
    """Measured figures of exactly these weights; `per_class` is top-1 by label."""

    figures: tuple[FigureCard, ...]
    per_class: dict[str, float]


class LicenceCard(Strict):
    """Who may use what."""

    code: str
    weights: str
    data: str

"""What can be read of a card with faults, so that one error lists everything that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from actionstream.bundle.card_parts import SHA256, HeadCard, Positive
from actionstream.inference import preprocess
from actionstream.inference.preprocess import Geometry
from actionstream.inference.sampling import SamplingRule

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
    files: Lenient[dict[str, Lenient[Annotated[str, Field(pattern=SHA256)]]]] = None

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


class _Shapes(Protocol):
    @property
    def input_size(self) -> int | None: ...
    @property
    def window_fraction(self) -> float | None: ...


class _Comparable(Protocol):
    """A `Card` or a `Readable`."""

    @property
    def geometry(self) -> _Shapes | None: ...
    @property
    def spacing_seconds(self) -> float | None: ...
    @property
    def reset_after_seconds(self) -> float | None: ...
    @property
    def preprocessing_fingerprint(self) -> str | None: ...


def disagreements(card: _Comparable) -> Iterator[str]:
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

"""What a source may cost: named limits, generous for people, finite for strangers' files."""

from __future__ import annotations

from dataclasses import dataclass

MAX_FRAME_PIXELS = 8192 * 8192  # twice 8K UHD; one such frame is 200 MB as RGB
OPEN_TIMEOUT_SECONDS = 30.0  # reading the header and finding the streams
READ_TIMEOUT_SECONDS = 30.0  # waiting for one packet
MAX_CONSECUTIVE_CORRUPT_PACKETS = 500  # about 17 s of 30 fps without one good picture
MAX_CONSECUTIVE_READ_ERRORS = 16  # failed reads in a row after which the rest counts as lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds for one source.

    `max_file_bytes` None means that a file may be of any length: it is streamed. A file or a
    frame over its limit raises VideoTooLargeError, a slow one VideoTimeoutError. Past a limit of
    consecutive damage the rest of the source is given up and it counts as truncated.
    """

    max_frame_pixels: int = MAX_FRAME_PIXELS
    max_file_bytes: int | None = None
    open_timeout_seconds: float = OPEN_TIMEOUT_SECONDS
    read_timeout_seconds: float = READ_TIMEOUT_SECONDS
    max_consecutive_corrupt_packets: int = MAX_CONSECUTIVE_CORRUPT_PACKETS
    max_consecutive_read_errors: int = MAX_CONSECUTIVE_READ_ERRORS

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be more than 0, got {value!r}")


DEFAULT_LIMITS = Limits()

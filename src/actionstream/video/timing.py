"""The one place that repairs time, for every container and codec.

Frames leave a decoder in the order of showing, so their times must rise: `DisplayOrder` gives them
the stamps of that order, `RisingClock` closes up jumps and counts where there are no times.
docs/video.md has the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median
from typing import TypeVar

from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from actionstream.results import Notice

ASSUMED_RATE = 25.0  # frames a second, where neither the times nor the header tell a plausible one
MAX_RATE = 300.0  # frames a second; more is a wrong header, not a camera
AGREEMENT = 1.3  # a header's rate this near to the measured one is believed
LEAP_SECONDS, LEAP_PERIODS = 1.0, 10.0  # a longer step is looked at twice
PAUSE_SECONDS, PAUSE_PERIODS = 60.0, 120.0
DECLARED_PAUSE_SECONDS = 600.0
MAX_MISSING = 64  # packets in the decoder: reordered, in its threads, or lost
MAX_LOOK_AHEAD = 16  # frames: no codec brings them further out of order
LOOK_AHEAD_BYTES = 64 << 20  # of decoded frames that wait for their stamps

Stamp = int | None
Stamped = tuple[VideoFrame, Stamp]
Item = TypeVar("Item")
Heard = Callable[[float, float], bool]
"""Whether the file has sound between two moments of its own clock, in seconds."""


class DisplayOrder:
    """Gives frames, which come in the order of showing, the stamps of their packets.

    The decoder is shown `fed(stamp)` in place of a packet's stamp, so that each frame tells which
    packet it came from. A frame waits only while a packet before its own, with a smaller stamp,
    has not given its frame: either it comes (the stamps follow decoding and change places), or it
    was lost, which is known after at most MAX_LOOK_AHEAD frames.
    """

    def __init__(self) -> None:
        self.swapped = 0
        self._fed = 0
        self._missing: dict[int, int] = {}  # packet -> stamp, of frames that have not come
        self._waiting: list[tuple[VideoFrame, int, Stamp]] = []

    def fed(self, stamp: Stamp) -> int:
        """The number of the packet that goes into the decoder."""
        number, self._fed = self._fed, self._fed + 1
        if stamp is not None:
            self._missing[number] = stamp
        if len(self._missing) > MAX_MISSING:
            del self._missing[next(iter(self._missing))]
        return number

    def came(self, frame: VideoFrame) -> Iterator[Stamped]:
        """Take a frame; give those whose stamps are certain."""
        number = self._fed if frame.pts is None else frame.pts
        self._waiting.append((frame, number, self._missing.pop(number, None)))
        if len(self._waiting) > _look_ahead(frame):
            first = self._waiting[0][1]
            self._missing = {n: s for n, s in self._missing.items() if n > first}
        while self._waiting and not self._in_doubt(*self._waiting[0][1:]):
            yield self._first()

    def rest(self) -> Iterator[Stamped]:
        """The frames that still wait, after the last packet."""
        while self._waiting:
            yield self._first()

    def _in_doubt(self, number: int, stamp: Stamp) -> bool:
        earlier = (s for n, s in self._missing.items() if n < number)
        return stamp is not None and any(s < stamp for s in earlier)

    def _first(self) -> Stamped:
        frame, number, stamp = self._waiting.pop(0)
        earlier = [
            (other, i)
            for i, (_, n, other) in enumerate(self._waiting)
            if other is not None and stamp is not None and n < number and other < stamp
        ]
        if earlier:
            self.swapped += 1
            least, place = min(earlier)
            later, its_number, _ = self._waiting[place]
            self._waiting[place] = (later, its_number, stamp)
            stamp = least
        return frame, stamp


def _look_ahead(frame: VideoFrame) -> int:
    size = max(1, frame.width * frame.height * 3 // 2)
    return min(MAX_LOOK_AHEAD, max(4, LOOK_AHEAD_BYTES // size))


def stamped_rate(stamps: Sequence[Stamp], stream: VideoStream) -> Rate:
    """The rate that the stamps of the first packets (any order) and the header tell."""
    rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    header = next((float(rate) for rate in rates if rate), None)
    return measure_rate(stamps_in_seconds(stamps, stream), header)


def stamps_in_seconds(stamps: Iterable[Stamp], stream: Stream) -> list[float | None]:
    """On the file's own clock; None where there is no stamp."""
    tick = float(stream.time_base or 0)
    return [None if stamp is None or not tick else stamp * tick for stamp in stamps]


@dataclass(frozen=True, slots=True)
class Rate:
    """Frames a second; `believed` is False where the time stamps cannot be used at all."""

    frames_a_second: float
    believed: bool


def measure_rate(stamps: Sequence[float | None], header: float | None) -> Rate:
    """The rate of the first frames, by their times (any order) and by what the header says."""
    plausible = header if header and 0 < header <= MAX_RATE else None
    seconds = sorted(stamp for stamp in stamps if stamp is not None)
    steps = [b - a for a, b in pairwise(seconds)]
    rising = [step for step in steps if step > 0]
    if not rising:
        return Rate(plausible or ASSUMED_RATE, len(stamps) == len(seconds) == 1)
    if sum(steps) * MAX_RATE < len(steps):
        return Rate(plausible or ASSUMED_RATE, False)
    if 2 * len(seconds) < len(stamps):  # too few to tell
        return Rate(plausible or ASSUMED_RATE, True)
    usual = median(rising)
    mean = fmean(step for step in steps if step <= LEAP_PERIODS * usual)
    if plausible and any(_agree(plausible * step) for step in (usual, mean)):
        return Rate(plausible, True)
    return Rate(1 / (usual if 2 * len(rising) > len(steps) else mean), True)


def _agree(ratio: float) -> bool:
    return 1 / AGREEMENT <= ratio <= AGREEMENT


class RisingClock:
    """Times that rise, from stamps in the order of showing. It looks one ahead.

    `first_seconds` is the first stamp, `end_seconds` the latest moment that something was shown:
    both on the file's own clock, which an announced end is compared with.
    """

    def __init__(self, rate: Rate, heard: Heard | None = None) -> None:
        self.period = 1 / rate.frames_a_second
        self.counted = self.jumps = self.strays = 0
        self.first_seconds = 0.0
        self.end_seconds: float | None = None
        self._believed, self._heard = rate.believed, heard
        self._near = max(LEAP_SECONDS, LEAP_PERIODS * self.period)
        self._last: float | None = None
        self._shown = 0.0  # how long the last frame is shown, as the file says
        self._newest = 0.0  # the newest believed stamp, on the file's own clock
        self._offset = 0.0  # from the file's own clock to the rising one

    def placed(
        self, items: Iterable[tuple[Item, float | None, float]]
    ) -> Iterator[tuple[Item, float, float]]:
        """Items with their stamps and lengths as the file says them, in seconds; as they are."""
        before: tuple[Item, float | None, float] | None = None
        for item in items:
            if before is not None:
                yield self._placed(*before, item[1])
            before = item
        if before is not None:
            yield self._placed(*before, None)

    def _placed(
        self, item: Item, raw: float | None, shown: float, following: float | None
    ) -> tuple[Item, float, float]:
        time_seconds = self._tick(raw, following)
        self._shown = shown
        if raw is not None:
            self.end_seconds = max(self.end_seconds or 0.0, raw + (shown or self.period))
        longest = max(DECLARED_PAUSE_SECONDS, PAUSE_PERIODS * self.period)
        usable = self._believed and 0 < shown <= longest
        return item, time_seconds, shown if usable else self.period

    def _tick(self, raw: float | None, following: float | None) -> float:
        if self._last is None:
            self.first_seconds = self._newest = raw or 0.0
            self._offset, self._last = -self._newest, 0.0
            self.counted += not self._believed or raw is None
        elif raw is None or not self._believed:
            self.counted += 1
            self._last += self.period
        else:
            self._last = self._next(self._last, raw, following)
        return self._last

    def _next(self, last: float, raw: float, following: float | None) -> float:
        counted, time_seconds = last + self.period, raw + self._offset
        ahead = time_seconds - last
        if 0 < ahead <= self._near:
            self._newest = raw
            return time_seconds
        if raw == self._newest:  # frames of one stamp are counted
            self.counted += 1
            return counted
        if raw > self._newest and -self._near <= ahead <= 0:
            self._newest = raw
            return last + self.period / 2  # until rising stamps have caught up with the count
        then = None if following is None else following + self._offset
        # The next stamp goes on where the clock stood before this one.
        if then is not None and 0 < then - last <= self._near + self.period:
            self.strays += 1
            return min(counted, (last + then) / 2)
        if ahead > 0 and self._is_pause(raw, ahead):
            self._newest = raw
            return time_seconds
        if following is None:
            self.strays += 1
            return counted
        self.jumps += 1
        self._newest, self._offset = raw, counted - raw
        return counted

    def _is_pause(self, raw: float, ahead: float) -> bool:
        if ahead <= max(PAUSE_SECONDS, PAUSE_PERIODS * self.period):
            return True
        if ahead <= min(DECLARED_PAUSE_SECONDS, self._shown * AGREEMENT):
            return True
        return self._heard is not None and self._heard(self._newest, raw)

    def notices(self, swapped: int) -> list[Notice]:
        """What was repaired, in words; `swapped` frames were put into the order of showing."""
        repairs = (
            (swapped, "its times were in the order of decoding and were put into that of showing"),
            (self.jumps, f"its clock jumped {_times(self.jumps)}; the film was closed up there"),
            (self.strays, f"{_times(self.strays)} a frame had a time far from its neighbours'"),
        )
        found = [Notice("clock_repaired", words) for count, words in repairs if count]
        if not self._believed or self.counted > MAX_LOOK_AHEAD:
            words = f"no usable times: frames were counted at {1 / self.period:.4g} a second"
            found.insert(0, Notice("no_times", words))
        return found


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"

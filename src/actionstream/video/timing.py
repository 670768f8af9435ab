"""The one place that repairs time, for every container and codec.

Frames leave a decoder in the order of showing, so their times must rise. Where they do not:

* **Display order.** Raw H.264 or an AVI that was copied into another container carries the order
  of decoding in its time stamps. The proof is a pair of frames that the decoder brought into
  another order while their stamps follow the order of the packets: the two exchange their stamps.
* **One rising clock.** A clock that restarts, or jumps and stays where it jumped to, is closed up:
  the frame comes one period after the last. A single stamp from which the next one returns is
  replaced in the same way.
* **A pause stays a pause** if it is at most `PAUSE_SECONDS` or `PAUSE_PERIODS` long; or up to
  `DECLARED_PAUSE_SECONDS`, if the file itself says that the frame before it is shown for so long;
  or of any length, if the file's sound goes on meanwhile.
* **No times**, all the same, or more than `MAX_RATE` frames a second: frames are counted, at the
  rate of the header where that is plausible, else at `ASSUMED_RATE`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median
from typing import TypeVar

from av.stream import Stream
from av.video.frame import VideoFrame

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
        while self._waiting and not self._in_doubt():
            yield self._first()

    def rest(self) -> Iterator[Stamped]:
        """The frames that still wait, after the last packet."""
        while self._waiting:
            yield self._first()

    def _in_doubt(self) -> bool:
        _, number, stamp = self._waiting[0]
        if stamp is None:
            return False
        return any(n < number and s < stamp for n, s in self._missing.items())

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
        time_seconds = self.tick(raw, following, shown)
        if raw is not None:
            self.end_seconds = max(self.end_seconds or 0.0, raw + (shown or self.period))
        longest = max(DECLARED_PAUSE_SECONDS, PAUSE_PERIODS * self.period)
        usable = self._believed and 0 < shown <= longest
        return item, time_seconds, shown if usable else self.period

    def tick(self, raw: float | None, following: float | None, shown: float = 0.0) -> float:
        """The time of what has the stamp `raw`, before something with `following`."""
        if self._last is None:
            self.first_seconds = self._newest = raw or 0.0
            self._offset, self._last = -self._newest, 0.0
            self.counted += not self._believed or raw is None
        elif raw is None or not self._believed:
            self.counted += 1
            self._last += self.period
        else:
            self._last = self._next(raw, following)
        self._shown = shown
        return self._last

    def _next(self, raw: float, following: float | None) -> float:
        assert self._last is not None
        counted, time_seconds = self._last + self.period, raw + self._offset
        ahead = time_seconds - self._last
        if 0 < ahead <= self._near:
            self._newest = raw
            return time_seconds
        if ahead <= 0 and (raw == self._newest or (raw > self._newest and ahead >= -self._near)):
            self.counted += raw == self._newest
            return self._catch_up(raw)
        if following is not None and self._fits(following):
            self.strays += 1
            return min(counted, (self._last + following + self._offset) / 2)
        if ahead > 0 and self._is_pause(raw, ahead):
            self._newest = raw
            return time_seconds
        if following is None:
            self.strays += 1
            return counted
        self.jumps += 1
        self._newest, self._offset = raw, counted - raw
        return counted

    def _catch_up(self, raw: float) -> float:
        """Frames of one stamp are counted; rising stamps behind the count go in half steps."""
        assert self._last is not None
        stands, self._newest = raw == self._newest, raw
        return self._last + (self.period if stands else self.period / 2)

    def _fits(self, following: float) -> bool:
        """Whether the next stamp goes on where the clock stood before this one."""
        assert self._last is not None
        return 0 < following + self._offset - self._last <= self._near + self.period

    def _is_pause(self, raw: float, ahead: float) -> bool:
        if ahead <= max(PAUSE_SECONDS, PAUSE_PERIODS * self.period):
            return True
        if ahead <= min(DECLARED_PAUSE_SECONDS, self._shown * AGREEMENT):
            return True
        return self._heard is not None and self._heard(self._newest, raw)

    def notices(self, swapped: int) -> list[Notice]:
        """What was repaired, in words; `swapped` frames were put into the order of showing."""
        found = []
        if not self._believed or self.counted > MAX_LOOK_AHEAD:
            words = f"no usable times: frames were counted at {1 / self.period:.4g} a second"
            found.append(Notice("no_times", words))
        if swapped:
            words = "its times were in the order of decoding and were put into that of showing"
            found.append(Notice("clock_repaired", words))
        if self.jumps:
            words = f"its clock jumped {_times(self.jumps)}; the film was closed up there"
            found.append(Notice("clock_repaired", words))
        if self.strays:
            words = f"{_times(self.strays)} a frame had a time far from its neighbours'"
            found.append(Notice("clock_repaired", words))
        return found


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"

"""Whether memory stays flat over a long live stream, by synthetic times at full speed.

    python benchmarks/live_soak.py [--model DIR|VARIANT] [--minutes 30] [--rate 15]

The frames of so many minutes go through a Stream and then through a Worker's session, as fast as
the model answers. The frame's size changes every minute, as WebRTC's does. Growth counts from the
end of the second minute, when caches are warm.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable

from common import machine, moving_pictures, rss_megabytes, verdict

import actionstream
from actionstream.live import Worker
from actionstream.recognizer import Recognizer
from actionstream.results import Pixels

GROWTH_BAR_MEGABYTES = 20.0
WARM_MINUTES = 2
SIZES = ((320, 240), (640, 480), (160, 120))
PATIENCE_SECONDS = 60.0

Show = Callable[[Pixels, float], object]


def soak(name: str, show: Show, minutes: int, rate: float) -> bool:
    """Feed the stream and print memory each minute; whether it stayed flat."""
    pictures = {size: moving_pictures(*size) for size in SIZES}
    warm = largest = 0.0
    began = time.perf_counter()
    for minute in range(minutes):
        turns = itertools.cycle(pictures[SIZES[minute % len(SIZES)]])
        for index in range(round(60 * rate)):
            show(next(turns), 60 * minute + index / rate)
        memory = rss_megabytes()
        if minute < WARM_MINUTES:
            warm = memory
        largest = max(largest, memory - warm)
        if minute < WARM_MINUTES or minute % 5 == 4:
            spent = time.perf_counter() - began
            print(f"  {name}: minute {minute + 1}, {memory:.1f} MB, after {spent:.0f} s")
    return verdict(
        f"{name}: largest growth in {minutes} minutes",
        largest,
        GROWTH_BAR_MEGABYTES,
        at_most=True,
        unit="MB",
    )


def soak_stream(model: Recognizer, minutes: int, rate: float) -> bool:
    return soak("Stream", model.live(keep_readings=False).push, minutes, rate)


def soak_worker(model: Recognizer, minutes: int, rate: float) -> bool:
    with Worker(model) as worker, worker.open() as session:

        def show(pixels: Pixels, seconds: float) -> None:
            if session.offer(pixels, seconds) and session.wait(PATIENCE_SECONDS) is None:
                raise TimeoutError("no reading came")

        flat = soak("Worker", show, minutes, rate)
        print(f"  {session.statistics()}")
        return flat


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--rate", type=float, default=15.0)
    args = parser.parse_args()
    model = actionstream.load(args.model, threads=args.threads)
    print(machine())
    print(f"{model.card.name} ({model.fingerprint}), {model.engine.describe()}")
    results = [run(model, args.minutes, args.rate) for run in (soak_stream, soak_worker)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

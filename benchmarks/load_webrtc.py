"""Many WebRTC visitors at once on one worker: answers a second, their age, drops, memory.

    python benchmarks/load_webrtc.py --seconds 60
    python benchmarks/load_webrtc.py --visitors 8 --size 640x480 --seconds 300

The server side is the app's own: the worker, each visitor's camera link and streamlit-webrtc's
processing track behind aiortc, with the annotated picture sent back. The visitors are a second
process that replays VP8 packets encoded beforehand and throws the answer's pictures away
undecoded, so that they cost little. Ages are the server's clock: from the frame's arrival at the
worker to its reading. Clips are real if --clips names a folder, else a drawn figure.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay
from common import machine, verdict

CLOCK = 90_000
KEYFRAME_SECONDS = 1  # a visitor who lost packets sees again after this
LEAST_ANSWERS, MOST_AGE_MS, MOST_GROWTH_MB = 5.0, 300.0, 20.0
NO_SERVERS = RTCConfiguration(iceServers=[])


def encode(clip: Path, width: int, height: int, rate: int) -> list[tuple[bytes, bool]]:
    """The clip as VP8 packets at this size and rate."""
    encoder = av.CodecContext.create("libvpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, rate), Fraction(rate)
    encoder.bit_rate, encoder.gop_size = 600_000, rate * KEYFRAME_SECONDS
    encoder.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    packets, due, index = [], 0.0, 0
    with av.open(str(clip)) as film:
        for frame in film.decode(video=0):
            if frame.time is None or frame.time + 1e-3 < due:
                continue
            due += 1 / rate
            small = frame.reformat(width, height, "yuv420p")
            small.pts, small.time_base = index, encoder.time_base
            index += 1
            packets += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(small)]
    packets += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(None)]
    return packets


class Replay(MediaStreamTrack):
    """Pre-encoded packets, over and over, at their own pace."""

    kind = "video"

    def __init__(self, packets: list[tuple[bytes, bool]], rate: int) -> None:
        super().__init__()
        self._packets, self._rate = itertools.cycle(packets), rate
        self._count, self._began = 0, time.monotonic()

    async def recv(self) -> av.Packet:
        self._count += 1
        await asyncio.sleep(max(0.0, self._began + self._count / self._rate - time.monotonic()))
        data, is_keyframe = next(self._packets)
        packet = av.Packet(data)
        packet.pts = self._count * CLOCK // self._rate
        packet.time_base = Fraction(1, CLOCK)
        packet.is_keyframe = is_keyframe
        return packet


class Blind:
    """A decoder that decodes nothing."""

    def decode(self, frame: object) -> list[av.VideoFrame]:
        return []


async def visit(request: dict[str, object]) -> None:
    """Connect all visitors and stay until stdin closes."""
    import aiortc.rtcrtpreceiver

    aiortc.rtcrtpreceiver.get_decoder = lambda codec: Blind()
    width, height, rate = (int(str(request[key])) for key in ("width", "height", "rate"))
    films = [encode(Path(str(clip)), width, height, rate) for clip in request["clips"]]  # type: ignore[union-attr]
    connections = []
    for number in range(int(str(request["visitors"]))):
        connection = RTCPeerConnection(NO_SERVERS)
        connection.addTrack(Replay(films[number % len(films)], rate))
        await connection.setLocalDescription(await connection.createOffer())
        say({"sdp": connection.localDescription.sdp, "type": "offer"})
        answer = json.loads(await asyncio.to_thread(sys.stdin.readline))
        await connection.setRemoteDescription(RTCSessionDescription(**answer))
        connections.append(connection)
    await asyncio.to_thread(sys.stdin.read)
    await asyncio.gather(*(connection.close() for connection in connections))


def say(message: dict[str, object]) -> None:
    print(json.dumps(message), flush=True)


@dataclass
class Served:
    """One visitor as the server sees it."""

    link: object
    connection: RTCPeerConnection
    ages: list[float] = field(default_factory=list)


@dataclass
class Window:
    """What one visitor got in one stretch of time."""

    answers: float
    frames: float
    dropped: int
    ages: list[float]


def serve_offer(worker: object, offer: dict[str, str]) -> tuple[Served, RTCPeerConnection]:
    """The server's end of one visitor's connection, as the app makes it."""
    from streamlit_webrtc.process import AsyncVideoProcessTrack

    from actionstream.app.camera_link import CameraLink, LinkProcessor

    connection, relay = RTCPeerConnection(NO_SERVERS), MediaRelay()
    served = Served(None, connection)
    served.link = CameraLink(
        lambda: worker.open(on_reading=lambda reading: served.ages.append(reading.age_seconds)),
        worker.model.card.ready_after,
    )

    @connection.on("track")
    def on_track(track: MediaStreamTrack) -> None:
        drawn = AsyncVideoProcessTrack(relay.subscribe(track), LinkProcessor(served.link))
        connection.addTrack(relay.subscribe(drawn))

    return served, connection


async def connect(worker: object, process: asyncio.subprocess.Process, count: int) -> list[Served]:
    visitors = []
    for _ in range(count):
        offer = json.loads(await asyncio.wait_for(process.stdout.readline(), 120))
        served, connection = serve_offer(worker, offer)
        await connection.setRemoteDescription(RTCSessionDescription(**offer))
        await connection.setLocalDescription(await connection.createAnswer())
        local = connection.localDescription
        process.stdin.write((json.dumps({"sdp": local.sdp, "type": local.type}) + "\n").encode())
        await process.stdin.drain()
        visitors.append(served)
    return visitors


async def run(args: argparse.Namespace) -> dict[str, object]:
    from actionstream.live import Worker
    from actionstream.recognizer import load

    model = load(args.model, threads=args.threads)
    own = psutil.Process()
    empty_mb = own.memory_info().rss / 1e6
    command = [sys.executable, __file__, "--as-visitors"]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24
    )
    with tempfile.TemporaryDirectory() as folder, Worker(model) as worker:
        request = {
            "width": args.size[0],
            "height": args.size[1],
            "rate": args.fps,
            "visitors": args.visitors,
            "clips": [str(clip) for clip in find_clips(args.clips, args.visitors, Path(folder))],
        }
        process.stdin.write((json.dumps(request) + "\n").encode())
        visitors = await connect(worker, process, args.visitors)
        await asyncio.sleep(args.warm_up)
        windows, memory_mb = await watch(visitors, args.seconds, args.window)
        for served in visitors:
            served.link.end()
        process.stdin.close()
        await asyncio.gather(*(served.connection.close() for served in visitors))
        await asyncio.wait_for(process.wait(), 30)
    return report(args, windows, memory_mb, empty_mb, model)


async def watch(
    visitors: list[Served], seconds: float, window: float
) -> tuple[list[list[Window]], list[float]]:
    """All visitors' figures for each stretch of `window` seconds, and memory after each."""
    own, windows, memory_mb = psutil.Process(), [], []
    for number in range(max(1, round(seconds / window))):
        before = [served.link.statistics() for served in visitors]
        for served in visitors:
            served.ages.clear()
        began = time.monotonic()
        await asyncio.sleep(window)
        taken = time.monotonic() - began
        row = []
        for served, old in zip(visitors, before, strict=True):
            new = served.link.statistics()
            row.append(
                Window(
                    (new.readings - old.readings) / taken,
                    (new.frames_offered - old.frames_offered) / taken,
                    new.looks_dropped - old.looks_dropped,
                    list(served.ages),
                )
            )
        windows.append(row)
        memory_mb.append(own.memory_info().rss / 1e6)
        print(
            f"{(number + 1) * window:5.0f} s  {line(row)}  {memory_mb[-1]:6.0f} MB", file=sys.stderr
        )
    return windows, memory_mb


def line(row: list[Window]) -> str:
    ages = [age for part in row for age in part.ages]
    p50, p95 = np.percentile(ages, (50, 95)) if ages else (0.0, 0.0)
    return (
        f"frames/s {min(part.frames for part in row):5.1f}  "
        f"answers/s {min(part.answers for part in row):5.2f} to "
        f"{max(part.answers for part in row):5.2f}  dropped {sum(p.dropped for p in row):4d}  "
        f"age p50 {1000 * p50:4.0f} ms p95 {1000 * p95:4.0f} ms"
    )


def report(
    args: argparse.Namespace,
    windows: list[list[Window]],
    memory_mb: list[float],
    empty_mb: float,
    model: object,
) -> dict[str, object]:
    """The figures of the whole run, and whether they reach the bars."""
    ages = [age for row in windows for part in row for age in part.ages]
    by_visitor = list(zip(*windows, strict=True))
    slowest = min(float(np.mean([part.answers for part in parts])) for parts in by_visitor)
    p50, p95 = (float(value) for value in np.percentile(ages, (50, 95)))
    # The first third is left out: buffers and codecs fill for a while.
    settled = memory_mb[len(memory_mb) // 3 :]
    growth = max(settled) - settled[0]
    first, last = (
        float(np.percentile([age for part in row for age in part.ages], 95))
        for row in (windows[0], windows[-1])
    )
    return {
        "visitors": args.visitors,
        "size": "x".join(map(str, args.size)),
        "camera_fps": args.fps,
        "seconds": len(windows) * args.window,
        "model": f"{model.card.name} ({model.card.encoder.name})",
        "answers_wanted_per_second": round(1 / model.card.spacing_seconds, 2),
        "answers_per_second_slowest_visitor": round(slowest, 2),
        "frames_per_second_slowest_visitor": round(
            min(float(np.mean([part.frames for part in parts])) for parts in by_visitor), 2
        ),
        "looks_dropped": sum(part.dropped for row in windows for part in row),
        "age_p50_ms": round(1000 * p50, 1),
        "age_p95_ms": round(1000 * p95, 1),
        "age_p95_ms_first_and_last_window": [round(1000 * first, 1), round(1000 * last, 1)],
        "memory_mb_a_visitor": round((memory_mb[-1] - empty_mb) / args.visitors, 1),
        "memory_growth_mb_once_settled": round(growth, 1),
    }


def find_clips(folder: Path | None, count: int, scratch: Path) -> list[Path]:
    """Clips for the visitors: the first of different subfolders, or the drawn figure."""
    if folder is None:
        from actionstream.evaluation.demo import make_clip

        make_clip(scratch / "figure.mp4")
        return [scratch / "figure.mp4"]
    found = list(itertools.islice(_one_each(folder), count))
    if not found:
        sys.exit(f"{folder}: no folder in it holds an .mp4")
    return found


def _one_each(folder: Path) -> Iterator[Path]:
    for part in sorted(path for path in folder.glob("*") if path.is_dir()):
        yield from sorted(part.glob("*.mp4"))[-1:]


def size(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    return int(width), int(height)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--visitors", type=int, default=4)
    parser.add_argument("--size", type=size, default=(320, 240), metavar="WxH")
    parser.add_argument("--fps", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--window", type=float, default=10.0, help="seconds a printed line covers")
    parser.add_argument("--warm-up", type=float, default=10.0)
    parser.add_argument("--clips", type=Path, help="a folder with a folder of clips an action")
    parser.add_argument("--model", help="a shipped variant or a folder")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--as-visitors", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.as_visitors:
        asyncio.run(visit(json.loads(sys.stdin.readline())))
        return 0
    logging.disable(logging.WARNING)  # streamlit warns that it runs without its server
    print(machine())
    figures = asyncio.run(run(args))
    print(json.dumps(figures, indent=2))
    return 0 if judge(figures) else 1


def judge(figures: dict[str, object]) -> bool:
    """Print each bar and whether it is reached."""
    slowest, age, growth = (
        float(str(figures[name]))
        for name in (
            "answers_per_second_slowest_visitor",
            "age_p95_ms",
            "memory_growth_mb_once_settled",
        )
    )
    reached = [
        verdict("slowest visitor", slowest, LEAST_ANSWERS, at_most=False, unit="answers/s"),
        verdict("age of 95 % of answers", age, MOST_AGE_MS, at_most=True, unit="ms"),
        verdict("growth of memory", growth, MOST_GROWTH_MB, at_most=True, unit="MB"),
    ]
    return all(reached)


if __name__ == "__main__":
    sys.exit(main())

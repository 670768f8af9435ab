"""Damages the times of a video as files from the field have them; pictures stay as they are."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av

TS_PACKET, TS_TICKS, SOUND_PID = 188, 90_000, 0x101
Stamps = tuple[int, int]
Change = Callable[[int, int, int], Stamps]
"""From a packet's number in the order of decoding, its pts and dts to a new pts and dts."""


def remuxed(clip: Path, target: Path, change: Change, rate: int = 25) -> Path:
    """The packets of `clip` in the container that `target` names, with other stamps.

    All stamps are in periods of `rate`, whatever the clip's own rate; `change` is given what they
    should be.
    """
    with av.open(str(clip)) as source, av.open(str(target), "w") as output:
        copy = output.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        shown = {pts: i for i, pts in enumerate(sorted(packet.pts for packet in packets))}
        delay = max(i - shown[packet.pts] for i, packet in enumerate(packets))
        copy.time_base = Fraction(1, rate)
        for i, packet in enumerate(packets):
            pts, dts = change(i, shown[packet.pts] + delay, i)
            packet.stream, packet.time_base, packet.duration = copy, Fraction(1, rate), 1
            packet.pts, packet.dts = pts, dts
            output.mux(packet)
    return target


def decode_order(clip: Path, target: Path, rate: int = 25) -> Path:
    """Raw H.264 or an AVI that was copied: packets are numbered as they come."""
    return remuxed(clip, target, lambda i, pts, dts: (i, i), rate)


def right(clip: Path, target: Path, rate: int = 25) -> Path:
    """Nothing is changed but the container."""
    return remuxed(clip, target, lambda i, pts, dts: (pts, dts), rate)


def no_times(clip: Path, target: Path, rate: int = 25) -> Path:
    """Every packet has the time zero."""
    return remuxed(clip, target, lambda i, pts, dts: (0, 0), rate)


def ahead(clip: Path, target: Path, seconds: float, at: int, rate: int = 25) -> Path:
    """The clock jumps ahead at the packet `at` and stays there."""
    jump = round(seconds * rate)
    later = lambda i: jump if i >= at else 0  # noqa: E731
    return remuxed(clip, target, lambda i, pts, dts: (pts + later(i), dts + later(i)), rate)


def joined(clips: Sequence[Path], target: Path) -> Path:
    """One file with the video of each clip as a stream of its own."""
    with av.open(str(target), "w") as output, ExitStack() as stack:
        sources = [stack.enter_context(av.open(str(clip))) for clip in clips]
        copies = [output.add_stream_from_template(s.streams.video[0]) for s in sources]
        for source, copy in zip(sources, copies, strict=True):
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = copy
                    output.mux(packet)
    return target


def interleaved(clip: Path, target: Path) -> Path:
    """The same streams, their packets in the order of their times."""
    with av.open(str(clip)) as source, av.open(str(target), "w") as output:
        copies = {s.index: output.add_stream_from_template(s) for s in source.streams}
        packets = [packet for packet in source.demux() if packet.size]
        for packet in sorted(packets, key=lambda p: (p.dts or 0) * p.time_base):
            packet.stream = copies[packet.stream_index]
            output.mux(packet)
    return target


def patched(ts: Path, target: Path, shift: Callable[[int], float]) -> Path:
    """The MPEG-TS with `shift(n)` seconds added to the stamps of the n-th video packet."""
    data, number = bytearray(ts.read_bytes()), 0
    for start in range(0, len(data), TS_PACKET):
        body = start + 4 + (1 + data[start + 4] if data[start + 3] & 0x20 else 0)
        starts_unit = data[start + 1] & 0x40
        if not starts_unit or data[body : body + 3] != b"\0\0\1" or data[body + 3] & 0xF0 != 0xE0:
            continue
        for has, place in ((0x80, body + 9), (0x40, body + 14)):
            if data[body + 7] & has:
                _add(data, place, round(shift(number) * TS_TICKS))
        number += 1
    target.write_bytes(data)
    return target


def scrambled_sound(ts: Path, every: int) -> None:
    """Overwrite every `every`-th packet of the sound (the second stream) with noise, in place."""
    data, noise, count = bytearray(ts.read_bytes()), random.Random(0), 0
    for start in range(0, len(data), TS_PACKET):
        pid = int.from_bytes(data[start + 1 : start + 3], "big") & 0x1FFF
        if pid == SOUND_PID and not data[start + 1] & 0x40:
            count += 1
            if count % every == 0:
                data[start + 40 : start + TS_PACKET] = noise.randbytes(TS_PACKET - 40)
    ts.write_bytes(data)


def _add(data: bytearray, place: int, ticks: int) -> None:
    b = data[place : place + 5]
    value = (b[0] >> 1 & 7) << 30 | b[1] << 22 | b[2] >> 1 << 15 | b[3] << 7 | b[4] >> 1
    value = (value + ticks) % (1 << 33)
    data[place] = b[0] & 0xF1 | (value >> 30 & 7) << 1
    data[place + 1] = value >> 22 & 255
    data[place + 2] = (value >> 15 & 127) << 1 | 1
    data[place + 3] = value >> 7 & 255
    data[place + 4] = (value & 127) << 1 | 1

"""Answers as files to keep."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import PurePath

from actionstream.app.camera_link import Minute
from actionstream.app.jobs import Job
from actionstream.app.markup import clock, html, shortened, timeline_rows
from actionstream.batch.output import SEGMENT_COLUMNS, csv_line, segment_lines
from actionstream.results import Answer, Segment

Make = Callable[[], str | bytes]

MOST_VIDEO_BYTES = 500_000_000
"""Of annotated videos in one archive: it is made in memory."""

_GREEN = "#0b7a43"
_LEFT, _RIGHT, _ROW = 190, 940, 30  # columns of the bars, and the height of a row, in an SVG
_TICKS = 4


def as_json(answer: Answer) -> str:
    """The object that `actionstream predict --json` prints, on several lines."""
    return json.dumps(answer.to_dict(), indent=2, ensure_ascii=False) + "\n"


def as_csv(source: str, segments: Sequence[Segment]) -> str:
    """What happens when: a row a segment. Label and confidence are empty for no known action."""
    return csv_line(SEGMENT_COLUMNS) + segment_lines(source, segments)


def as_svg(segments: Sequence[Segment], duration_seconds: float, top: str | None) -> str:
    """What happens when, drawn for a report or a slide; `top` is the label in green."""
    duration = duration_seconds or 1.0
    rows = timeline_rows(segments, 0.0, duration, top)
    height = _ROW * (len(rows) + 1) + 10

    def column(seconds: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * min(max(seconds / duration, 0.0), 1.0)

    parts = [f'<rect width="960" height="{height}" fill="#fff"/>']
    for tick in range(_TICKS + 1):
        seconds = duration * tick / _TICKS
        x = f"{column(seconds):.1f}"
        parts += [
            f'<line x1="{x}" x2="{x}" y1="8" y2="{height - _ROW}" stroke="#d6dae0"/>',
            f'<text x="{x}" y="{height - 10}" text-anchor="middle">{clock(seconds)}</text>',
        ]
    for number, row in enumerate(rows):
        y = 8 + _ROW * number
        colour = _GREEN if row.colour == "as-green" else row.colour.replace(" ", ",")
        name = html(shortened(row.name, 24))
        parts.append(f'<text x="{_LEFT - 12}" y="{y + 18}" text-anchor="end">{name}</text>')
        parts += [
            f'<rect x="{column(start):.1f}" y="{y + 3}" height="20" rx="3" fill="{colour}" '
            f'width="{max(column(end) - column(start), 1.0):.1f}"/>'
            for start, end in row.pieces
        ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 {height}" '
        f'font-family="sans-serif" font-size="14" fill="#16201b">{"".join(parts)}</svg>\n'
    )


def minute_segments(minute: Minute) -> list[Segment]:
    """The camera's segments, counted from its first reading that is kept."""
    zero = minute.readings[0].time_seconds if minute.readings else 0.0
    return [
        Segment(part.start_seconds - zero, part.end_seconds - zero, part.label, part.confidence)
        for part in minute.segments
    ]


def minute_json(minute: Minute, model: dict[str, str]) -> str:
    """The last minute of a camera: its segments, and each reading that was an answer."""
    zero = minute.readings[0].time_seconds if minute.readings else 0.0
    readings = [
        {
            "time_seconds": reading.time_seconds - zero,
            "shown": reading.shown,
            "shown_confidence": reading.shown_confidence,
            "known_score": reading.known_score,
            "top": [{"label": c.label, "confidence": c.confidence} for c in reading.top(3)],
        }
        for reading in minute.readings
        if reading.status == "ready"
    ]
    names = Segment.__slots__
    segments = [{name: getattr(p, name) for name in names} for p in minute_segments(minute)]
    found = {"source": "camera", "segments": segments, "readings": readings, "model": model}
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def archive(jobs: Sequence[Job]) -> bytes:
    """A ZIP of all answers: JSON and CSV of each video, and the annotated ones while they fit."""
    content, names, left = io.BytesIO(), set[str](), MOST_VIDEO_BYTES
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as kept:
        for job in jobs:
            if job.answer is None:
                continue
            stem = _free_stem(job.name, names)
            kept.writestr(f"{stem}.json", as_json(job.answer))
            kept.writestr(f"{stem}.csv", as_csv(job.answer.source, job.answer.segments))
            if job.annotated is not None and job.annotated.stat().st_size <= left:
                left -= job.annotated.stat().st_size
                kept.write(job.annotated, f"{stem}-annotated.mp4", zipfile.ZIP_STORED)
    return content.getvalue()


def _free_stem(source: str, taken: set[str]) -> str:
    stem, number = name_for(source, ""), 1
    while (found := stem if number == 1 else f"{stem}-{number}").casefold() in taken:
        number += 1
    taken.add(found.casefold())
    return found


def name_for(source: str, ending: str) -> str:
    """A file name for a download about the video `source`."""
    return f"{shortened(PurePath(source).stem) or 'video'}{ending}"

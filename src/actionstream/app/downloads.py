"""The answer as files to keep."""

from __future__ import annotations

import csv
import io
import json
from pathlib import PurePath

from actionstream.app.text import shortened
from actionstream.draw import draw_timeline
from actionstream.results import Answer
from actionstream.video.still import encode_png


def as_json(answer: Answer) -> str:
    """The object that `actionstream predict --json` prints, on several lines."""
    return json.dumps(answer.to_dict(), indent=2, ensure_ascii=False) + "\n"


def as_csv(answer: Answer) -> str:
    """What happens when: a row a segment. Label and confidence are empty for no known action."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["source", "start_seconds", "end_seconds", "label", "confidence"])
    for part in answer.segments:
        confidence = "" if part.confidence is None else repr(part.confidence)
        row = [
            repr(part.start_seconds),
            repr(part.end_seconds),
            _harmless(part.label or ""),
            confidence,
        ]
        writer.writerow([_harmless(answer.source), *row])
    return text.getvalue()


def as_picture(answer: Answer) -> bytes:
    """What happens when, drawn: a PNG for a report or a slide."""
    duration = answer.video.duration_seconds if answer.video is not None else 0.0
    return encode_png(draw_timeline(answer.segments, duration))


def _harmless(name: str) -> str:
    """A name that a spreadsheet does not take for a formula."""
    return f"'{name}" if name.startswith(tuple("=+-@\t\r")) else name


def name_for(source: str, ending: str) -> str:
    """A file name for a download about the video `source`."""
    return f"{shortened(PurePath(source).stem) or 'video'}{ending}"

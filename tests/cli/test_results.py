"""How answers look as JSON Lines, CSV and a table."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.cells import cell_len

from actionstream.cli.results import Format, choose_layout
from actionstream.errors import NoVideoStreamError
from actionstream.results import Answer, Failure, Notice, Segment, VideoFacts

LABELS = ("PushUps", "Lunges", "JumpRope")
FACTS = VideoFacts(3.2, 25.0, 320, 240, 80, 16, 0, False)
ANSWER = Answer(
    "a.avi",
    LABELS,
    np.array([0.9, 0.0625, 0.0375], np.float32),
    known=True,
    known_score=0.93,
    segments=(Segment(0.0, 3.2, "PushUps", 0.96),),
    video=FACTS,
)
UNKNOWN = replace(ANSWER, known=False, segments=(Segment(0.0, 3.2, None, None),))
FAILED = Answer("b.mp4", LABELS, error=Failure.of(NoVideoStreamError("b.mp4", "no video stream")))


def rows(kind: Format, *answers: Answer, top: int = 3, width: int | None = None) -> list[str]:
    names = [answer.source for answer in answers]
    layout = choose_layout(kind, top=top, sources=names, labels=LABELS, width=width)
    text = layout.header() + "".join(layout.row(answer) for answer in answers)
    assert text.endswith("\n")
    return text.splitlines()


def test_json_is_one_object_a_line_unrounded() -> None:
    good, failed = (json.loads(line) for line in rows("json", ANSWER, FAILED, top=2))
    assert good["confidence"] == float(np.float32(0.9))
    assert [entry["label"] for entry in good["top"]] == ["PushUps", "Lunges"]
    assert failed == {
        "source": "b.mp4",
        "status": "error",
        "error": {"kind": "no_video", "message": "b.mp4: no video stream"},
    }


def test_csv_columns() -> None:
    table = list(csv.DictReader(rows("csv", ANSWER, UNKNOWN, FAILED, top=2)))
    assert list(table[0]) == [
        *("source", "status", "label", "confidence", "known", "known_score"),
        *("top1", "top2", "top1_confidence", "top2_confidence", "error_kind", "error_message"),
    ]
    assert float(table[0]["confidence"]) == float(np.float32(0.9))
    assert [table[0][k] for k in ("status", "label", "known")] == ["ok", "PushUps", "true"]
    assert (table[0]["top2"], float(table[0]["top2_confidence"])) == ("Lunges", 0.0625)
    assert [table[1][k] for k in ("label", "known", "top1")] == ["", "false", "PushUps"]
    filled = {k: v for k, v in table[2].items() if v}
    assert filled == {
        "source": "b.mp4",
        "status": "error",
        "error_kind": "no_video",
        "error_message": "b.mp4: no video stream",
    }


def test_csv_has_as_many_columns_as_asked_for_even_without_so_many_labels() -> None:
    (row,) = csv.DictReader(rows("csv", ANSWER, top=5))
    assert (row["top3"], row["top4"], row["top5_confidence"]) == ("JumpRope", "", "")


def test_csv_quotes_awkward_names() -> None:
    name = 'a, "b"\nc.mp4'
    layout = choose_layout("csv", top=1, sources=[name], labels=LABELS)
    text = layout.header() + layout.row(replace(ANSWER, source=name))
    (row,) = csv.DictReader(text.splitlines(keepends=True))
    assert row["source"] == name


def test_table_lines_up_and_says_labels_as_people_do() -> None:
    header, good, unknown, failed = rows("table", ANSWER, UNKNOWN, FAILED)
    for word, column in (("ACTION", "Push Ups "), ("TOP 3", "Push Ups 90%"), ("WHEN", "0.0-3.2 s")):
        assert header.index(word) == good.index(column)
    assert good.split("  ")[-1].strip() == "0.0-3.2 s"
    assert "90%  Push Ups 90%, Lunges 6%, Jump Rope 4%" in good
    assert unknown.index("no known action") == header.index("ACTION")
    assert unknown.count("%") == 3  # only the candidates are sure of anything
    assert failed.rstrip() == f"{'b.mp4':<6}  error: no video stream"


def test_table_never_says_zero_of_what_is_only_small() -> None:
    small = replace(ANSWER, probabilities=np.array([0.994, 0.0059, 0.0001], np.float32))
    assert "Push Ups 99%, Lunges 1%, Jump Rope <1%" in rows("table", small)[1]


def test_table_says_what_happened_when() -> None:
    parts = tuple(Segment(i, i + 1.0, LABELS[i % 2], 0.5) for i in range(7))
    _, row = rows("table", replace(ANSWER, segments=parts))
    assert row.endswith(
        "0.0-1.0 s Push Ups; 1.0-2.0 s Lunges; 2.0-3.0 s Push Ups; 3.0-4.0 s Lunges; "
        "3 more (all with --json)"
    )


def test_table_names_several_actions_with_their_times_and_says_what_to_doubt() -> None:
    parts = (Segment(0.0, 7.0, "JumpRope", 0.9), Segment(7.0, 14.0, "Lunges", 0.8))
    doubt = (Notice("damaged", "2 damaged packets were left out"), Notice("cut_off", "cut off"))
    answer = replace(ANSWER, segments=parts, several=True, warnings=doubt)
    header, row, *notes = rows("table", answer)
    assert row.index("several actions") == header.index("ACTION")
    assert row.endswith("0.0-7.0 s Jump Rope; 7.0-14.0 s Lunges")
    assert row[header.index("SURE") : header.index("TOP")].strip() == ""
    assert [note.strip() for note in notes] == [f"note: {notice.message}" for notice in doubt]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(width: int) -> None:
    name = "Urlaub/2023/ein sehr langer Name mit Umlauten (äöü) und 漢字/clip 0001.mp4"
    parts = tuple(Segment(i, i + 1.0, LABELS[i % 2], 0.5) for i in range(4))
    failed = replace(FAILED, source=name)
    lines = rows("table", replace(ANSWER, source=name, segments=parts), failed, width=width)
    assert max(cell_len(line) for line in lines) <= width
    text = " ".join(" ".join(lines).split())
    for words in ("Push Ups 90%, Lunges 6%, Jump Rope 4%", "3.0-4.0 s Lunges", "no video stream"):
        assert words in text
    rows_of_name = [line for line in lines if "clip 0001.mp4"[-6:] in line]
    assert len(rows_of_name) == 2
    assert all(line.startswith("Url") for line in rows_of_name)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("日本語.mp4", "日本語.mp4"),
        ("\x1b[31mred\x07.mp4", "�[31mred�.mp4"),
        ("x" * 90 + "/end.mp4", "x" * 19 + "…" + "x" * 32 + "/end.mp4"),
    ],
)
def test_table_keeps_the_terminal_as_it_is(name: str, shown: str) -> None:
    header, row = rows("table", replace(ANSWER, source=name))
    assert row.startswith(f"{shown}  ")
    before = row[: row.index("Push Ups")]
    assert cell_len(before) == header.index("ACTION")

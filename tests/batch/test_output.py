"""Files of answers: cut off anywhere and gone on with, every source has exactly one row."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from actionstream.batch.output import Output, OutputPlan
from actionstream.batch.resume import Row, check_record, cut_torn_row, record_of, unanswered
from actionstream.cli.results import choose_layout
from actionstream.errors import ActionstreamError, VideoWriteError
from actionstream.results import Answer, Failure, Segment

SETTINGS = {"model": {"name": "m", "fingerprint": "0" * 12}, "top": 3, "shard": None}
# Commas, quotes, line ends, and a byte that is no text: whatever a file name can hold.
NAMES = ("a.mp4", 'say "hi", twice.mp4', "two\nlines.mp4", "caf\udce9.mp4", "a.mp4", "last.mp4")


def answer(name: str) -> Answer:
    if name.startswith("caf"):
        return Answer(name, (), error=Failure("unreadable", f"{name}: no media file"))
    parts = (Segment(0.0, 1.0, "Lunges", 0.9), Segment(1.0, 2.5, None, None))
    return Answer(name, (), segments=parts[: 1 + len(name) % 2])


def plan(folder: Path, kind: str) -> OutputPlan:
    return OutputPlan(folder / f"out.{kind}", kind, SETTINGS, folder / "seen.csv")  # type: ignore[arg-type]


class OnlyNames:
    """A layout for answers without probabilities."""

    def __init__(self, kind: str) -> None:
        self._real = choose_layout(kind, top=1, sources=[], labels=[])  # type: ignore[arg-type]
        self._kind = kind

    def header(self) -> str:
        return self._real.header()

    def row(self, given: Answer) -> str:
        if self._kind == "csv":
            from actionstream.batch.output import csv_line

            return csv_line([given.source, "error" if given.error else "ok"])
        status = "error" if given.error else "ok"
        entry: dict[str, object] = {"source": given.source, "status": status}
        if given.error is not None:
            entry["error"] = {"kind": given.error.kind, "message": given.error.message}
        return json.dumps(entry, ensure_ascii=False) + "\n"


def write(where: OutputPlan, *, resume: bool = False, stop_after: int | None = None) -> list[str]:
    """Answer for all that is left, or for some; which those were."""
    earlier = where.earlier() if resume else Counter[Row]()
    left = unanswered(NAMES, earlier, str)[:stop_after]
    kind = "csv" if where.kind == "csv" else "json"
    with Output(where, OnlyNames(kind), new=not resume) as output:
        for name in left:
            output.add(answer(name))
        if stop_after is None:
            output.finish()
    return left


@pytest.fixture(params=["json", "csv"])
def whole(request: pytest.FixtureRequest, tmp_path: Path) -> OutputPlan:
    where = plan(tmp_path, request.param)
    assert write(where) == list(NAMES)
    return where


def test_torn_at_any_byte_a_resumed_run_makes_the_same_files(whole: OutputPlan) -> None:
    """The rows' file at every length; the segments' ahead of it, as a run writes them, and torn."""
    assert whole.segments is not None
    rows, seen = whole.path.read_bytes(), whole.segments.read_bytes()
    answered_at = []
    for length in range(len(rows) + 1):
        whole.path.write_bytes(rows[:length])
        whole.segments.write_bytes(seen[: len(seen) - 3 * (length % 2)] if length else b"sour")
        if length == len(rows):
            whole.segments.write_bytes(seen)
        answered_at.append(len(NAMES) - len(write(whole, resume=True)))
        assert whole.path.read_bytes() == rows, length
        assert whole.segments.read_bytes() == seen, length
    assert sorted(set(answered_at)) == list(range(len(NAMES) + 1))


def test_missing_segments_are_an_error(whole: OutputPlan) -> None:
    assert whole.segments is not None
    whole.segments.write_bytes(whole.segments.read_bytes()[:80])
    with pytest.raises(ActionstreamError, match=r"seen\.csv: the segments of answered sources"):
        whole.earlier()


def test_another_model_or_option_is_refused(whole: OutputPlan) -> None:
    check_record(whole.path, SETTINGS)
    other = SETTINGS | {"model": {"name": "n", "fingerprint": "1" * 12}, "top": 5}
    with pytest.raises(ActionstreamError) as caught:
        check_record(whole.path, other)
    assert str(caught.value) == (
        f"--resume: {whole.path} was made with other options: model was m 000000000000 and is "
        "n 111111111111; top was 3 and is 5"
    )


def test_without_its_record_nothing_is_gone_on_with(whole: OutputPlan) -> None:
    record_of(whole.path).unlink()
    before = whole.path.read_bytes()
    with pytest.raises(ActionstreamError, match=r"no record beside it \(out\.\w+\.run\.json\)"):
        whole.earlier()
    assert whole.path.read_bytes() == before


def test_something_else_is_not_taken_for_answers(whole: OutputPlan) -> None:
    whole.path.write_text("[1, 2]\nhello\n")
    with pytest.raises(ActionstreamError, match="holds something else than the answers"):
        whole.earlier()


def test_two_runs_cannot_write_one_file(whole: OutputPlan) -> None:
    with Output(whole, OnlyNames(whole.kind), new=False):
        before = whole.path.read_bytes()
        with pytest.raises(VideoWriteError, match="another run is writing it"):
            Output(whole, OnlyNames(whole.kind), new=True)
        assert whole.path.read_bytes() == before


def test_a_table_is_not_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(ActionstreamError, match=r"a table for people; it goes on with \.jsonl"):
        plan(tmp_path, "table").earlier()


def test_a_torn_row_is_cut_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    for kind, content, kept in (
        ("json", b'{"a": "\\n"}\n{"b"', b'{"a": "\\n"}\n'),
        ("csv", b'a,"x\ny"\nb,"z\n', b'a,"x\ny"\n'),
        ("csv", b"a\n", b"a\n"),
        ("json", b"", b""),
    ):
        file.write_bytes(content)
        cut_torn_row(file, kind)  # type: ignore[arg-type]
        assert file.read_bytes() == kept


class TestParquet:
    @pytest.fixture(autouse=True)
    def _needs_pyarrow(self) -> None:
        pytest.importorskip("pyarrow", reason="needs the extra 'parquet'")

    def rows(self, path: Path) -> list[dict[str, object]]:
        import pyarrow.parquet as pq

        rows: list[dict[str, object]] = pq.read_table(path).to_pylist()
        return rows

    def test_a_table_in_the_order_of_the_sources(self, tmp_path: Path) -> None:
        where = plan(tmp_path, "parquet")
        write(where)
        rows = self.rows(where.path)
        assert [row["source"] for row in rows] == [n.replace("\udce9", "\\udce9") for n in NAMES]
        assert rows[0]["status"] == "ok"
        assert rows[3]["error"] == {
            "kind": "unreadable",
            "message": "caf\\udce9.mp4: no media file",
        }
        assert not where.rows_path.exists()

    @pytest.mark.parametrize("done", [0, 2, 6])
    def test_a_run_that_ended_early_is_gone_on_with(self, tmp_path: Path, done: int) -> None:
        where = plan(tmp_path, "parquet")
        write(where, stop_after=done)
        assert not where.path.exists()
        assert write(where, resume=True) == list(NAMES[done:])
        assert len(self.rows(where.path)) == len(NAMES)

    def test_a_finished_table_is_gone_on_with(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        where = plan(tmp_path, "parquet")
        write(where)
        before = self.rows(where.path)
        assert write(where, resume=True) == []
        assert self.rows(where.path) == before
        monkeypatch.setitem(globals(), "NAMES", (*NAMES, "new.mp4"))
        assert write(where, resume=True) == ["new.mp4"]
        assert self.rows(where.path)[:-1] == before

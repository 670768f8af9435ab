"""`actionstream predict SOURCE...`: what happens in these videos?"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionstream.cli.options import add_model_options, at_least_one, load_model, option
from actionstream.errors import ActionstreamError

if TYPE_CHECKING:
    from actionstream.batch.output import Output, OutputPlan
    from actionstream.batch.pool import Pool
    from actionstream.batch.resume import Row
    from actionstream.batch.task import Outcome, Task
    from actionstream.bundle.folder import Bundle
    from actionstream.cli.outputs import Format, Printer
    from actionstream.cli.results import Layout
    from actionstream.progress import ProgressBar

_EPILOG = """\
A folder is walked recursively, sorted by code point. A quoted pattern ('clips/**/*.mp4') is
expanded here; a file of that very name wins. "-" reads a list from stdin, a line a source.
A source that fails is reported in its place and the others go on.
exit codes: 0 all answered, 1 some source failed, 2 wrong use or no video found, 130 interrupted"""


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "predict",
        help="name the action in videos",
        description="Name the action in video files, as a table, JSON Lines or CSV on stdout.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "sources", metavar="SOURCE", nargs="+", help="file, folder, quoted pattern, or - for stdin"
    )
    kind = parser.add_mutually_exclusive_group()
    lines, table = "JSON Lines: one object a source", "CSV with a header"
    option(kind, "--json", lines, dest="format", action="store_const", const="json")
    option(kind, "--csv", table, dest="format", action="store_const", const="csv")
    top = "how many candidates to list (default: 3)"
    option(parser, "--top N", top, type=at_least_one, default=3)
    option(
        parser,
        "--annotate OUT.mp4",
        "also write the video with the action drawn on it; a name without an ending is a "
        "folder, which several videos need",
    )
    option(parser, "--skeleton", "draw the person's pose, too, with --annotate")
    option(
        parser,
        "--output FILE",
        "write the results to FILE instead of stdout, as they come; .jsonl, .csv and .parquet "
        "say the format",
    )
    option(parser, "--segments FILE.csv", "also write what was seen when, a row a segment")
    again = parser.add_mutually_exclusive_group()
    option(again, "--overwrite", "replace what these options name, if it is there")
    option(
        again,
        "--resume",
        "go on with --output where an earlier run ended: answered sources are skipped",
    )
    _add_batch_options(parser)
    add_model_options(parser)


def _add_batch_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("many videos")
    option(
        group,
        "--jobs N",
        "N processes share the work and the --threads; a video that hangs or crashes its "
        "decoder costs itself only",
        type=at_least_one,
    )
    option(
        group,
        "--timeout SECONDS",
        "with --jobs: give up a video that takes longer (default: one that makes no headway "
        "for 120 s)",
        type=at_least_one,
    )
    memory = "with --jobs: give up a video that needs more memory (default: 4096; Linux)"
    option(group, "--memory MB", memory, type=at_least_one)
    option(group, "--shard I/N", "only every N-th source, from the I-th on", type=_shard)


def _shard(text: str) -> tuple[int, int]:
    """I/N with 1 <= I <= N, for argparse."""
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise argparse.ArgumentTypeError(f"must be I/N with I from 1 to N, got {text!r}")
    return int(index), int(count)


def run(args: argparse.Namespace) -> int:
    """Answer for every source; 0 if all were answered, else 1."""
    from actionstream.batch.resume import csv_text, unanswered
    from actionstream.bundle.folder import open_bundle, resolve
    from actionstream.cli.outputs import choose_format
    from actionstream.cli.results import choose_layout, terminal_width
    from actionstream.progress import ProgressBar

    _check_options(args)
    kind = choose_format(args.format, args.output)
    tasks = _tasks(args)
    _refuse_overwriting(args, kind, tasks)
    bundle = open_bundle(resolve(args.model))
    if args.skeleton and bundle.card.pose is None:
        raise ActionstreamError(f"--skeleton: the model {bundle.card.name} reads no pose")
    plan = None if args.output is None else _plan(args, kind, bundle)
    earlier: Counter[Row] = Counter()
    if plan is not None and args.resume:
        earlier = plan.earlier()
    named = csv_text if kind == "csv" else str
    left = unanswered(tasks, earlier, lambda task: named(task.source))
    layout = choose_layout(
        "json" if kind == "parquet" else kind,
        top=args.top,
        sources=[task.source for task in left],
        labels=bundle.card.labels,
        width=terminal_width() if plan is None else None,
    )
    with ProgressBar(of="videos") as bar, _sink(args, plan, layout, bar) as sink:
        count = _Count(len(left), bar)
        with closing(_outcomes(args, left, count)) as outcomes:
            for outcome in outcomes:
                sink.add(outcome.answer)
                count.add(outcome)
        sink.finish()
    _say_what_was_written(args, count, len(tasks) - len(left))
    return 1 if count.failed or not all(row.answered for row in earlier) else 0


def _check_options(args: argparse.Namespace) -> None:
    if args.skeleton and args.annotate is None:
        raise ActionstreamError("--skeleton draws on the video of --annotate, which is not given")
    if args.resume and args.output is None:
        raise ActionstreamError("--resume goes on with --output, which is not given")
    for name in ("timeout", "memory"):
        if getattr(args, name) is not None and args.jobs is None:
            raise ActionstreamError(f"--{name} is for worker processes: add --jobs N")
    if args.segments is not None and not args.segments.lower().endswith(".csv"):
        raise ActionstreamError(f"--segments {args.segments}: segments are CSV: name it .csv")


def _tasks(args: argparse.Namespace) -> list[Task]:
    """What is to be done for the sources, or for those of the shard."""
    from actionstream.batch.task import Task
    from actionstream.cli.outputs import annotation_targets
    from actionstream.cli.sources import expand

    sources = expand(args.sources)
    targets = annotation_targets(args.annotate, sources)
    tasks = [
        Task(source.name, source.path, source.error, target, args.skeleton)
        for source, target in zip(sources, targets, strict=True)
    ]
    index, count = args.shard or (1, 1)
    return tasks[index - 1 :: count]


def _refuse_overwriting(args: argparse.Namespace, kind: Format, tasks: Sequence[Task]) -> None:
    """Before the model is loaded: nothing is replaced unasked, and Parquet can be written."""
    from actionstream.cli.outputs import refuse_overwriting

    written: list[Path] = []
    goes_on = False
    if args.output is not None:
        output = _plan(args, kind)
        written += dict.fromkeys((output.path, output.rows_path))
        goes_on = args.resume and any(path.is_file() for path in written)
    written += [] if args.segments is None else [Path(args.segments)]
    written += [task.target for task in tasks if task.target is not None]
    read = [Path(task.path) for task in tasks if task.path is not None]
    refuse_overwriting(written, read, allowed=args.overwrite or goes_on)
    if kind == "parquet":
        from actionstream.batch.parquet import check_parquet

        check_parquet()


def _plan(args: argparse.Namespace, kind: Format, bundle: Bundle | None = None) -> OutputPlan:
    from actionstream.batch.output import OutputPlan

    settings = {
        "model": None
        if bundle is None
        else {"name": bundle.card.name, "fingerprint": bundle.fingerprint},
        **{name: getattr(args, name) for name in ("engine", "top", "annotate", "skeleton")},
        "segments": args.segments,
        "format": kind,
        "shard": None if args.shard is None else "/".join(map(str, args.shard)),
    }
    segments = None if args.segments is None else Path(args.segments)
    return OutputPlan(Path(args.output), kind, settings, segments)


def _sink(
    args: argparse.Namespace, plan: OutputPlan | None, layout: Layout, bar: ProgressBar
) -> Output | Printer:
    from actionstream.batch.output import Output
    from actionstream.cli.outputs import Printer

    if plan is None:
        return Printer(layout, bar, args.segments)
    return Output(plan, layout, new=not args.resume)


def _outcomes(
    args: argparse.Namespace, tasks: Sequence[Task], count: _Count
) -> Generator[Outcome, None, None]:
    """One a task, in their order: answered and drawn."""
    if args.jobs is None:
        from actionstream.batch.task import carry_out, run_here

        model = load_model(args)
        for task in tasks:
            yield carry_out(task, partial(run_here, task, model), partial(count.report, task))
        return
    with _pool(args) as pool:
        yield from pool.outcomes(tasks, count.report)


def _pool(args: argparse.Namespace) -> Pool:
    from actionstream.batch.pool import Pool, threads_each
    from actionstream.batch.worker import ProcessLimits, Setup

    threads = threads_each(args.jobs, args.threads)
    setup = Setup(model=args.model, engine=args.engine, threads=threads, device=args.device)
    limits = ProcessLimits(total_seconds=args.timeout)
    if args.memory is not None:
        limits = replace(limits, memory_bytes=args.memory << 20)
    return Pool(args.jobs, setup, limits)


class _Count:
    """How far the run is, on the bar, and what came of it. Workers' threads report, too."""

    def __init__(self, total: int, bar: ProgressBar) -> None:
        self._total, self._bar = total, bar
        self._shares: dict[int, float] = {}  # of the videos in hand, by task
        self._shown = 0.0
        self.done = self.failed = self.drawn = 0
        self.drawing: Path | None = None

    def report(self, task: Task, share: float) -> None:
        """So much of this task is done, 0 to 1."""
        self._shares[id(task)] = share
        self._show(task.source)

    def add(self, outcome: Outcome) -> None:
        """One more is done; what has to be said of its annotated video is said."""
        self._shares.pop(id(outcome.task), None)
        self.done += 1
        self.failed += outcome.failed
        if outcome.drawn.written:
            self.drawn += 1
            self.drawing = outcome.task.target
        for note in outcome.drawn.notes:
            with self._bar.paused():
                _say(f"--annotate: {note}")
        self._show(outcome.answer.source)

    def _show(self, source: str) -> None:
        """The bar never goes back: that would begin its time left anew."""
        shares = sum(list(self._shares.values()))
        self._shown = max(self._shown, self.done + shares)
        self._bar(self._shown, self._total, source)


def _say_what_was_written(args: argparse.Namespace, count: _Count, skipped: int) -> None:
    if args.output is not None:
        before = f", {skipped} were there before" if skipped else ""
        _say(f"wrote {_number(count.done, 'result')} to {args.output}{before}")
    if count.drawn:
        where = count.drawing if count.drawn == 1 else args.annotate
        _say(f"wrote {_number(count.drawn, 'annotated video')}: {where}")


def _number(count: int, of: str) -> str:
    return f"{count} {of}{'' if count == 1 else 's'}"


def _say(message: str) -> None:
    print(f"actionstream: {message}", file=sys.stderr, flush=True)

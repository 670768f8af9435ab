"""`actionstream predict SOURCE...`: what happens in these videos?"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from actionstream.cli.options import add_model_options, at_least_one, load_model, needs_pose
from actionstream.errors import ActionstreamError, UnreadableVideoError

if TYPE_CHECKING:
    from actionstream.cli.results import Layout
    from actionstream.cli.sources import Source
    from actionstream.progress import Progress, ProgressBar
    from actionstream.recognizer import Recognizer
    from actionstream.results import Answer

log = logging.getLogger(__name__)

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
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "sources", metavar="SOURCE", nargs="+", help="file, folder, quoted pattern, or - for stdin"
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--json",
        dest="format",
        action="store_const",
        const="json",
        default="table",
        help="JSON Lines: one object a source",
    )
    kind.add_argument(
        "--csv", dest="format", action="store_const", const="csv", help="CSV with a header"
    )
    parser.add_argument(
        "--top",
        type=at_least_one,
        default=3,
        metavar="N",
        help="how many candidates to list (default: 3)",
    )
    parser.add_argument(
        "--annotate",
        metavar="OUT.mp4",
        help="also write the video with the action drawn on it; a name without an ending is a "
        "folder, which several videos need",
    )
    parser.add_argument(
        "--skeleton", action="store_true", help="draw the person's pose, too, with --annotate"
    )
    parser.add_argument(
        "--output", metavar="FILE", help="write the results to FILE instead of stdout, as they come"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace what --output and --annotate name"
    )
    add_model_options(parser)


def run(args: argparse.Namespace) -> int:
    """Answer for every source; 0 if all were answered, else 1."""
    from actionstream.cli.outputs import annotation_targets, opened, refuse_overwriting
    from actionstream.cli.results import choose_layout, terminal_width
    from actionstream.cli.sources import expand
    from actionstream.progress import ProgressBar

    sources = expand(args.sources)
    targets = annotation_targets(args.annotate, sources)
    refuse_overwriting(args.output, sources, targets, args.overwrite)
    if args.skeleton and args.annotate is None:
        raise ActionstreamError("--skeleton draws on the video of --annotate, which is not given")
    model = load_model(args)
    if args.skeleton:
        needs_pose(model)
    names = [source.name for source in sources]
    width = terminal_width() if args.output is None else None
    layout = choose_layout(
        args.format, top=args.top, sources=names, labels=model.labels, width=width
    )
    with opened(args.output) as stream, ProgressBar() as bar:
        job = _Job(model, layout, stream, bar, len(sources), skeleton=args.skeleton)
        job.print(layout.header())
        done = [
            job.answer(index, *both)
            for index, both in enumerate(zip(sources, targets, strict=True))
        ]
    _say_what_was_written(args, len(done), job.written)
    return 0 if all(done) else 1


def _say_what_was_written(args: argparse.Namespace, answers: int, videos: list[Path]) -> None:
    if args.output is not None:
        _say(f"wrote {answers} result{'' if answers == 1 else 's'} to {args.output}")
    if videos:
        count = "1 annotated video" if len(videos) == 1 else f"{len(videos)} annotated videos"
        _say(f"wrote {count}: {videos[0] if len(videos) == 1 else args.annotate}")


def _say(message: str) -> None:
    print(f"actionstream: {message}", file=sys.stderr, flush=True)


class _Job:
    """What every source goes through, one after the other."""

    def __init__(
        self,
        model: Recognizer,
        layout: Layout,
        stream: TextIO,
        bar: ProgressBar,
        count: int,
        *,
        skeleton: bool,
    ) -> None:
        self._skeleton = skeleton
        self._model, self._layout, self._stream = model, layout, stream
        self._bar, self._count = bar, count
        self.written: list[Path] = []

    def print(self, text: str) -> None:
        """Write whole lines and flush: what is finished is there even if the next one never is."""
        if text:
            with self._bar.paused():
                self._stream.write(text)
                self._stream.flush()

    def answer(self, index: int, source: Source, target: Path | None) -> bool:
        """Recognise, print, annotate; False if any of it failed."""
        share = 1.0 if target is None else 0.5
        self._bar(index, self._count, source.name)
        answer = self._recognize(source, self._report(index, share))
        self.print(self._layout.row(answer))
        if answer.error is not None or target is None:
            return answer.error is None
        return self._annotate(source, answer, target, self._report(index + 0.5, 0.5))

    def _recognize(self, source: Source, progress: Progress) -> Answer:
        from actionstream.results import Answer, Failure

        if source.error is not None or source.path is None:
            assert source.error is not None
            return Answer(source.name, self._model.labels, error=Failure.of(source.error))
        try:
            return self._model.recognize_or_error(
                source.path, source=source.name, progress=progress
            )
        except Exception as surprise:  # one absurd file must not cost the others
            log.debug("%s", source.name, exc_info=True)
            cause = f"unexpected {type(surprise).__name__}: {surprise}"
            failure = Failure.of(UnreadableVideoError(source.name, cause))
            return Answer(source.name, self._model.labels, error=failure)

    def _annotate(self, source: Source, answer: Answer, target: Path, progress: Progress) -> bool:
        from actionstream.draw.annotate import annotate

        assert source.path is not None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            said = annotate(
                source.path,
                answer,
                target,
                threads=self._model.threads,
                progress=progress,
                skeleton=self._skeleton,
            )
        except (ActionstreamError, OSError) as error:
            with self._bar.paused():
                _say(f"--annotate: {error}")
            return False
        self.written.append(target)
        for notice in said:
            with self._bar.paused():
                _say(f"--annotate: {target}: {notice.message}")
        return True

    def _report(self, start: float, part: float) -> Progress:
        """Moves the bar from `start` by up to `part` of one source."""
        from actionstream.progress import share

        def report(seconds: float, duration: float | None, name: str) -> None:
            self._bar(start + part * share(seconds, duration), self._count, name)

        return report

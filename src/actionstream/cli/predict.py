"""`actionstream predict SOURCE...`: what happens in these videos?"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from actionstream.cli.options import add_model_options, at_least_one, load_model
from actionstream.errors import ActionstreamError, VideoWriteError

if TYPE_CHECKING:
    from actionstream.cli.results import Layout
    from actionstream.cli.sources import Source
    from actionstream.progress import Progress, ProgressBar
    from actionstream.recognizer import Recognizer
    from actionstream.results import Answer

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
        help="also write the video with the action drawn on it; a name without .mp4 is a folder, "
        "which several videos need",
    )
    parser.add_argument(
        "--output", metavar="FILE", help="write the results to FILE instead of stdout, as they come"
    )
    add_model_options(parser)


def run(args: argparse.Namespace) -> int:
    """Answer for every source; 0 if all were answered, else 1."""
    from actionstream.cli.results import choose_layout
    from actionstream.cli.sources import expand
    from actionstream.progress import ProgressBar

    sources = expand(args.sources)
    targets = _annotation_targets(args.annotate, sources)
    _refuse_overwriting(args.output, sources, targets)
    model = load_model(args)
    names = [source.name for source in sources]
    layout = choose_layout(args.format, top=args.top, sources=names, labels=model.labels)
    with _opened(args.output) as stream, ProgressBar() as bar:
        job = _Job(model, layout, stream, bar, len(sources))
        job.print(layout.header())
        done = [
            job.answer(index, *both)
            for index, both in enumerate(zip(sources, targets, strict=True))
        ]
    return 0 if all(done) else 1


class _Job:
    """What every source goes through, one after the other."""

    def __init__(
        self, model: Recognizer, layout: Layout, stream: TextIO, bar: ProgressBar, count: int
    ) -> None:
        self._model, self._layout, self._stream = model, layout, stream
        self._bar, self._count = bar, count

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
        return self._model.recognize_or_error(source.path, source=source.name, progress=progress)

    def _annotate(self, source: Source, answer: Answer, target: Path, progress: Progress) -> bool:
        from actionstream.draw.annotate import annotate

        assert source.path is not None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            annotate(source.path, answer, target, threads=self._model.threads, progress=progress)
        except (ActionstreamError, OSError) as error:
            with self._bar.paused():
                print(f"actionstream: --annotate: {error}", file=sys.stderr, flush=True)
            return False
        return True

    def _report(self, start: float, part: float) -> Progress:
        """Moves the bar from `start` by up to `part` of one source."""
        from actionstream.progress import share

        def report(seconds: float, duration: float | None, name: str) -> None:
            self._bar(start + part * share(seconds, duration), self._count, name)

        return report


@contextlib.contextmanager
def _opened(output: str | None) -> Iterator[TextIO]:
    """Where results go: stdout, or the file. UTF-8, so that JSON is JSON in every locale.

    A file name that is no text becomes \\udcXX escapes, which JSON reads back as the same name.
    """
    if output is None:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
        yield sys.stdout
        return
    try:
        stream = open(  # noqa: SIM115, PTH123  closed below; the path is the user's words
            output, "w", encoding="utf-8", errors="backslashreplace", newline="\n"
        )
    except OSError as error:
        raise VideoWriteError(f"--output: {output}: {error.strerror or error}") from None
    with stream:
        yield stream


def _annotation_targets(out: str | None, sources: list[Source]) -> list[Path | None]:
    """The file that each source's annotated video goes to.

    OUT is a file if it ends in .mp4 and is no folder; that needs a single source. Else it is a
    folder that mirrors the sources' folders; names that would meet get -2, -3 ...
    """
    if out is None:
        return [None] * len(sources)
    if out.lower().endswith(".mp4") and not Path(out).is_dir():
        if len(sources) > 1:
            raise ActionstreamError(
                f"--annotate {out}: {len(sources)} videos need a folder, "
                "name one without .mp4 at its end"
            )
        return [Path(out)]
    taken: set[Path] = set()
    targets: list[Path | None] = []
    for source in sources:
        first = Path(out, source.inside).with_suffix(".mp4")
        target, number = first, 1
        while target in taken:
            number += 1
            target = first.with_name(f"{first.stem}-{number}.mp4")
        taken.add(target)
        targets.append(target)
    return targets


def _refuse_overwriting(
    output: str | None, sources: list[Source], targets: list[Path | None]
) -> None:
    """Nothing that is written may replace a video that is read."""
    written = [*([] if output is None else [Path(output)]), *filter(None, targets)]
    places = [path.resolve() for path in written]
    read = {Path(source.path).resolve() for source in sources if source.path is not None}
    for path, place in zip(written, places, strict=True):
        if place in read:
            raise ActionstreamError(f"{path} is one of the sources and would be overwritten")
    if output is not None and places[0] in places[1:]:
        raise ActionstreamError(f"--output and --annotate both name {output}")

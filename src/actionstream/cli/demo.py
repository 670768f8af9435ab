"""`actionstream demo`: is this installation well, and how fast is this machine?"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from actionstream.cli.options import add_model_options, load_model

if TYPE_CHECKING:
    from actionstream.evaluation.demo import DemoReport


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "demo",
        help="a self-check without file or camera",
        description="Make a short moving clip, run the whole path on it, as a file and live, and "
        "say in words whether all is well. Exit code 1 if not.",
    )
    add_model_options(parser)


def run(args: argparse.Namespace) -> int:
    """Run the self-check; 0 if all is well, else 1."""
    from actionstream.evaluation.demo import run_demo
    from actionstream.progress import ProgressBar

    model = load_model(args)
    with ProgressBar() as bar:
        report = run_demo(model, progress=bar)
    _print(report)
    return 0 if report.ok else 1


def _print(report: DemoReport) -> None:
    from actionstream.draw import display_name, percent

    speed, answer = report.speed, report.answer
    versions = ", ".join(f"{name} {number}" for name, number in report.versions.items())
    top = ", ".join(f"{display_name(c.label)} {percent(c.confidence)}" for c in answer.top(3))
    facts = {
        "machine": report.machine,
        "versions": versions,
        "engine": report.engine,
        "model": report.model,
        "speed": f"{speed.frames_per_second:.0f} frames a second live, 320x240",
        "latency": f"median {1000 * speed.median_seconds:.1f} ms, "
        f"p95 {1000 * speed.p95_seconds:.1f} ms over {speed.looks} looks",
        "answer": f"{display_name(answer.label)} (a drawn figure; top 3: {top})",
    }
    for name, value in facts.items():
        print(f"{name:<9} {value}")
    for check in report.checks:
        print(f"{'ok' if check.holds else 'NOT WELL':<9} {check.words}")
    print("All is well." if report.ok else "Not all is well: see the lines that say NOT WELL.")

"""What happens in a video: python examples/a_file.py CLIP [ANNOTATED.mp4]"""

import sys

import actionstream


def main(clip: str, annotated: str | None = None) -> None:
    """Print the answer and its parts; draw it on the video if a name for that is given."""
    model = actionstream.load()
    answer = model.recognize(clip)
    print(f"{answer.label or 'no known action'}, {answer.confidence:.0%} sure")
    for segment in answer.segments:
        print(f"  {segment.start_seconds:5.1f} to {segment.end_seconds:5.1f} s: {segment.label}")
    for warning in answer.warnings:
        print(f"  note: {warning.message}")
    if annotated is not None:
        answer.annotate(clip, annotated)


if __name__ == "__main__":
    main(*sys.argv[1:3])

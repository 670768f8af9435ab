"""A folder of videos, counted by action: python examples/many_files.py FOLDER"""

import sys
from collections import Counter
from pathlib import Path

import actionstream


def main(folder: str) -> None:
    """Print how many videos show each action, and which could not be read."""
    videos = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    model = actionstream.load()
    counts: Counter[str] = Counter()
    for answer in model.recognize_many(videos, progress=True):
        if answer.error is not None:
            print(f"{answer.error.message} ({answer.error.kind})", file=sys.stderr)
            continue
        counts[answer.label or "no known action"] += 1
    for label, count in counts.most_common():
        print(f"{count:5d}  {label}")


if __name__ == "__main__":
    main(sys.argv[1])

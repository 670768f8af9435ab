"""A model of your own: python examples/own_classes.py CLIPS OUT [options of `actionstream train`]

CLIPS holds one folder a class, with clips of at least three sources in each. Needs the extra
`train`: pip install 'actionstream[train]'.
"""

import sys
from pathlib import Path

import actionstream
from actionstream.cli import main as actionstream_command


def main(clips: str, out: str, *options: str) -> None:
    """Train, and ask the new model about a clip of each class."""
    words = ["train", "--data", clips, "--layout", "folder", "--recipe", "lite0", "--out", out]
    if actionstream_command([*words, *options]) != 0:
        sys.exit("training did not end well")
    model = actionstream.load(Path(out) / "bundle")
    print(f"knows {', '.join(model.labels)}")
    for label in model.labels:
        clip = min(Path(clips, label).iterdir())
        answer = model.recognize(clip)
        print(f"{clip.name} ({label}): {answer.label or 'no known action'}")


if __name__ == "__main__":
    main(*sys.argv[1:])

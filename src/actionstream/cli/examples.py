"""What people type: the examples at the end of each verb's --help. A test parses every line."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "predict": (
        "actionstream predict clip.mp4",
        "actionstream predict holiday/ 'gym/**/*.mov' --csv --output answers.csv",
        "actionstream predict clip.mp4 --annotate clip-annotated.mp4",
        "ls *.avi | actionstream predict - --json",
        "actionstream predict archive/ --jobs 4 --output answers.parquet --resume",
    ),
    "webcam": (
        "actionstream webcam",
        "actionstream webcam 1 --size 640x480 --rate 30",
        "actionstream webcam rtsp://camera.local/stream --text --events seen.jsonl",
    ),
    "app": (
        "actionstream app",
        "actionstream app --https",
        "actionstream app --models bundles/ --max-upload 500",
    ),
    "demo": ("actionstream demo", "actionstream demo --model lite0"),
    "verify": ("actionstream verify clip.mp4",),
    "teach": (
        "actionstream teach clips/ --to my-actions",
        "actionstream teach clips/ --to small --from lite0 --only",
        "actionstream teach --from my-actions --forget wave --to fewer",
    ),
    "train": (
        "actionstream train --data clips/ --layout folder --out runs/mine",
        "actionstream train --data UCF-101/ --lists ucfTrainTestlist/ --recipe lite0",
        "actionstream train --data clips/ --layout folder --out runs/mine --resume",
    ),
    "evaluate": (
        "actionstream evaluate lite2 --data UCF-101/ --lists ucfTrainTestlist/",
        "actionstream evaluate runs/mine/bundle --data clips/ --layout folder --report report/",
    ),
    "export": ("actionstream export runs/mine/final.ckpt --to bundle/",),
    "data": (
        "actionstream data check clips/ --layout folder",
        "actionstream data check UCF-101/ --lists ucfTrainTestlist/ --json",
    ),
    "models": ("actionstream models", "actionstream models lite2"),
}


def epilog(verb: str) -> str:
    """The examples of a verb, as --help prints them."""
    return "\n".join(["examples:", *(f"  {line}" for line in EXAMPLES[verb])])

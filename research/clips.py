"""Every clip: set, id, label, group, path.

DATA holds ucf101/LABEL/*.mp4 and ucf101_few/LABEL/*.mp4 in UCF101's names (groups 8 to 25 train),
and wild_train, wild, other/train and other/test with a labels.csv of file, label, source, note.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Clip:
    """One clip. `label` is None for clips of no known action."""

    set: str
    id: str
    label: str | None
    group: str
    path: Path
    note: str = ""


LISTED = (
    ("wild_train", "wild_train"),
    ("wild", "wild"),
    ("other/train", "other_train"),
    ("other/test", "other_test"),
)


def load(data: Path) -> list[Clip]:
    """All clips at hand."""
    found = []
    for root, base in (("ucf101", "ucf"), ("ucf101_few", "few")):
        for path in sorted((data / root).glob("*/*.mp4")):
            match = re.search(r"_(g(\d\d))_c\d+", path.stem)
            if match is None:
                raise ValueError(f"{path}: not named as UCF101's clips are")
            side = "train" if int(match[2]) >= 8 else "test"
            label = path.parent.name
            name = f"{root}/{label}/{path.stem}"
            found.append(Clip(f"{base}_{side}", name, label, f"{label}/{match[1]}", path))
    for folder, name in LISTED:
        with (data / folder / "labels.csv").open(encoding="utf-8", newline="") as rows:
            for row in csv.DictReader(rows):
                path = data / folder / row["file"]
                if path.is_file():
                    label, source = row["label"] or None, f"src/{row['source']}"
                    one = Clip(name, f"{folder}/{path.stem}", label, source, path, row["note"])
                    found.append(one)
    return found


def labels(data: Path, folder: str) -> list[str]:
    """The labels of ucf101 or ucf101_few."""
    return sorted(path.name for path in (data / folder).iterdir() if path.is_dir())


def rank(clips: list[Clip]) -> dict[str, int]:
    """The number of a clip within its group, so that every group can come first once."""
    seen: dict[str, int] = {}
    ranks = {}
    for clip in clips:
        ranks[clip.id] = seen[clip.group] = seen.get(clip.group, -1) + 1
    return ranks

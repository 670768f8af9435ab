"""Trees of tiny files: laid out like the data sets, each with bytes of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from actionstream.datasets import Clip


def real_stems(folder: Path, *, first_group: int, last_group: int) -> set[str]:
    """Stems of the UCF101 clips in a folder of class folders whose group is in this range."""
    clips = folder.glob("*/v_*_g*_c*.mp4")
    return {p.stem for p in clips if first_group <= int(p.stem[-6:-4]) <= last_group}


def plant(root: Path, names: Iterable[str]) -> Path:
    """Write a file for each name below `root`, its content the name; return `root`."""
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def write_clips(folder: Path, rows: Sequence[tuple[str, str, str]]) -> list[Clip]:
    """Files on disk for rows of (stem, group, content), as clips of the class Run."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = []
    for stem, group, content in rows:
        path = folder / f"{stem}.mp4"
        path.write_text(content)
        clips.append(Clip(path, "Run", group, stem))
    return clips

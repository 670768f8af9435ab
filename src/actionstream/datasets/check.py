"""The check behind `actionstream data check`: what a data set holds and what is wrong with it."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from actionstream.datasets import Layout, load_dataset
from actionstream.datasets.clips import Split
from actionstream.datasets.files import subfolders, videos_below, videos_in
from actionstream.datasets.formats.kaggle import FOLDERS, read_published
from actionstream.datasets.formats.ucf101 import UCF101_LABELS, find_clips_folder
from actionstream.datasets.leak import content_hashes, find_duplicates, find_leaks
from actionstream.datasets.report import CheckReport, Unreadable
from actionstream.errors import VideoError
from actionstream.progress import Progress
from actionstream.video import probe

OPENING_THREADS = 2


def check_dataset(
    root: str | Path,
    layout: Layout,
    *,
    split: Literal[1, 2, 3] = 1,
    lists: str | Path | None = None,
    seed: int = 0,
    open_clips: bool = True,
    progress: Progress | None = None,
) -> CheckReport:
    """Load a data set as training would and look at everything that could be wrong with it.

    Every clip of the split is really opened and its first frame decoded (unless `open_clips` is
    False); `progress` is called after each, in this thread. Leaks are reported, not
    raised.

    Raises:
        DatasetError: the data set cannot be loaded at all; see `load_dataset`.
    """
    root = Path(root)
    loaded = load_dataset(root, layout, split=split, lists=lists, seed=seed)
    clips_folder = find_clips_folder(root) if layout == "ucf101" else root
    hashes = content_hashes(clip.path for clip in loaded.clips)
    return CheckReport(
        root=root,
        layout=layout,
        split=loaded,
        counts=_counts(loaded),
        unused=_unused(clips_folder, layout, loaded),
        unreadable=_unreadable(loaded, progress) if open_clips else (),
        opened=len(loaded.clips) if open_clips else 0,
        duplicates=find_duplicates(loaded.sides, hashes, allow_known=False),
        leaks=find_leaks(loaded.sides, hashes),
        folders=_suspicious_folders(clips_folder, layout, loaded),
    )


def _counts(split: Split) -> dict[str, dict[str, int]]:
    """How many clips each label has on each side."""
    of_side = {side: Counter(clip.label for clip in clips) for side, clips in split.sides.items()}
    return {label: {side: of_side[side][label] for side in of_side} for label in split.labels}


def _unused(root: Path, layout: Layout, split: Split) -> tuple[Path, ...]:
    """The videos below `root` that stand on no side, further copies of a clip left out."""
    used = {clip.path for clip in split.clips}
    copies: set[Path] = set()
    if layout == "kaggle":
        copies = {path for paths in read_published(root).duplicates.values() for path in paths}
    folder = root if root.is_dir() else root.parent
    return tuple(path for path in videos_below(folder) if path not in used | copies)


def _unreadable(split: Split, progress: Progress | None) -> tuple[Unreadable, ...]:
    clips = split.clips
    found = []
    with ThreadPoolExecutor(OPENING_THREADS) as pool:
        causes = pool.map(_cause, (clip.path for clip in clips))
        for done, (clip, cause) in enumerate(zip(clips, causes, strict=True), start=1):
            if cause:
                found.append(Unreadable(clip.path, cause))
            if progress is not None:
                progress(done, len(clips), clip.path.name)
    return tuple(found)


def _cause(path: Path) -> str:
    """Why a clip cannot be read; "" if it can."""
    try:
        probe(path)
    except VideoError as error:
        return error.cause
    return ""


def _suspicious_folders(root: Path, layout: Layout, split: Split) -> tuple[str, ...]:
    if layout == "csv":
        return ()
    if layout == "folder":
        return _alike(split.labels)
    bases = [root / name for name in FOLDERS] if layout == "kaggle" else [root]
    folders = [folder for base in bases if base.is_dir() for folder in subfolders(base)]
    known = UCF101_LABELS if layout != "hmdb51" else split.labels + split.absent_labels
    names = sorted({folder.name for folder in folders if videos_in(folder)})
    return (*filter(None, (_spelling(name, known) for name in names)), *_misplaced(split, known))


def _spelling(name: str, known: Sequence[str]) -> str:
    """What is odd about the name of a class folder; "" if nothing."""
    if name in known:
        return ""
    by_fold = {label.casefold(): label for label in known}
    if name.casefold() in by_fold:
        return f"{name}: the class list spells it {by_fold[name.casefold()]}"
    close = difflib.get_close_matches(name.casefold(), by_fold, n=1, cutoff=0.8)
    return f"{name}: not a class" + (f"; {by_fold[close[0]]}?" if close else "")


def _misplaced(split: Split, known: Iterable[str]) -> Iterable[str]:
    """Clips in the folder of another class than their name says: the lists go by the name."""
    classes = {label.casefold() for label in known}
    for clip in split.clips:
        folder = clip.path.parent.name
        if folder.casefold() in classes and folder.casefold() != (clip.label or "").casefold():
            yield f"{clip.path}: by its name it is {clip.label}, its folder is {folder}"


def _alike(labels: Sequence[str]) -> tuple[str, ...]:
    """Classes of one's own whose names differ by case, blanks, "_" and "-" only."""
    same: dict[str, list[str]] = {}
    for label in labels:
        same.setdefault("".join(c for c in label.casefold() if c.isalnum()), []).append(label)
    return tuple(f"{' and '.join(names)}: one class?" for names in same.values() if len(names) > 1)

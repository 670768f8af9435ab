"""The check behind `actionstream data check`: what a data set holds and what is wrong with it."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from actionstream.datasets import Layout, load_dataset
from actionstream.datasets.files import subfolders, unread_videos, videos_below, videos_in
from actionstream.datasets.folds import training_problems
from actionstream.datasets.formats.kaggle import FOLDERS, read_published
from actionstream.datasets.formats.ucf101 import UCF101_LABELS, find_clips_folder
from actionstream.datasets.leak import Duplicate, content_hashes, find_duplicates, find_leaks
from actionstream.datasets.split import SUBSETS, Split, fingerprint
from actionstream.errors import VideoError
from actionstream.progress import Progress
from actionstream.video import probe

OPENING_THREADS = 2
NAMED = 10  # so many of a kind stand in the text; the count is always there


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A clip of which no frame can be decoded."""

    path: Path
    cause: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `check_dataset` found.

    `counts`: clips by label and subset. `unused`: videos in no subset of the split. `unread`:
    videos with an ending that is not read. `opened`: how many clips, of which `unreadable`
    could not be decoded. `duplicates`: same bytes in one subset. `leaks`: sentences, one origin in
    two subsets. `folders`: sentences on folder names. `refused`: why `train` will refuse the data.
    `unmeasured`: labels that `evaluate` finds no test clip of.
    """

    root: Path
    layout: str
    split: Split
    counts: Mapping[str, Mapping[str, int]]
    unused: tuple[Path, ...]
    unread: tuple[Path, ...]
    unreadable: tuple[Unreadable, ...]
    opened: int
    duplicates: tuple[Duplicate, ...]
    leaks: tuple[str, ...]
    folders: tuple[str, ...]
    refused: tuple[str, ...]
    unmeasured: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether training may start and finds all videos, none leaking, every opened one readable.

        Missing, unused and duplicate clips and odd folder names are for people to judge.
        """
        return not (self.refused or self.leaks or self.unreadable or self.unread)

    def to_text(self) -> str:
        """The report as lines of plain text, bounded lists."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.split.name} in {self.root} ({self.layout})"
        yield from self._table()
        yield f"train list fingerprint: {fingerprint(self.split.train)}"
        yield from self.split.notes
        yield from _section("classes without a clip", self.split.absent_labels)
        for subset, stems in self.split.missing.items():
            yield from _section(f"listed for {subset} but not there", stems)
        yield from _section("in no subset of the split", map(str, self.unused))
        yield from _section("same content in one subset", map(_duplicate, self.duplicates))
        yield from _section("class folders to look at", self.folders)
        yield f"opened: {self.opened} of {len(self.split.clips)} clips"
        yield from _section("UNREADABLE", (f"{u.path}: {u.cause}" for u in self.unreadable))
        yield from _section("VIDEOS OF A KIND THAT IS NOT READ", map(str, self.unread))
        yield from _section("LEAKS", self.leaks)
        yield from _section("`train` REFUSES THIS", self.refused)
        yield from _section("`evaluate` measures nothing of", self.unmeasured)
        yield "all is well" if self.ok else "not fit for training as it is"

    def _table(self) -> Iterator[str]:
        parts = [
            part for part in SUBSETS if self.split.listed.get(part) or self.split.subsets[part]
        ]
        width = max(map(len, [*self.counts, "found / listed"]))
        yield f"{'':{width}}" + "".join(f"{part:>14}" for part in parts)
        for label, counts in self.counts.items():
            yield f"{label:{width}}" + "".join(f"{counts[part]:>14}" for part in parts)
        totals = (
            f"{len(self.split.subsets[part])} / {self.split.listed.get(part, 0)}" for part in parts
        )
        yield f"{'found / listed':{width}}" + "".join(f"{total:>14}" for total in totals)


def _section(title: str, items: Iterable[str]) -> Iterator[str]:
    found = list(items)
    if not found:
        return
    yield f"{title}: {len(found)}"
    yield from (f"  {item}" for item in found[:NAMED])
    if len(found) > NAMED:
        yield f"  ... and {len(found) - NAMED} more"


def _duplicate(duplicate: Duplicate) -> str:
    return f"{duplicate.subset}: {', '.join(duplicate.stems)}"


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
    False); `progress` is called after each, in this thread. Leaks, and what training would refuse,
    are reported, not raised.

    Raises:
        DatasetError: the data set cannot be loaded at all; see `load_dataset`.
    """
    root = Path(root)
    loaded = load_dataset(root, layout, split=split, lists=lists, seed=seed)
    clips_folder = find_clips_folder(root) if layout == "ucf101" else root
    folder = clips_folder if clips_folder.is_dir() else clips_folder.parent
    hashes = content_hashes(clip.path for clip in loaded.clips)
    counts = _counts(loaded)
    return CheckReport(
        root=root,
        layout=layout,
        split=loaded,
        counts=counts,
        unused=_unused(folder, layout, loaded),
        unread=tuple(unread_videos(folder)),
        unreadable=_unreadable(loaded, progress) if open_clips else (),
        opened=len(loaded.clips) if open_clips else 0,
        duplicates=find_duplicates(loaded.subsets, hashes, allow_known=False),
        leaks=find_leaks(loaded.subsets, hashes),
        folders=_suspicious_folders(folder, layout, loaded),
        refused=tuple(training_problems(loaded.train, loaded.labels)),
        unmeasured=tuple(label for label in loaded.labels if not counts[label]["test"]),
    )


def _counts(split: Split) -> dict[str, dict[str, int]]:
    """How many clips each label has in each subset."""
    found = {part: Counter(clip.label for clip in clips) for part, clips in split.subsets.items()}
    return {label: {part: found[part][label] for part in found} for label in split.labels}


def _unused(folder: Path, layout: Layout, split: Split) -> tuple[Path, ...]:
    """The videos below `folder` that are in no subset, further copies of a clip left out."""
    used = {clip.path for clip in split.clips}
    if layout == "kaggle":
        used |= {p for paths in read_published(folder).duplicates.values() for p in paths}
    return tuple(path for path in videos_below(folder) if path not in used)


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
        return (*_alike(split.labels), *_empty(root))
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


def _empty(root: Path) -> Iterator[str]:
    """Class folders without a clip: no class comes of them."""
    for folder in subfolders(root):
        if not videos_below(folder):
            yield f"{folder.name}: holds no video"

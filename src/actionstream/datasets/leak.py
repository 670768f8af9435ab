"""The guard: no clip of one origin in two subsets of a split."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from actionstream.datasets.split import Clip, Split
from actionstream.errors import DatasetError, LeakError

_logger = logging.getLogger(__name__)

# What UCF101 is known to hold twice (seen as equal pictures after transcoding). The first pair is
# of two groups that official split 3 has in two subsets: it trains on g23 and tests on g19.
KNOWN_ACROSS = frozenset({"v_walkingwithdog_g19_c05", "v_walkingwithdog_g23_c03"})
KNOWN_DUPLICATES: frozenset[frozenset[str]] = frozenset(
    {
        KNOWN_ACROSS,
        frozenset({"v_basketballdunk_g08_c03", "v_basketballdunk_g08_c04"}),
        frozenset({"v_playingviolin_g02_c02", "v_playingviolin_g02_c03"}),
        frozenset({"v_trampolinejumping_g08_c01", "v_trampolinejumping_g12_c05"}),
        frozenset({"v_walkingwithdog_g16_c02", "v_walkingwithdog_g18_c04"}),
    }
)
NAMED = 5  # so many offenders of a kind stand in a message; the count is always there
HASH_THREADS = 4

_hashes: dict[tuple[Path, int, int], str] = {}
_hashes_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Clips of one subset with the same bytes."""

    subset: str
    stems: tuple[str, ...]


def check_leaks(
    subsets: Mapping[str, Sequence[Clip]], *, allow_known: bool = True
) -> tuple[Duplicate, ...]:
    """Compare groups, stems and contents (SHA-256 of the bytes) of every pair of subsets.

    Returns the clips with the same bytes inside one subset: wasteful, but no leak. With
    `allow_known` the pairs that UCF101 is known for are left out of them, and the one that
    official split 3 has in two subsets is not refused. Contents are read only of
    files with the size of another one; empty files are never the same.

    Raises:
        LeakError: naming subsets and offenders, at most five of each kind, and their count.
        DatasetError: a file cannot be read.
    """
    hashes = content_hashes(clip.path for clips in subsets.values() for clip in clips)
    problems = find_leaks(subsets, hashes, allow_known=allow_known)
    if problems:
        raise LeakError("clips of one origin in two subsets: " + "; ".join(problems))
    duplicates = find_duplicates(subsets, hashes, allow_known=allow_known)
    for duplicate in duplicates:
        _logger.warning("%s: same content in %s", duplicate.subset, ", ".join(duplicate.stems))
    return duplicates


def find_leaks(
    subsets: Mapping[str, Sequence[Clip]], hashes: Mapping[Path, str], *, allow_known: bool = True
) -> tuple[str, ...]:
    """One sentence for each pair of subsets and kind of leak; none if all is well."""
    forgiven = _known_hashes(subsets, hashes) if allow_known else frozenset()

    def content(clip: Clip) -> str | None:
        digest = hashes.get(clip.path)
        return None if digest in forgiven else digest

    kinds: dict[str, Callable[[Clip], str | None]] = {
        "groups": lambda clip: clip.group,
        "clip names": lambda clip: clip.stem.casefold(),
        "contents": content,
    }
    problems = []
    for one, other in combinations(subsets, 2):
        for kind, key in kinds.items():
            shared = _shared(subsets[one], subsets[other], key)
            if shared:
                problems.append(f"{one} and {other} share {len(shared)} {kind} ({_named(shared)})")
    return tuple(problems)


def find_duplicates(
    subsets: Mapping[str, Sequence[Clip]], hashes: Mapping[Path, str], *, allow_known: bool = True
) -> tuple[Duplicate, ...]:
    """Clips with the same bytes inside one subset."""
    found = [
        Duplicate(subset, tuple(sorted(clip.stem for clip in same)))
        for subset, clips in subsets.items()
        for same in _same_content(clips, hashes).values()
        if len(same) > 1
    ]
    return tuple(d for d in found if not (allow_known and _is_known(d.stems)))


def join_groups(clips: Sequence[Clip]) -> tuple[Clip, ...]:
    """The clips, with one group name for all groups that share a clip of the same bytes.

    Two groups of UCF101 are sometimes one video after all; folds made by the names alone would
    then leak. The name of the joined group is the first in order.

    Raises:
        DatasetError: a file cannot be read.
    """
    name = {clip.group: clip.group for clip in clips}
    for same in _same_content(clips, content_hashes(clip.path for clip in clips)).values():
        joined = {name[clip.group] for clip in same}
        if len(joined) > 1:
            first = min(joined)
            name = {group: first if to in joined else to for group, to in name.items()}
    return tuple(
        clip if name[clip.group] == clip.group else replace(clip, group=name[clip.group])
        for clip in clips
    )


def join_groups_of(split: Split) -> Split:
    """`join_groups` inside each subset, so that its folds do not leak."""
    return replace(
        split,
        train=join_groups(split.train),
        validation=join_groups(split.validation),
        test=join_groups(split.test),
    )


def content_hashes(paths: Iterable[Path]) -> dict[Path, str]:
    """SHA-256 of the files that have the size of another one; the others cannot be the same.

    Read by a few threads; remembered in memory by path, size and time of change.

    Raises:
        DatasetError: a file cannot be read.
    """
    keys: dict[Path, tuple[Path, int, int]] = {}
    of_size: dict[int, list[Path]] = {}
    for path in dict.fromkeys(paths):
        keys[path] = _key(path)
        of_size.setdefault(keys[path][1], []).append(path)
    wanted = [p for size, same in of_size.items() if size and len(same) > 1 for p in same]
    with ThreadPoolExecutor(HASH_THREADS) as pool:
        hashes = list(pool.map(lambda path: _hash(keys[path]), wanted))
    return dict(zip(wanted, hashes, strict=True))


def _key(path: Path) -> tuple[Path, int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    return path, status.st_size, status.st_mtime_ns


def _hash(key: tuple[Path, int, int]) -> str:
    with _hashes_lock:
        if key in _hashes:
            return _hashes[key]
    try:
        with key[0].open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"{key[0]}: cannot be read ({error.strerror})") from error
    with _hashes_lock:
        _hashes[key] = digest
    return digest


def _shared(
    one: Sequence[Clip], other: Sequence[Clip], key: Callable[[Clip], str | None]
) -> list[str]:
    """For every key that both have, how a message names it."""
    left = {key(clip): clip for clip in reversed(one)}
    right = {key(clip): clip for clip in reversed(other)}
    both = sorted(k for k in left.keys() & right.keys() if k is not None)
    return [_offender(left[k], right[k]) for k in both]


def _offender(one: Clip, other: Clip) -> str:
    return one.stem if one.stem == other.stem else f"{one.stem} and {other.stem}"


def _named(offenders: Sequence[str]) -> str:
    rest = len(offenders) - NAMED
    return ", ".join(offenders[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _same_content(clips: Iterable[Clip], hashes: Mapping[Path, str]) -> dict[str, list[Clip]]:
    same: dict[str, list[Clip]] = {}
    for clip in clips:
        if clip.path in hashes:
            same.setdefault(hashes[clip.path], []).append(clip)
    return same


def _known_hashes(
    subsets: Mapping[str, Sequence[Clip]], hashes: Mapping[Path, str]
) -> frozenset[str]:
    """The content of the pair that an official split has in two subsets."""
    clips = (clip for subset in subsets.values() for clip in subset)
    return frozenset(
        digest
        for digest, same in _same_content(clips, hashes).items()
        if frozenset(clip.stem.casefold() for clip in same) == KNOWN_ACROSS
    )


def _is_known(stems: Iterable[str]) -> bool:
    return frozenset(stem.casefold() for stem in stems) in KNOWN_DUPLICATES

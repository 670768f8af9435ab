from __future__ import annotations

import os
from pathlib import Path

import pytest

from actionstream.video import VIDEO_EXTENSIONS, find_videos


def _touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_sorted_by_code_point_of_the_relative_path(tmp_path: Path) -> None:
    names = ["B.mp4", "a.mp4", "a/z.avi", "a-b/x.mkv", "a b.mov", "Z/1.webm", "ä.gif", "a/b/c.ts"]
    _touch(tmp_path, *names)
    found = [path.relative_to(tmp_path).as_posix() for path in find_videos(tmp_path)]
    assert found == sorted(names)
    # "-" and "." come before "/" in that order: a path is compared as text, not part by part.
    assert found.index("a-b/x.mkv") < found.index("a.mp4") < found.index("a/z.avi")


def test_only_video_extensions_in_any_case(tmp_path: Path) -> None:
    _touch(tmp_path, "a.MP4", "b.Avi", "c.txt", "d.mp3", "e", "f.mp4.part", "mp4")
    assert [path.name for path in find_videos(tmp_path)] == ["a.MP4", "b.Avi"]


def test_hidden_files_and_folders_are_skipped(tmp_path: Path) -> None:
    _touch(tmp_path, ".a.mp4", ".cache/b.mp4", "c/.d/e.mp4", "c/f.mp4")
    assert find_videos(tmp_path) == [tmp_path / "c/f.mp4"]


def test_links_to_files_are_followed_and_circles_are_not(tmp_path: Path) -> None:
    _touch(tmp_path, "walked/a.mp4", "outside/b.mp4")
    walked = tmp_path / "walked"
    (walked / "link.mp4").symlink_to(tmp_path / "outside/b.mp4")
    (walked / "circle").symlink_to(walked)
    (walked / "dead.mp4").symlink_to(tmp_path / "nowhere.mp4")
    assert [path.name for path in find_videos(walked)] == ["a.mp4", "link.mp4"]


def test_what_is_no_file_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    _touch(tmp_path, "folder.mp4/in.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    assert find_videos(tmp_path) == [tmp_path / "folder.mp4/in.mp4"]


def test_an_empty_folder_and_no_folder(tmp_path: Path) -> None:
    assert find_videos(tmp_path) == []
    with pytest.raises(FileNotFoundError):
        find_videos(tmp_path / "none")
    (tmp_path / "a.mp4").touch()
    with pytest.raises(NotADirectoryError):
        find_videos(tmp_path / "a.mp4")


def test_the_list_is_sorted_and_lower_case() -> None:
    assert list(VIDEO_EXTENSIONS) == sorted({e.lower() for e in VIDEO_EXTENSIONS})
    assert {".mp4", ".avi", ".mov", ".mkv", ".webm", ".gif", ".ts"} <= set(VIDEO_EXTENSIONS)

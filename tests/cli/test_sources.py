"""What the words of a command mean."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from clips import make_clip

from actionstream.cli import sources
from actionstream.cli.sources import expand
from actionstream.errors import ActionstreamError

FILES = ("b/two.mp4", "b/One.MKV", "a.avi", "Z.mp4", "ä.mp4", "notes.txt", ".hid.mp4", "b/x.json")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `tree` of empty files below the current one."""
    for name in FILES:
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "tree"


def names(words: Sequence[str]) -> list[str]:
    return [source.name for source in expand(words)]


def with_stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


WALKED = ["Z.mp4", "a.avi", "b/One.MKV", "b/two.mp4", "ä.mp4"]


@pytest.mark.parametrize("typed", ["tree", "tree/", "./tree", "tree//"])
def test_a_folder_is_walked_by_code_point_and_named_as_typed(tree: Path, typed: str) -> None:
    assert names([typed]) == [f"{typed.rstrip('/')}/{name}" for name in WALKED]
    inside = [source.inside.as_posix() for source in expand([typed])]
    assert inside == WALKED


def test_every_source_can_be_opened_where_it_points(tree: Path) -> None:
    for source in expand(["tree", "tree/a.avi", "tree/b/*"]):
        assert source.path is not None
        assert Path(source.path).is_file()


@pytest.mark.parametrize(
    "typed", ["tree", "./tree", "tree//b", "./tree/./b/", ".", "./", "tree/../tree", "*", "./t*"]
)
def test_what_is_opened_is_what_it_is_called(tree: Path, typed: str) -> None:
    """An error begins with the words that were opened: they are those of `source`."""
    for words in (typed, str(tree.parent / typed)):
        found = expand([words])
        assert len(found) >= 2
        for source in found:
            assert source.path == source.name
            assert Path(source.name).is_file()


def test_files_are_themselves_in_their_order_and_as_often_as_named(tree: Path) -> None:
    words = ["tree/notes.txt", "tree/Z.mp4", "./tree/Z.mp4", "tree/Z.mp4", "tree/.hid.mp4"]
    assert names(words) == words


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("tree/*.mp4", ["tree/Z.mp4", "tree/ä.mp4"]),
        ("tree/*", ["tree/Z.mp4", "tree/a.avi", "tree/b/One.MKV", "tree/b/two.mp4", "tree/ä.mp4"]),
        ("tree/**", [f"tree/{name}" for name in WALKED]),
        ("tree/**/*.mp4", ["tree/Z.mp4", "tree/b/two.mp4", "tree/ä.mp4"]),
        ("tree/[ab]*", ["tree/a.avi", "tree/b/One.MKV", "tree/b/two.mp4"]),
        ("tree/?.avi", ["tree/a.avi"]),
        ("tree/*.txt", ["tree/notes.txt"]),  # asked for by name, so be it
        ("t*", [f"tree/{name}" for name in WALKED]),
    ],
)
def test_patterns(tree: Path, pattern: str, found: list[str]) -> None:
    assert names([pattern]) == found


def test_a_file_with_brackets_in_its_name_wins_over_the_pattern(tree: Path) -> None:
    (tree / "a[1].mp4").touch()
    (tree / "a1.mp4").touch()
    assert names(["tree/a[1].mp4"]) == ["tree/a[1].mp4"]
    (tree / "a[1].mp4").unlink()
    assert names(["tree/a[1].mp4"]) == ["tree/a1.mp4"]


def test_a_folder_with_brackets_is_itself_before_a_pattern(tree: Path) -> None:
    folder = tree / "My [2023] clips" / "sub"
    folder.mkdir(parents=True)
    (folder / "x.mp4").touch()
    (folder.parent / "y.mp4").touch()
    place = "tree/My [2023] clips"
    assert names([f"{place}/*.mp4"]) == [f"{place}/y.mp4"]
    assert names([f"{place}/**/*.mp4"]) == [f"{place}/sub/x.mp4", f"{place}/y.mp4"]
    assert names(["tree/My [[]2023] cl*/*.mp4"]) == [f"{place}/y.mp4"]


@pytest.mark.parametrize("word", ["0", "12", "rtsp://camera.local/stream", "http://h:80/a.mp4"])
def test_a_camera_or_address_names_webcam(tree: Path, word: str) -> None:
    (found,) = expand([word])
    assert found.path is None
    assert "actionstream webcam" in str(found.error)
    Path("0").touch()
    assert expand(["0"])[0].path == "0"  # a file of that name is a file


@pytest.mark.parametrize(
    "content",
    [
        b"tree/Z.mp4\ntree/b\n\n  \nnowhere.mp4",
        b"\xef\xbb\xbftree/Z.mp4\r\ntree/b\r\nnowhere.mp4\r\n",
        b"tree/Z.mp4\0tree/b\0nowhere.mp4\0",
        "tree/Z.mp4\r\ntree/b\r\nnowhere.mp4\r\n".encode("utf-16"),
        b"\xfe\xff" + "tree/Z.mp4\ntree/b\nnowhere.mp4\n".encode("utf-16-be"),
        "tree/Z.mp4\r\ntree/b\r\nnowhere.mp4\r\n".encode("utf-16-le"),
    ],
)
def test_a_list_on_stdin(tree: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    with_stdin(monkeypatch, content)
    assert names(["tree/a.avi", "-", "tree/a.avi"]) == [
        *("tree/a.avi", "tree/Z.mp4"),
        *("tree/b/One.MKV", "tree/b/two.mp4"),
        *("nowhere.mp4", "tree/a.avi"),
    ]


def test_names_in_utf_16_of_any_script(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_stdin(monkeypatch, "tree/ä.mp4\r\n丁上下.mp4\r\n".encode("utf-16"))
    assert names(["-"]) == ["tree/ä.mp4", "丁上下.mp4"]


@pytest.mark.parametrize(("name", "codec"), [("x.mp4", "h264"), ("x.avi", "mpeg4")])
def test_a_video_on_stdin_is_not_a_list(
    tree: Path, monkeypatch: pytest.MonkeyPatch, name: str, codec: str
) -> None:
    with_stdin(monkeypatch, make_clip(tree / name, codec=codec, frames=12).read_bytes())
    with pytest.raises(ActionstreamError, match="stdin holds a video or other binary data"):
        expand(["-"])


def test_stdin_twice_is_wrong_use() -> None:
    with pytest.raises(ActionstreamError, match="can be given once"):
        expand(["-", "-"])


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are text there")
def test_names_that_are_no_text(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = b"tree/\xff.mp4"
    Path(os.fsdecode(raw)).touch()
    with_stdin(monkeypatch, raw + b"\n")
    assert names(["-"]) == [os.fsdecode(raw)]


@pytest.mark.parametrize("words", [["none"], ["none", "tree/*.webm"], ["-"]])
def test_no_video_at_all_is_wrong_use(
    tree: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    Path("none").mkdir()
    with_stdin(monkeypatch, b"\n")
    with pytest.raises(ActionstreamError, match=r"no video found: .*looked for .*\.avi .*\.mp4"):
        expand(words)


def test_an_empty_folder_among_others_is_an_error_in_its_place(tree: Path) -> None:
    Path("none").mkdir()
    first, second, third, last = expand(["tree/a.avi", "none", "tree/*.webm", "tree/Z.mp4"])
    assert (first.error, last.error) == (None, None)
    assert (second.name, str(second.error)) == ("none", "none: no video found here")
    assert (third.name, str(third.error)) == ("tree/*.webm", "tree/*.webm: no file matches")
    assert second.error is not None
    assert second.error.kind == "not_found"


def test_what_is_not_there_is_left_to_the_reader(tree: Path) -> None:
    assert names(["nowhere.mp4", ""]) == ["nowhere.mp4", ""]


def test_a_folder_that_cannot_be_listed(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: str) -> list[Path]:
        raise PermissionError(13, "Permission denied", folder)

    monkeypatch.setattr(sources, "find_videos", refuse)  # root, as in many containers, may list all
    locked, good = expand(["tree/b", "tree/a.avi"])
    assert str(locked.error) == "tree/b: the folder cannot be listed (Permission denied)"
    assert locked.error is not None
    assert locked.error.kind == "unreadable"
    assert good.error is None


@pytest.mark.parametrize(
    "word", ["0", "rtsp://camera.local/live", "http://me:secret@host/live?key=x"]
)
def test_a_camera_or_stream_is_sent_to_webcam(word: str) -> None:
    (source,) = expand([word])
    assert (source.name, source.path) == (word, None)
    assert source.error is not None
    assert source.error.kind == "unsupported"
    assert "actionstream webcam" in str(source.error)
    assert "secret" not in str(source.error)


def test_a_file_that_is_called_0_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("0").touch()
    (source,) = expand(["0"])
    assert (source.path, source.error) == ("0", None)

from __future__ import annotations

import os
from pathlib import Path

import pytest
from trees import write_clips

from actionstream.datasets import Clip, check_leaks, join_groups, load_ucf101
from actionstream.datasets.leak import content_hashes
from actionstream.errors import DatasetError, LeakError

Rows = list[tuple[str, str, str]]


def subsets(folder: Path, **rows: Rows) -> dict[str, list[Clip]]:
    return {subset: write_clips(folder / subset, these) for subset, these in rows.items()}


def test_a_clean_split_passes(tmp_path: Path) -> None:
    clean = subsets(
        tmp_path,
        train=[("a", "g1", "aa"), ("b", "g1", "bb")],
        validation=[("c", "g2", "cc")],
        test=[("d", "g3", "dd")],
    )
    assert check_leaks(clean) == ()
    assert check_leaks({}) == ()


@pytest.mark.parametrize("subset", ["validation", "test"])
@pytest.mark.parametrize(
    ("row", "cause"),
    [
        (("x", "g1", "xx"), r"share 1 groups \(a and x\)"),
        (("A", "g9", "xx"), r"share 1 clip names \(a and A\)"),
        (("x", "g9", "aa"), r"share 1 contents \(a and x\)"),
    ],
    ids=["group", "stem", "bytes"],
)
def test_every_kind_of_leak_is_refused(
    tmp_path: Path, subset: str, row: tuple[str, str, str], cause: str
) -> None:
    leaking = subsets(
        tmp_path, train=[("a", "g1", "aa"), ("b", "g2", "bb")], **{subset: [("c", "g3", "cc"), row]}
    )
    with pytest.raises(LeakError, match=f"train and {subset} {cause}"):
        check_leaks(leaking)


def test_validation_and_test_are_compared_too(tmp_path: Path) -> None:
    leaking = subsets(tmp_path, train=[("a", "g1", "a")], validation=[("b", "g2", "b")], test=[])
    leaking["test"] = leaking["validation"]
    with pytest.raises(LeakError) as caught:
        check_leaks(leaking)
    assert str(caught.value).count("validation and test share 1") == 3
    assert "train" not in str(caught.value)


def test_offenders_are_counted_and_bounded(tmp_path: Path) -> None:
    train = [(f"a{i:02}", f"g{i}", f"a{i:02}") for i in range(12)]
    test = [(f"b{i:02}", f"g{i}", f"b{i:02}") for i in range(12)]
    with pytest.raises(LeakError, match="share 12 groups") as caught:
        check_leaks(subsets(tmp_path, train=train, test=test))
    assert "and 7 more" in str(caught.value)
    assert len(str(caught.value)) < 250


def test_duplicates_inside_a_side_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [("a", "g1", "same"), ("b", "g2", "same"), ("c", "g3", "else")]
    (duplicate,) = check_leaks(subsets(tmp_path, train=rows, test=[("d", "g4", "othr")]))
    assert (duplicate.subset, duplicate.stems) == ("train", ("a", "b"))
    assert "train: same content in a, b" in caplog.text


def test_the_known_pair_is_left_out_only_when_allowed(tmp_path: Path) -> None:
    group = "BasketballDunk/g08"
    rows = [(f"v_BasketballDunk_g08_{c}", group, "same") for c in ("c03", "c04")]
    known = subsets(tmp_path, train=rows)
    assert check_leaks(known) == ()
    (duplicate,) = check_leaks(known, allow_known=False)
    assert duplicate.stems == ("v_BasketballDunk_g08_c03", "v_BasketballDunk_g08_c04")
    apart = {"train": known["train"][:1], "test": known["train"][1:]}
    with pytest.raises(LeakError, match=r"share 1 groups .* share 1 contents"):
        check_leaks(apart)


def test_the_leak_of_official_split_3_is_known(data_dir: Path, ucf101_lists: Path) -> None:
    # One training clip of split 3 (g23) has the pictures of a test clip (g19); both are groups
    # that split 1 trains on.
    split = load_ucf101(data_dir / "ucf101", lists=ucf101_lists, split=3)
    assert check_leaks(split.subsets) == ()
    with pytest.raises(LeakError, match="v_WalkingWithDog_g23_c03 and v_WalkingWithDog_g19_c05"):
        check_leaks(split.subsets, allow_known=False)


def test_empty_files_are_not_the_same_clip(tmp_path: Path) -> None:
    assert check_leaks(subsets(tmp_path, train=[("a", "g1", "")], test=[("b", "g2", "")])) == ()


def test_only_files_of_one_size_are_read(tmp_path: Path) -> None:
    clips = write_clips(tmp_path, [("a", "", "1"), ("b", "", "22"), ("c", "", "33")])
    hashes = content_hashes(clip.path for clip in clips)
    assert set(hashes) == {clips[1].path, clips[2].path}
    assert len(set(hashes.values())) == 2


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    changed, other = write_clips(tmp_path, [("a", "g1", "22"), ("b", "g2", "33")])
    assert check_leaks({"train": [changed], "test": [other]}) == ()
    changed.path.write_text("33")
    os.utime(changed.path, ns=(1, 1))
    with pytest.raises(LeakError, match="share 1 contents"):
        check_leaks({"train": [changed], "test": [other]})


def test_a_lost_file_is_named(tmp_path: Path) -> None:
    lost = Clip(tmp_path / "lost.mp4", "Run", "g1", "lost")
    with pytest.raises(DatasetError, match=r"lost\.mp4: cannot be read"):
        check_leaks({"train": [lost]})


def test_groups_with_one_content_are_joined_through_chains(tmp_path: Path) -> None:
    rows = [
        ("a", "g3", "11"),
        ("b", "g2", "11"),
        ("c", "g2", "22"),
        ("d", "g1", "22"),
        ("e", "g3", "ee"),
        ("f", "g4", "ff"),
    ]
    clips = write_clips(tmp_path, rows)
    joined = join_groups(clips)
    assert [clip.group for clip in joined] == ["g1", "g1", "g1", "g1", "g1", "g4"]
    assert [clip.stem for clip in joined] == list("abcdef")
    assert join_groups(joined) == joined

"""A drawn test subset is one of the data set, whichever of its labels are asked for."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import plant

from actionstream.datasets import (
    Clip,
    Split,
    check_leaks,
    load_csv,
    load_dataset,
    load_folder,
)
from actionstream.errors import DatasetError

PEOPLE = ("anna", "ben", "carl", "dora")
LABELS = ("A", "B", "C", "D")


def where(split: Split) -> dict[str, tuple[str, str]]:
    """Subset and group of every clip."""
    return {c.stem: (subset, c.group) for subset, clips in split.subsets.items() for c in clips}


def people(clips: tuple[Clip, ...]) -> set[str]:
    return {clip.path.parent.name for clip in clips}


def check_part(part: Split, whole: Split, labels: list[str]) -> None:
    """What has to be true of a split of some labels, beside the split of all."""
    assert part.labels == tuple(label for label in whole.labels if label in labels)
    wanted = {clip.stem for clip in whole.clips if clip.label in labels}
    assert where(part) == {stem: at for stem, at in where(whole).items() if stem in wanted}
    check_leaks(part.subsets)
    assert {clip.label for clip in part.train} == set(labels)
    assert part.name == whole.name
    assert part.listed["test"] == len(part.test)


@st.composite
def trees(draw: st.DrawFn, folders: tuple[str, ...]) -> dict[str, str]:
    """1 to 4 classes of 1 to 6 clips, in folders or not, numbered or not, some of them twice."""
    names = st.sampled_from(
        ("park_1", "park_2", "gym_1", "gym_2", "x", "y", "v_g01_c1", "v_g02_c1")
    )
    inner_folders = st.sampled_from(folders)
    files = {}
    for label in draw(st.lists(st.sampled_from(LABELS), min_size=1, unique=True)):
        inner = draw(st.lists(st.tuples(inner_folders, names), min_size=1, max_size=6, unique=True))
        for folder, name in inner:
            path = Path(label, folder, f"{name}.mp4").as_posix()
            # A letter makes the bytes of two clips the same now and then.
            files[path] = draw(st.sampled_from((path, path, path, "p", "q")))
    return files


def write(root: str, files: dict[str, str]) -> Path:
    for name, content in files.items():
        plant(Path(root), [name])
        (Path(root) / name).write_text(content)
    return Path(root)


def subsets(files: dict[str, str]) -> st.SearchStrategy[list[str]]:
    labels = sorted({name.split("/")[0] for name in files})
    return st.lists(st.sampled_from(labels), min_size=1, unique=True)


@given(data=st.data(), files=trees(("", *PEOPLE)), seed=st.integers(0, 2))
@settings(max_examples=150, deadline=None)
def test_laws_of_folders(data: st.DataObject, files: dict[str, str], seed: int) -> None:
    labels = data.draw(subsets(files))
    with TemporaryDirectory() as folder:
        root = write(folder, files)
        try:
            whole = load_folder(root, seed=seed)
        except DatasetError:
            with pytest.raises(DatasetError, match="no label has two groups"):
                load_folder(root, labels=labels, seed=seed)
            return
        assert whole.test
        check_part(load_folder(root, labels=labels, seed=seed), whole, labels)


@given(data=st.data(), files=trees(PEOPLE), seed=st.integers(0, 2))
@settings(max_examples=80, deadline=None)
def test_laws_of_people_in_several_classes(
    data: st.DataObject, files: dict[str, str], seed: int
) -> None:
    labels = data.draw(subsets(files))
    with TemporaryDirectory() as folder:
        root = write(folder, files)
        try:
            whole = load_folder(root, grouping="subfolder", seed=seed)
        except DatasetError:
            with pytest.raises(DatasetError, match="no label has two groups"):
                load_folder(root, grouping="subfolder", labels=labels, seed=seed)
            return
        part = load_folder(root, grouping="subfolder", labels=labels, seed=seed)
        check_part(part, whole, labels)
        assert not people(whole.train) & people(whole.test)


@given(data=st.data(), files=trees(PEOPLE), seed=st.integers(0, 2), grouped=st.booleans())
@settings(max_examples=80, deadline=None)
def test_laws_of_lists(
    data: st.DataObject, files: dict[str, str], seed: int, grouped: bool
) -> None:
    labels = data.draw(subsets(files))
    rows = [(name, *name.split("/")[:2]) for name in files]
    header = "path,label,group" if grouped else "path,label"
    table = [",".join(row if grouped else row[:2]) for row in rows]
    with TemporaryDirectory() as folder:
        root = write(folder, files)
        (root / "clips.csv").write_text("\n".join([header, *table]))
        try:
            whole = load_csv(root, seed=seed)
        except DatasetError:
            with pytest.raises(DatasetError, match="no label has two groups"):
                load_csv(root, labels=labels, seed=seed)
            return
        check_part(load_csv(root, labels=labels, seed=seed), whole, labels)
        assert not (grouped and people(whole.train) & people(whole.test))


def test_trained_on_two_labels_and_evaluated_on_three(tmp_path: Path) -> None:
    root = plant(tmp_path, [f"{label}/{i}.mp4" for label in "ABC" for i in range(10)])
    trained = load_dataset(root, "folder", labels=["A", "B"])
    assert (len(trained.train), len(trained.test)) == (16, 4)
    for labels in (None, ["A"], ["b", "C"]):
        evaluated = load_dataset(root, "folder", labels=labels)
        assert not set(trained.train) & set(evaluated.test)


def test_an_odd_class_does_not_undo_the_groups_of_the_others(tmp_path: Path) -> None:
    names = [f"{label}/{who}/{i}.mp4" for label in "AB" for who in PEOPLE for i in (1, 2)]
    odd = ["Odd/loose.mp4", "Odd/anna/one.mp4", "Single/anna/1.mp4", "Single/anna/2.mp4"]
    root = plant(tmp_path, [*names, *odd])
    split = load_folder(root, labels=["A", "B"])
    assert split.notes[0] == "groups are guessed from the folders below the classes"
    assert {clip.group for clip in split.clips} == set(PEOPLE)
    assert not people(split.train) & people(split.test)
    whole = load_folder(root)
    assert whole.notes[:2] == (
        "groups of A, B are guessed from the folders below the classes",
        "no groups can be told from the names of Odd, Single: every clip stands alone unless "
        "another class has a source of its name, sources may leak",
    )
    assert where(whole)["Odd__anna__one"] == where(whole)["Single__anna__2"] == ("train", "anna")
    assert where(whole)["Odd__loose"][1] == "Odd/loose"


def test_a_grouping_has_to_fit_the_wanted_classes_only(tmp_path: Path) -> None:
    names = [f"Run/v_run_g{g:02}_c{c:02}.mp4" for g in (1, 2, 3) for c in (1, 2)]
    root = plant(tmp_path, [*names, "Other/a.mp4"])
    split = load_folder(root, grouping="ucf", labels=["Run"])
    assert {clip.group for clip in split.clips} == {"Run/g01", "Run/g02", "Run/g03"}
    with pytest.raises(DatasetError, match=r"Other/a\.mp4: the grouping 'ucf' does not fit"):
        load_folder(root, grouping="ucf")


def test_a_class_of_one_group_trains_and_the_notes_say_so(tmp_path: Path) -> None:
    names = [f"A/{who}/1.mp4" for who in PEOPLE]
    root = plant(tmp_path, [*names, "B/anna/1.mp4", "B/anna/2.mp4"])
    split = load_folder(root, grouping="subfolder", labels=["B"])
    assert ([c.stem for c in split.train], split.test) == (["B__anna__1", "B__anna__2"], ())
    assert split.notes[-1] == (
        "no test clip of B: one group only, or other labels need their groups"
    )


def test_sources_that_no_class_can_spare_stand_alone_by_a_guess_only(tmp_path: Path) -> None:
    names = ["A/anna/x.mp4", "A/ben/y.mp4", "B/anna/p.mp4", "C/ben/q.mp4"]
    root = plant(tmp_path, names)
    split = load_folder(root)
    assert split.notes[0].startswith(
        "no groups can be told from the names: every clip stands alone"
    )
    assert [clip.label for clip in split.test] == ["A"]
    with pytest.raises(DatasetError, match="no label has two groups of which the others can spare"):
        load_folder(root, grouping="subfolder")


def test_same_bytes_in_an_unwanted_class_join_too(tmp_path: Path) -> None:
    names = [f"A/{name}.mp4" for name in "abcdef"] + ["B/1.mp4", "B/2.mp4", "B/3.mp4"]
    root = plant(tmp_path, names)
    for name in ("A/a.mp4", "B/1.mp4"):
        (root / name).write_text("same")
    whole, part = where(load_folder(root)), where(load_folder(root, labels=["A"]))
    assert whole["A__a"] == whole["B__1"] == part["A__a"]


def test_lists_of_other_labels_may_be_faulty(tmp_path: Path) -> None:
    # Two files of one clip, and a clip that is gone: the business of those who want B.
    names = [f"{i}_000000_000010.mp4" for i in range(5)]
    root = plant(tmp_path, [*names, "x/b_000000_000010.mp4", "y/b_000000_000010.mp4"])
    rows = [f"A,{i},0,10" for i in range(5)] + ["B,b,0,10", "C,c,0,10"]
    (root / "all.csv").write_text("\n".join(["label,youtube_id,time_start,time_end", *rows]))
    split = load_csv(root, labels=["a"])
    assert (len(split.train), len(split.test), split.listed) == (4, 1, {"train": 4, "test": 1})
    with pytest.raises(DatasetError, match="one clip in 2 files"):
        load_csv(root, labels=["B"])
    with pytest.raises(DatasetError, match="no clip of C is there"):
        load_csv(root, labels=["C"])


def test_the_seed_of_another_test_side_is_in_the_name(tmp_path: Path) -> None:
    root = plant(tmp_path / "own", [f"Run/{i}.mp4" for i in range(10)])
    (root / "clips.csv").write_text(
        "path,label\n" + "".join(f"Run/{i}.mp4,Run\n" for i in range(10))
    )
    assert load_folder(root).name == "own (folder)"
    assert load_folder(root, seed=7).name == "own (folder), seed 7"
    assert load_csv(root, seed=7).name == "own (CSV), seed 7"
    sides = plant(tmp_path / "sides", ["train/Run/a.mp4", "test/Run/b.mp4"])
    assert load_folder(sides, seed=7).name == "sides (folder)"


@pytest.mark.parametrize(("at", "given"), [(".", "."), ("Run", "..")])
def test_the_folder_that_one_is_in_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, given: str
) -> None:
    root = plant(tmp_path / "own", ["Run/a.mp4", "Run/b.mp4"])
    (root / "clips.csv").write_text("path,label\nRun/a.mp4,Run\nRun/b.mp4,Run\n")
    monkeypatch.chdir(root / at)
    assert load_folder(given).name == "own (folder)"
    assert load_csv(given).name == "own (CSV)"

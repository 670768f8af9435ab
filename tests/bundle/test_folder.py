"""A bundle is checked as a whole: every way it can be wrong, each with its message."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

onnx = pytest.importorskip("onnx", reason="needs the extra 'test'")

import numpy as np  # noqa: E402
import plain_bundle as bundles  # noqa: E402
from memories import small_memory  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402

from actionstream.bundle import card as cards  # noqa: E402
from actionstream.bundle import folder as bundle_module  # noqa: E402
from actionstream.bundle.folder import open_bundle, resolve, shipped, write_bundle  # noqa: E402
from actionstream.bundle.memory import write_memory  # noqa: E402
from actionstream.engines import open_engine  # noqa: E402
from actionstream.errors import BundleError  # noqa: E402


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bundles.plain_bundle(tmp_path / "bundle")


def open_all(folder: Path) -> None:
    """As `load` does: the card, the files, the networks."""
    open_engine(open_bundle(folder), threads=1)


def edit_card(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "card.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def rehash(folder: Path) -> None:
    """Let the card vouch for what lies in the folder."""

    def change(card: dict[str, Any]) -> None:
        card["files"] = {name: cards.file_digest(folder / name) for name in card["files"]}

    edit_card(folder, change)


def edit_onnx(folder: Path, name: str, change: Callable[[Any], None]) -> None:
    model = onnx.load(folder / name)
    change(model)
    (folder / name).write_bytes(model.SerializeToString())
    rehash(folder)


def test_a_good_bundle_opens(folder: Path) -> None:
    bundle = open_bundle(folder)
    assert bundle.card.labels == bundles.LABELS
    assert bundle.card.encoder.feature_size == bundles.FEATURES
    assert bundle.fingerprint == cards.fingerprint((folder / "card.json").read_bytes())
    assert len(bundle.fingerprint) == 12
    assert bundle.encoder_path.is_file()
    assert open_bundle(str(folder)).fingerprint == bundle.fingerprint


def _remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _add(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(b"x") and None


def _flip_last_byte(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[-1] ^= 1
        (folder / name).write_bytes(bytes(content))

    return damage


def _link_out(folder: Path) -> None:
    outside = folder.parent / "outside.onnx"
    shutil.move(folder / "head.onnx", outside)
    (folder / "head.onnx").symlink_to(outside)


def _set(key: str, value: Any) -> Callable[[Path], None]:
    return lambda folder: edit_card(folder, lambda card: card.__setitem__(key, value))


def _drop(key: str) -> Callable[[Path], None]:
    return lambda folder: edit_card(folder, lambda card: card.pop(key))


def _replace(name: str, content: bytes) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(content)
        rehash(folder)

    return damage


def _save_weights(folder: Path, shapes: dict[str, list[int]]) -> None:
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    save_file(tensors, folder / "weights.safetensors")
    rehash(folder)


def _bad_memory(folder: Path) -> None:
    (folder / "memory.safetensors").write_bytes(b"no tensors")
    edit_card(folder, lambda card: card["files"].update({"memory.safetensors": "0" * 64}))
    rehash(folder)


def _cut_weights(folder: Path) -> None:
    content = (folder / "weights.safetensors").read_bytes()
    _replace("weights.safetensors", content[:-4])(folder)


def _rename_input(model: Any) -> None:
    model.graph.input[0].name = "pictures"
    for node in model.graph.node:
        node.input[:] = ["pictures" if name == "images" else name for name in node.input]


def _bake_batch(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _widen_window(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 8


def _take_floats(model: Any) -> None:
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT


def _drop_known(model: Any) -> None:
    del model.graph.output[1]


def _external(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def _external_in_attribute(model: Any) -> None:
    tensor = onnx.TensorProto(name="hidden", data_type=onnx.TensorProto.FLOAT, dims=[1])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../x")
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["inside"], value=tensor))


def _external_in_branch(model: Any) -> None:
    _external_in_attribute(model)
    constant = model.graph.node.pop()
    output = onnx.helper.make_tensor_value_info("inside", onnx.TensorProto.FLOAT, [1])
    inner = onnx.helper.make_graph([constant], "inner", [], [output])
    yes = onnx.helper.make_tensor("yes", onnx.TensorProto.BOOL, [1], [True])
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["flag"], value=yes))
    choice = onnx.helper.make_node("If", ["flag"], ["y"], then_branch=inner, else_branch=inner)
    model.graph.node.append(choice)


def _foreign_operator(model: Any) -> None:
    model.graph.node.append(onnx.helper.make_node("Run", [], ["z"], domain="evil.example"))


def _nested_graphs() -> bytes:
    """An ONNX file whose graph holds a node that holds a graph, 3,000 times."""
    graph = b""
    for field in (6, 5, 1) * 3000 + (7,):  # attribute.g, node.attribute, graph.node, model.graph
        size, varint = len(graph), bytearray()
        while size > 0x7F:
            varint.append(0x80 | size & 0x7F)
            size >>= 7
        graph = bytes([field << 3 | 2, *varint, size]) + graph
    return graph


def _onnx(name: str, change: Callable[[Any], None]) -> Callable[[Path], None]:
    return lambda folder: edit_onnx(folder, name, change)


WRONG: dict[str, tuple[Callable[[Path], None], str]] = {
    "no card": (_remove("card.json"), "card.json: missing"),
    "no encoder": (_remove("encoder.onnx"), "encoder.onnx: missing"),
    "no weights": (_remove("weights.safetensors"), "weights.safetensors: missing"),
    "no readme": (_remove("README.md"), "README.md: missing"),
    "unlisted file": (_add("code.py"), "code.py: not part of a bundle"),
    "pickle": (_add("model.pth"), "model.pth: not part of a bundle"),
    "external data": (_add("head.onnx.data"), "head.onnx.data: not part of a bundle"),
    "encoder changed": (
        _flip_last_byte("encoder.onnx"),
        "encoder.onnx: its SHA-256 is not the one in the card",
    ),
    "weights changed": (
        _flip_last_byte("weights.safetensors"),
        "weights.safetensors: its SHA-256 is not the one in the card",
    ),
    "link": (_link_out, "head.onnx: a link that leads out of the folder"),
    "unknown key": (_set("colour", "red"), "card.json: colour: unknown key"),
    "missing key": (_drop("temperature"), "card.json: temperature: key is missing"),
    "wrong type": (_set("temperature", "1.3"), "card.json: temperature: Input should be"),
    "no JSON": (lambda f: (f / "card.json").write_text("{") and None, "Invalid JSON"),
    "huge card": (
        lambda f: (f / "card.json").write_text(" " * 1_000_001) and None,
        "card.json: larger than 1000000 bytes",
    ),
    "other pixels": (_set("preprocessing_fingerprint", "0" * 16), "this version of actionstream"),
    "other labels": (_set("labels", ["a", "b"]), "number of its labels is 3, and 2 in the card"),
    "other features": (
        lambda f: edit_card(f, lambda card: card["encoder"].update(feature_size=49)),
        "encoder.onnx: the size of its features is 48, and 49 in the card",
    ),
    "no ONNX": (_replace("encoder.onnx", b"hello, world"), "encoder.onnx: ONNX Runtime cannot"),
    "empty ONNX": (_replace("encoder.onnx", b""), "encoder.onnx: ONNX Runtime cannot open it"),
    "pickled weights": (
        _replace("weights.safetensors", b"\x80\x04pickle"),
        "weights.safetensors: not a safetensors file",
    ),
    "brackets without end": (
        _replace("weights.safetensors", (200_000).to_bytes(8, "little") + b"[" * 200_000),
        "weights.safetensors: not a safetensors file",
    ),
    "graphs without end": (_replace("head.onnx", _nested_graphs()), "head.onnx: ONNX Runtime"),
    "no tensors": (
        _replace("weights.safetensors", (2).to_bytes(8, "little") + b"{}"),
        "weights.safetensors: tensors must be named head.* and known.*, got []",
    ),
    "foreign tensors": (
        lambda f: _save_weights(f, {"head.x": [1], "known.y": [1], "optimizer.z": [1]}),
        "must be named head.* and known.*, got ['head', 'known', 'optimizer']",
    ),
    "weights cut off": (_cut_weights, "weights.safetensors: not a safetensors file"),
    "memory that is none": (_bad_memory, "memory.safetensors: not a safetensors file"),
    "input name": (_onnx("encoder.onnx", _rename_input), "an encoder takes images uint8"),
    "baked batch": (_onnx("encoder.onnx", _bake_batch), "encoder.onnx: "),
    "window of 8": (_onnx("head.onnx", _widen_window), "head.onnx: a head takes features"),
    "float pictures": (_onnx("encoder.onnx", _take_floats), "encoder.onnx: "),
    "no OOD score": (_onnx("head.onnx", _drop_known), "head.onnx: a head takes features"),
    "data elsewhere": (_onnx("encoder.onnx", _external), "Absolute path not allowed"),
    "data elsewhere, hidden": (
        _onnx("head.onnx", _external_in_attribute),
        "head.onnx: keeps data in another file",
    ),
    "data elsewhere, in a branch": (
        _onnx("head.onnx", _external_in_branch),
        "head.onnx: operators that no bundle may have: If",
    ),
    "foreign operator": (_onnx("head.onnx", _foreign_operator), "may have: evil.example.Run"),
}


@pytest.mark.parametrize("way", WRONG)
def test_every_way_to_be_wrong_has_its_message(folder: Path, way: str) -> None:
    damage, message = WRONG[way]
    damage(folder)
    with pytest.raises(BundleError) as caught:
        open_all(folder)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(folder))
    assert len(caught.value.problems) <= 2  # nothing else is blamed but what follows from it


def test_there_are_as_many_ways_as_were_thought_of() -> None:
    assert len(WRONG) == 36


def test_all_that_is_wrong_is_listed_at_once(folder: Path) -> None:
    _add("extra.txt")(folder)
    _remove("README.md")(folder)
    _flip_last_byte("head.onnx")(folder)
    with pytest.raises(BundleError) as caught:
        open_bundle(folder)
    assert caught.value.problems[:2] == ("README.md: missing", "extra.txt: not part of a bundle")
    assert "head.onnx: its SHA-256 is not the one in the card" in caught.value.problems


def test_a_faulty_card_stops_there(folder: Path) -> None:
    def damage(card: dict[str, Any]) -> None:
        del card["temperature"]
        card |= {"colour": "red"}

    edit_card(folder, damage)
    _flip_last_byte("encoder.onnx")(folder)
    with pytest.raises(BundleError) as caught:
        open_bundle(folder)
    assert caught.value.problems == (
        "card.json: temperature: key is missing",
        "card.json: colour: unknown key",
    )


@pytest.mark.parametrize("text", ["[]", "7", "[" * 50_000, '{"a":' * 50_000, "\0", '"\\ud800"'])
def test_what_is_no_card_is_one_error(folder: Path, text: str) -> None:
    (folder / "card.json").write_text(text)
    with pytest.raises(BundleError, match=r"card\.json: card: "):
        open_bundle(folder)


def test_a_bundle_may_hold_more(folder: Path) -> None:
    """What `teach` remembers: listed, with its SHA-256."""
    write_memory(folder / "memory.safetensors", small_memory(len(bundles.LABELS)))
    edit_card(folder, lambda card: card["files"].update({"memory.safetensors": "0" * 64}))
    rehash(folder)
    open_all(folder)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_cut_off_network_is_refused(folder: Path, share: float) -> None:
    content = (folder / "head.onnx").read_bytes()
    (folder / "head.onnx").write_bytes(content[: int(len(content) * share)])
    rehash(folder)
    with pytest.raises(BundleError, match="ONNX Runtime cannot open it"):
        open_all(folder)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="there is no such folder"):
        open_bundle(tmp_path / "absent")


def _copy_parts(source: Path) -> Callable[[Path], None]:
    def make(place: Path) -> None:
        for name in open_bundle(source).card.files:
            shutil.copy(source / name, place / name)

    return make


def _card_of(source: Path, **changed: Any) -> Callable[[dict[str, str]], cards.Card]:
    content = json.loads((source / "card.json").read_text())
    return lambda files: cards.parse(json.dumps({**content, "files": files, **changed}))


def test_writing_is_a_round_trip(folder: Path, tmp_path: Path) -> None:
    written = write_bundle(tmp_path / "deep" / "copy", _copy_parts(folder), _card_of(folder))
    assert written.card == open_bundle(folder).card
    for name in (*written.card.files, "card.json", "README.md"):
        assert (written.path / name).read_bytes() == (folder / name).read_bytes(), name


def test_nothing_is_overwritten_unless_asked(folder: Path, tmp_path: Path) -> None:
    before = open_bundle(folder).fingerprint
    source = bundles.plain_bundle(tmp_path / "source")
    with pytest.raises(BundleError, match="exists already"):
        write_bundle(folder, _copy_parts(source), _card_of(source))
    assert open_bundle(folder).fingerprint == before
    changed = _card_of(source, name="second")
    assert write_bundle(folder, _copy_parts(source), changed, overwrite=True).card.name == "second"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundle", "source"]


def test_only_a_bundle_is_ever_overwritten(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("years")
    with pytest.raises(BundleError, match="is no bundle: it will not be overwritten"):
        write_bundle(home, _copy_parts(folder), _card_of(folder), overwrite=True)
    assert (home / "thesis.txt").read_text() == "years"


def test_a_failure_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    def make(place: Path) -> None:
        _copy_parts(folder)(place)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_bundle(tmp_path / "new", make, _card_of(folder))
    with pytest.raises(BundleError, match=r"new: weights\.safetensors: not a safetensors file"):
        write_bundle(tmp_path / "new", _copy_broken_weights(folder), _card_of(folder))
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def _copy_broken_weights(source: Path) -> Callable[[Path], None]:
    def make(place: Path) -> None:
        _copy_parts(source)(place)
        (place / "weights.safetensors").write_bytes(b"no tensors")

    return make


def test_the_old_bundle_stands_until_the_new_one_does(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new one cannot be put in place: the old one is there again, whole."""
    source, before = bundles.plain_bundle(tmp_path / "source"), open_bundle(folder).fingerprint
    real = Path.rename

    def full(self: Path, target: Path) -> Path:
        if target == folder and self.name != "bundle":
            raise OSError("no space left")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="no space left"):
        write_bundle(folder, _copy_parts(source), _card_of(source, name="new"), overwrite=True)
    assert open_bundle(folder).fingerprint == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundle", "source"]


def test_the_readme_says_what_the_card_says(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    assert text.startswith("# plain\n")
    assert "| top-1 | 0.875 | 0.800 to 0.950 | 40 of 50 | made up for a test |" in text
    assert "| PushUps | 1 | 0.50 |" in text
    assert "| Lunges | 1 |  |" in text
    assert "- It was never trained." in text
    assert "not comparable" not in text


def test_variants_and_names(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "pretrained"
    monkeypatch.setattr(bundle_module, "PRETRAINED", home)
    assert shipped() == {}
    with pytest.raises(BundleError, match=r"names no shipped variant.*there are: none"):
        resolve()
    home.mkdir()
    variant = bundles.plain_bundle(home / "fast")
    (home / "DEFAULT").write_text("fast\n")
    assert shipped() == {"fast": variant}
    assert resolve() == variant
    assert resolve("fast") == variant
    assert resolve(folder) == folder
    assert resolve(str(folder)) == folder
    with pytest.raises(BundleError, match=r"slow: neither a folder nor .*there are: fast"):
        resolve("slow")


def test_a_name_without_its_version_is_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_module, "PRETRAINED", tmp_path)
    made = bundles.plain_bundle(tmp_path / "large")
    for name in ("large-v2", "large-v10", "small-v2"):
        shutil.copytree(made, tmp_path / name)
    (tmp_path / "DEFAULT").write_text("large-v2\n")
    assert resolve("large").name == "large-v10"
    assert resolve("large-v2").name == "large-v2"
    assert resolve("small").name == "small-v2"
    assert resolve().name == "large-v2"
    with pytest.raises(BundleError, match="fast: neither a folder nor"):
        resolve("fast")
    (tmp_path / "FAST").write_text("small-v2\n")
    assert resolve("fast").name == "small-v2"
    (tmp_path / "FAST").write_text("small-v3\n")
    with pytest.raises(BundleError, match="FAST: names no shipped variant, got 'small-v3'"):
        resolve("fast")

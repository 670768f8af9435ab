"""The frame of the package: who may import whom, who owns which library, what costs nothing."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "actionstream"

# From the top: a file imports only from its own room and the rooms above.
ROOMS = (
    "errors",
    "results",
    "inference",
    "bundle",
    "video",
    "networks",
    "engines",
    "recognizer",
    "live",
    "draw",
    "datasets",
    "evaluation",
    "training",
    "webcam",
    "app",
    "cli",
)
# These two know each other; nobody else may, except the engine that runs networks in PyTorch.
TORCH_ROOMS = {"networks", "training"}
TORCH_ENGINE = "engines/torch.py"

# Library: the only rooms or files that may import it, even inside a function (for types
# alone anybody may).
OWNERS = {
    "av": {"video"},
    "aiortc": {"app"},
    "cv2": {"inference/preprocess.py", "draw"},
    "onnxruntime": {"engines/onnx.py"},
    "streamlit": {"app"},
    "streamlit_webrtc": {"app"},
    "timm": TORCH_ROOMS | {TORCH_ENGINE},
    "torch": TORCH_ROOMS | {TORCH_ENGINE},
    "torchmetrics": TORCH_ROOMS | {TORCH_ENGINE},
    "torchvision": TORCH_ROOMS | {TORCH_ENGINE},
}
HEAVY = {*OWNERS, "matplotlib", "numpy", "onnx", "pandas", "pydantic", "safetensors"}


@dataclass(frozen=True)
class Import:
    """One imported module. `lazy`: inside a function; `typing`: under TYPE_CHECKING."""

    file: str
    line: int
    module: str
    lazy: bool
    typing: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


@cache
def sources() -> dict[str, ast.Module]:
    """Every Python file of the package by its path inside it."""
    return {
        path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def room_of(file: str) -> str:
    """`card` for `card.py`, `video` for `video/reader.py`."""
    return file.split("/")[0].removesuffix(".py")


def imports_in(
    file: str, node: ast.AST, lazy: bool = False, typing: bool = False
) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(file, child.lineno, alias.name, lazy, typing)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{file}:{child.lineno} imports relatively"
            for alias in child.names:
                yield Import(file, child.lineno, f"{child.module}.{alias.name}", lazy, typing)
        else:
            inside = lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            checking = typing or (
                isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            )
            yield from imports_in(file, child, inside, checking)


@cache
def all_imports() -> list[Import]:
    return [found for file, tree in sources().items() for found in imports_in(file, tree)]


def own_imports() -> list[tuple[Import, str]]:
    """Imports of the package's own rooms, except those of the lazy `__init__.py`.

    A plain `import actionstream` is none of them: see the test of what it is used for.
    """
    found = []
    for item in all_imports():
        parts = item.module.split(".")
        if parts[0] == "actionstream" and len(parts) > 1 and item.file != "__init__.py":
            found.append((item, parts[1]))
    return found


def test_every_file_is_visited_and_in_a_known_room() -> None:
    files = set(sources())
    assert files == {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    assert {room_of(file) for file in files - {"__init__.py", "__main__.py"}} == set(ROOMS)
    assert len(files) > len(ROOMS)
    assert len(own_imports()) > 2 * len(ROOMS), "the visitor does not see the imports"


def test_a_file_imports_only_from_rooms_above() -> None:
    wrong = []
    for item, target in own_imports():
        room = room_of(item.file)
        if target == "__version__" or room == "__main__":
            continue
        assert room in ROOMS, f"{item.file} is in no room of the list"
        if {room, target} <= TORCH_ROOMS or (room == "recognizer" and item.lazy):
            continue
        if target not in ROOMS or ROOMS.index(target) > ROOMS.index(room):
            wrong.append(str(item))
    assert wrong == []


def test_the_public_surface_is_used_at_the_bottom_only() -> None:
    """`import actionstream` gives `__version__` to any room, the rest only to app and cli."""
    wrong = [
        f"{file}:{node.lineno} uses actionstream.{node.attr}"
        for file, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "actionstream"
        and node.attr != "__version__"
        and room_of(file) not in {"app", "cli"}
    ]
    assert wrong == []


def test_rooms_that_need_an_extra_are_imported_lazily() -> None:
    wrong = [
        str(item)
        for item, target in own_imports()
        if not (item.lazy or item.typing)
        and (
            (target in TORCH_ROOMS and room_of(item.file) not in TORCH_ROOMS)
            or (target == "app" and room_of(item.file) != "app")
            or item.module.startswith("actionstream.engines.torch")
        )
        and item.file != TORCH_ENGINE
        and room_of(item.file) not in TORCH_ROOMS
    ]
    assert wrong == []


def test_libraries_are_imported_by_their_owners_only() -> None:
    wrong, owned = [], 0
    for item in all_imports():
        owners = OWNERS.get(item.module.split(".")[0])
        if owners is not None and not item.typing:
            owned += 1
            if item.file not in owners and room_of(item.file) not in owners:
                wrong.append(str(item))
    assert wrong == []
    assert owned >= len(OWNERS)


def loaded_by(code: str) -> set[str]:
    """Top-level names of all modules that a fresh interpreter loads to run `code`."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
        timeout=60,
    )
    names = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert {"sys", "actionstream"} & names, "no import times were printed"
    return names


def test_import_loads_nothing_heavy() -> None:
    assert loaded_by("import actionstream") & HEAVY == set()


def test_values_and_errors_load_numpy_alone() -> None:
    code = "from actionstream import ActionstreamError, Answer, VideoNotFoundError"
    assert loaded_by(code) & HEAVY == {"numpy"}


HELP = (
    "import sys; sys.argv = ['actionstream', '--help']; from actionstream.cli import main; main()"
)


def test_help_loads_nothing_heavy() -> None:
    assert (
        loaded_by(f"try:\n exec({HELP!r})\nexcept SystemExit as end:\n assert not end.code")
        & (HEAVY - {"numpy"})
        == set()
    )


@pytest.mark.skipif(sys.platform == "win32", reason="needs the resource module")
def test_help_takes_under_half_a_second() -> None:
    """CPU seconds, the best of three: wall time would measure the neighbours on the machine."""
    import resource

    taken = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-c", HELP],
            check=True,
            capture_output=True,
            env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
            timeout=60,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(taken) < 0.5


def offences(file: str, tree: ast.Module) -> Iterator[str]:
    """Habits that the package does without, each with its line."""
    room = room_of(file)
    for node in ast.walk(tree):
        found = None
        match node:
            case ast.ExceptHandler(type=None):
                found = "bare except"
            case ast.ExceptHandler(type=ast.Name(id="Exception"), body=[ast.Pass()]):
                found = "swallowed exception"
            case ast.Raise(exc=ast.Call(func=ast.Name(id="Exception"))):
                found = "raise Exception"
            case ast.Call(func=ast.Name(id="print")) if room != "cli":
                found = "print outside cli"
            case ast.Attribute(attr="cvtColor"):
                found = "colour conversion by hand"
            case ast.Attribute(attr=name) if name.startswith("INTER_") and room != "preprocess":
                found = "a second resize kernel"
            case ast.Constant(value=0.485 | 0.229) if room != "networks":
                found = "normalisation outside the network"
            case ast.Subscript(slice=ast.Tuple(elts=[*_, ast.Slice(step=ast.UnaryOp()) as last])):
                rows = len(node.slice.elts) == 2 and "..." not in ast.unparse(node.slice)
                found = None if rows or ast.unparse(last) != "::-1" else "channels swapped"
        if found:
            yield f"{file}:{getattr(node, 'lineno', 0)}: {found}"


def test_no_bad_habits() -> None:
    assert [found for file, tree in sources().items() for found in offences(file, tree)] == []


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    f()\nexcept:\n    g()",
        "try:\n    f()\nexcept Exception:\n    pass",
        "raise Exception('no')",
        "print(1)",
        "import cv2\ncv2.cvtColor(x, 4)",
        "cv2.resize(x, s, interpolation=cv2.INTER_AREA)",
        "mean = (0.485, 0.456)",
        "rgb = bgr[:, :, ::-1]",
        "rgb = bgr[..., ::-1]",
    ],
)
def test_each_bad_habit_is_seen(code: str) -> None:
    """The check above would otherwise pass by seeing nothing."""
    assert len(list(offences("video/some.py", ast.parse(code)))) == 1


def test_files_are_one_idea() -> None:
    """Seldom over 250 lines; a file over 400 holds more than one idea."""
    lines = {
        file: len((PACKAGE / file).read_text(encoding="utf-8").splitlines()) for file in sources()
    }
    assert {file: count for file, count in lines.items() if count > 400} == {}
    assert sum(count > 250 for count in lines.values()) <= len(lines) // 10

"""Build sdist and wheel, install the wheel alone, and recognise a real clip with what is installed.

Run by scripts/check with the interpreter of .venv. Stops with a message at the first thing amiss:
a description that PyPI would refuse, a file of 60 MB or more, missing files in the wheel, PyTorch
or Streamlit in a plain install, 600 MB of packages or more, a wrong answer.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
VENV = REPOSITORY / ".venv-wheel"
LARGEST_FILE_BYTES = 60_000_000  # of sdist and wheel; PyPI takes 100 MB
LARGEST_INSTALL_BYTES = 600_000_000  # of all installed packages together
UNWANTED = ("torch", "torchvision", "timm", "triton", "nvidia", "streamlit", "pandas", "matplotlib")
NAMED = 6  # of the largest packages


def call(*command: object, cwd: Path = REPOSITORY, code: int = 0) -> str:
    """Standard output and errors of a command that must end with `code`."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode != code:
        sys.exit(
            f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done.stdout + done.stderr


def built(folder: Path) -> Path:
    """The wheel of this checkout; it must hold every file of the package that git knows."""
    call(sys.executable, "-m", "build", "--outdir", folder)
    files = sorted(folder.glob("actionstream-*"))
    call(sys.executable, "-m", "twine", "check", "--strict", *files)
    for file in files:
        size = file.stat().st_size
        print(f"{file.name}: {size / 1e6:.1f} MB")
        if size >= LARGEST_FILE_BYTES:
            sys.exit(f"{file.name} is not under {LARGEST_FILE_BYTES / 1e6:.0f} MB")
    (wheel,) = folder.glob("*.whl")
    tracked = call("git", "ls-files", "src/actionstream").splitlines()
    expected = {name.removeprefix("src/") for name in tracked if (REPOSITORY / name).exists()}
    missing = expected - set(zipfile.ZipFile(wheel).namelist())
    if missing or len(expected) < 20:
        sys.exit(f"{wheel.name} lacks {sorted(missing)} of {len(expected)} files")
    return wheel


def installed_alone(wheel: Path) -> Path:
    """The folder of programs of an empty environment that got nothing but the wheel."""
    call(sys.executable, "-m", "venv", "--clear", VENV)
    programs = VENV / "bin"
    began = time.monotonic()
    call(programs / "pip", "install", "-q", "-c", REPOSITORY / "constraints.txt", wheel)
    seconds = time.monotonic() - began
    where = call(programs / "python", "-c", "import sysconfig as s; print(s.get_path('purelib'))")
    sizes = {place.name: bytes_in(place) for place in Path(where.strip()).iterdir()}
    unwanted = [name for name in UNWANTED if name in sizes]
    total = sum(sizes.values())
    print(f"plain install: {total / 1e6:.0f} MB of packages in {seconds:.0f} s; the largest:")
    for name in sorted(sizes, key=lambda one: -sizes[one])[:NAMED]:
        print(f"  {sizes[name] / 1e6:6.1f} MB  {name}")
    if unwanted or total >= LARGEST_INSTALL_BYTES:
        sys.exit(f"a plain install brings {unwanted} and {total / 1e6:.0f} MB")
    return programs


def bytes_in(place: Path) -> int:
    """The size of a file, or of all files in a folder."""
    files = [place] if place.is_file() else place.rglob("*")
    return sum(file.lstat().st_size for file in files if file.is_file())


def real_clip() -> Path | None:
    """A clip of push-ups from UCF101's training list, None where no clips are at hand."""
    named = os.environ.get("ACTIONSTREAM_DATA")
    data = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    found = sorted((data / "ucf101" / "PushUps").glob("v_PushUps_g1*.mp4"))
    if not found and (os.environ.get("CI") == "true" or named):
        sys.exit(f"no clip of push-ups in {data / 'ucf101'}; set ACTIONSTREAM_DATA")
    return found[0].resolve() if found else None


def recognise(program: Path, clip: Path, folder: Path) -> None:
    """Ask the installed program about a clip; the checkout is out of its sight in `folder`."""
    (line,) = call(program, "predict", "--json", clip, cwd=folder).splitlines()
    answer = json.loads(line)
    if answer["status"] != "ok" or answer["label"] != "PushUps":
        sys.exit(f"{clip.name}: expected PushUps, got {line}")
    print(f"{clip.name}: {answer['label']}, confidence {answer['confidence']:.2f}")


def names_the_extras(program: Path, folder: Path) -> None:
    """What needs an extra ends with one line that says which."""
    for words, extra in ((["app"], "app"), (["train", "--data", "."], "train")):
        said = call(program, *words, cwd=folder, code=2)
        if f"pip install 'actionstream[{extra}]'" not in said or said.count("\n") != 1:
            sys.exit(f"{' '.join(words)} without its extra says: {said}")


def main() -> None:
    """Build, install, recognise."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        programs = installed_alone(built(folder))
        program = programs / "actionstream"
        print(call(program, "demo", cwd=folder))
        names_the_extras(program, folder)
        clip = real_clip()
        if clip is None:
            print("no real clip at hand: nothing was recognised")
        else:
            recognise(program, clip, folder)
    shutil.rmtree(VENV)


if __name__ == "__main__":
    main()

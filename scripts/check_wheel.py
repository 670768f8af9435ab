"""Build the wheel, install it alone, and recognise a real clip with what was installed.

Run by scripts/check with the interpreter of .venv. Stops with a message at the first thing amiss:
missing files in the wheel, PyTorch in a plain install, 1 GB of packages or more, a wrong answer.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
VENV = REPOSITORY / ".venv-wheel"
LARGEST_BYTES = 1_000_000_000  # of all installed packages together
UNWANTED = ("torch", "torchvision", "timm", "triton", "nvidia")


def call(*command: object, cwd: Path = REPOSITORY) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(
            f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done.stdout


def built_wheel(folder: Path) -> Path:
    """The wheel of this checkout; it must hold every file of the package that git knows."""
    call(sys.executable, "-m", "build", "--wheel", "--outdir", folder)
    (wheel,) = folder.glob("*.whl")
    tracked = call("git", "ls-files", "src/actionstream").splitlines()
    expected = {name.removeprefix("src/") for name in tracked}
    missing = expected - set(zipfile.ZipFile(wheel).namelist())
    if missing or len(expected) < 20:
        sys.exit(f"{wheel.name} lacks {sorted(missing)} of {len(expected)} files")
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, {len(expected)} files")
    return wheel


def installed_alone(wheel: Path) -> Path:
    """The folder of programs of an empty environment that got nothing but the wheel."""
    call(sys.executable, "-m", "venv", "--clear", VENV)
    programs = VENV / "bin"
    call(programs / "pip", "install", "-q", "-c", REPOSITORY / "constraints.txt", wheel)
    packages = Path(
        call(
            programs / "python", "-c", "import sysconfig as s; print(s.get_path('purelib'))"
        ).strip()
    )
    unwanted = [name for name in UNWANTED if (packages / name).exists()]
    size = sum(file.stat().st_size for file in packages.rglob("*") if file.is_file())
    if unwanted or size >= LARGEST_BYTES:
        sys.exit(f"a plain install brings {unwanted or 'no PyTorch'} and {size / 1e6:.0f} MB")
    print(f"plain install: {size / 1e6:.0f} MB of packages, no PyTorch")
    return programs


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


def main() -> None:
    """Build, install, recognise."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        programs = installed_alone(built_wheel(folder))
        clip = real_clip()
        if clip is None:
            print("no real clip at hand; the self-check instead")
            print(call(programs / "actionstream", "demo", cwd=folder))
        else:
            recognise(programs / "actionstream", clip, folder)
    shutil.rmtree(VENV)


if __name__ == "__main__":
    main()

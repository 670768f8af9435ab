"""What a plain install brings: the megabytes of all packages, and that PyTorch is not among them.

    python benchmarks/install_size.py [--wheel FILE] [--constraints FILE]

Builds the wheel of this checkout unless one is given, installs it with pip into a fresh virtual
environment in a temporary folder, counts the files there and starts what was installed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from common import machine, verdict

REPOSITORY = Path(__file__).resolve().parent.parent
SIZE_BAR_MEGABYTES = 1000.0
UNWANTED = ("torch", "torchvision", "timm", "triton", "nvidia")
LARGEST = 8  # packages listed


def call(*command: str | Path) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def built_wheel(folder: Path) -> Path:
    call(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder, REPOSITORY)
    (wheel,) = folder.glob("*.whl")
    return wheel


def megabytes(place: Path) -> float:
    files = [place] if place.is_file() else place.rglob("*")
    return sum(file.lstat().st_size for file in files if file.is_file()) / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--constraints", type=Path, default=REPOSITORY / "constraints.txt")
    args = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = args.wheel or built_wheel(folder)
        print(f"{wheel.name}: {megabytes(wheel):.1f} MB")
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / "bin" / "python"
        began = time.perf_counter()
        call(python, "-m", "pip", "install", "-q", "-c", args.constraints, wheel)
        print(f"installed in {time.perf_counter() - began:.0f} s")
        script = "import sysconfig; print(sysconfig.get_path('purelib'))"
        packages = Path(call(python, "-c", script).strip())
        sizes = {place.name: megabytes(place) for place in packages.iterdir()}
        print(call(folder / "venv" / "bin" / "actionstream", "--version").strip())
    for place in sorted(sizes, key=lambda one: -sizes[one])[:LARGEST]:
        print(f"  {sizes[place]:7.1f} MB  {place}")
    found = [name for name in UNWANTED if name in sizes]
    print(f"PyTorch and its like: {', '.join(found) or 'none'}")
    total = sum(sizes.values())
    reached = verdict("plain install", total, SIZE_BAR_MEGABYTES, at_most=True, unit="MB")
    return 0 if reached and not found else 1


if __name__ == "__main__":
    sys.exit(main())

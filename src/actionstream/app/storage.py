"""The folder of one server's visitors: private, and cleared by the next if this one is killed.

::

    TMPDIR/actionstream-app-x1y2/         mode 0700
        lock                              held for as long as the server lives
        visitor-a/ ...

A server that ends removes its folder. One that is killed leaves it without anybody who holds its
lock: each server that starts removes those.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import IO

from actionstream.concurrency import Closing

PREFIX = "actionstream-app-"
LOCK = "lock"


class Storage(Closing):
    """A new folder `root` for visitors' folders; what killed servers have left is removed."""

    def __init__(self) -> None:
        clear_abandoned(Path(tempfile.gettempdir()))
        self._folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = _held(self._folder / LOCK)
        self.root = self._folder / "visitors"
        self.root.mkdir(mode=0o700)

    def close(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()


def clear_abandoned(place: Path) -> None:
    """Remove this user's folders below `place` that no living server holds. Without locks, none."""
    if sys.platform == "win32":
        return
    for folder in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if not (folder / LOCK).is_file() or folder.stat().st_uid != os.getuid():
                continue  # it is just being made, or is another user's
            if (lock := _held(folder / LOCK)) is not None:
                shutil.rmtree(folder, ignore_errors=True)
                lock.close()


def _held(path: Path) -> IO[bytes] | None:
    """The file, locked; None if another process holds it or the system has no such locks."""
    if sys.platform == "win32":
        return None
    import fcntl

    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file

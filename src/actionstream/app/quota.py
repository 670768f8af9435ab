"""How much of the server's disk the videos of all visitors may take together."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import BinaryIO

from actionstream.app.settings import ROOM_A_VIDEO

COPY_BYTES = 1 << 20


class QuotaExceededError(Exception):
    """The visitors' files take all that the server keeps for them."""


class Quota:
    """Folders of visitors below `root`, with a limit over all of them.

    Files are counted as they lie there, the copies that were made of videos with them. So nothing
    can be counted wrongly, and what is deleted is free at once.
    """

    def __init__(self, root: Path, most_bytes: int) -> None:
        self.root, self.most_bytes = root, most_bytes
        self._storing = threading.Lock()  # two uploads may not both take the last bytes

    def used_bytes(self) -> int:
        """Bytes in all files now."""
        used = 0
        for folder, _, names in os.walk(self.root):
            for name in names:
                try:
                    used += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118  10 x faster
                except FileNotFoundError:  # its visitor has just gone
                    continue
        return used

    def check(self) -> None:
        """QuotaExceededError if the limit is passed, as copies that are being made may."""
        if self.used_bytes() > self.most_bytes:
            raise QuotaExceededError

    def store(self, data: BinaryIO, path: Path) -> None:
        """Write `data` to the new file `path`; nothing is left of it if that fails.

        What will be made of it is counted, too: ROOM_A_VIDEO times its size.

        Raises:
            QuotaExceededError: it does not fit any more.
            OSError: it cannot be written.
        """
        with self._storing:
            left = self.most_bytes - self.used_bytes()
            try:
                with path.open("xb") as file:
                    while chunk := data.read(COPY_BYTES):
                        left -= ROOM_A_VIDEO * len(chunk)
                        if left < 0:
                            raise QuotaExceededError
                        file.write(chunk)
            except BaseException:
                path.unlink(missing_ok=True)
                raise

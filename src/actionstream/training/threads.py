"""One thread for the small sums of heads: the same numbers on any machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch computes on one thread in here; also a decorator.

    How a sum is shared among threads decides its last bits, and so whether the same seed gives
    the same head on another machine, or after a resume with another setting. A head on stored
    features is small: it loses little.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

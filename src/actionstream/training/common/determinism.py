"""The one place that makes PyTorch's numbers repeatable, and puts everything back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def deterministic(*, threads: int | None = 1, warn_only: bool = False) -> Iterator[None]:
    """PyTorch gives the same numbers from the same seed in here; also a decorator.

    Algorithms are deterministic, convolutions are not chosen by trying, and what is drawn in here
    leaves the caller's random numbers alone.

    Args:
        threads: on which PyTorch computes. How a sum is shared among threads decides its last
            bits: with one, another machine and a resume with another setting give the same head.
            A head on stored features is small and loses little. None leaves the setting alone.
        warn_only: warn where there is no deterministic algorithm, as for some sums on CUDA.
    """
    algorithms = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    tried, count = torch.backends.cudnn.benchmark, torch.get_num_threads()
    random = torch.get_rng_state()
    torch.use_deterministic_algorithms(True, warn_only=warn_only)
    torch.backends.cudnn.benchmark = False
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(algorithms, warn_only=warned)
        torch.backends.cudnn.benchmark = tried
        torch.set_num_threads(count)
        torch.set_rng_state(random)

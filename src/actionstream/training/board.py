"""Losses for TensorBoard: `tensorboard --logdir OUT` draws them while a run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter


@contextmanager
def losses_to(folder: Path) -> Iterator[Callable[[str, int, float], None]]:
    """A function of (which head, epochs done, loss) that writes into `folder / "tensorboard"`."""
    writer = SummaryWriter(str(folder / "tensorboard"))
    try:
        yield lambda which, epoch, loss: writer.add_scalar(f"loss/{which}", loss, epoch)
    finally:
        writer.close()

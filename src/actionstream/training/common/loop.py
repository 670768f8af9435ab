"""The loop that both ways share: determinism, state, schedule, a step, epochs to be resumed.

All randomness of an epoch comes from the seed and the epoch's number, so a run that was killed and
resumed gives the same weights as one that was not (on a CPU to the last bit).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from actionstream.errors import TrainingError
from actionstream.training.common.checkpoint import load_checkpoint, save_checkpoint

LARGEST_GRADIENT = 1.0
"""Norm to which gradients are clipped."""

WARM_UP = 0.05
"""Share of a schedule over which the learning rate rises."""

_log = logging.getLogger(__name__)

EpochReport = Callable[[int, float], None]
"""Called with (epochs done, mean loss of the epoch)."""

Losses = Callable[[str, int, float], None]
"""Called with (which network, epochs done, mean loss of the epoch)."""


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


@dataclass(slots=True)
class TrainState:
    """All that changes while networks are trained: what a checkpoint holds.

    network: what learns.   average: the exponential average of its weights, where one is kept.
    losses:  mean training loss of every epoch.
    failed:  clips that could not be read: stem to cause.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: nn.Module | None = None
    epoch: int = 0
    losses: list[float] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": {} if self.average is None else self.average.state_dict(),
            "epoch": self.epoch,
            "losses": self.losses,
            "failed": self.failed,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.epoch, self.losses = state["epoch"], state["losses"]
        self.failed = state["failed"]


def load_if_there(path: Path | None, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """The state of a checkpoint; None where there is none.

    Raises:
        TrainingError: it is damaged or of another run.
    """
    if path is None or not path.exists():
        return None
    _log.info("resuming %s", path)
    return load_checkpoint(path, identity)


def run_epochs(
    state: TrainState,
    epochs: int,
    train_epoch: Callable[[np.random.Generator], float],
    *,
    seed: int,
    checkpoint: Path | None = None,
    identity: Mapping[str, Any] | None = None,
    on_epoch: EpochReport | None = None,
) -> None:
    """Train until `epochs` are done; the checkpoint is written whole after each of them.

    `train_epoch` makes one pass over the clips with the random numbers that it is given (and
    torch's, which are seeded here), and returns the mean loss.
    """
    while state.epoch < epochs:
        torch.manual_seed(int(np.random.default_rng([seed, state.epoch, 1]).integers(2**31)))
        loss = train_epoch(np.random.default_rng([seed, state.epoch]))
        state.losses.append(loss)
        state.epoch += 1
        if checkpoint is not None:
            save_checkpoint(checkpoint, state.to_dict(), identity or {})
        if on_epoch is not None:
            on_epoch(state.epoch, loss)


def schedule(progress: float) -> float:
    """Factor of the learning rate at `progress` (0 to 1): linear warm-up, half a cosine to zero."""
    return min(progress / WARM_UP, 1.0) * 0.5 * (1.0 + math.cos(math.pi * progress))


def descend(state: TrainState, loss: Tensor, progress: float) -> float:
    """One step of the optimizer; the loss as a number.

    Every group of parameters holds its own learning rate under "base".

    Raises:
        TrainingError: the loss is not finite.
    """
    if not torch.isfinite(loss):
        raise TrainingError(f"the loss became {loss.item()} in epoch {state.epoch + 1}")
    groups = state.optimizer.param_groups
    for group in groups:
        group["lr"] = group["base"] * schedule(progress)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_([p for group in groups for p in group["params"]], LARGEST_GRADIENT)
    state.optimizer.step()
    return loss.item()


@contextmanager
def loss_board(folder: Path) -> Iterator[Losses]:
    """Losses for TensorBoard: `tensorboard --logdir OUT` draws them while a run goes on."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"))
    try:
        yield lambda which, epoch, loss: writer.add_scalar(f"loss/{which}", loss, epoch)
    finally:
        writer.close()

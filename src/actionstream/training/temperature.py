"""Temperature scaling, and the small convex fits of calibration."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


def fit_temperature(
    logits: NDArray[np.float32],
    targets: NDArray[np.int64],
    weights: NDArray[np.float64] | None = None,
) -> float:
    """The temperature above 0 with the least negative log likelihood.

    Args:
        logits: float32 [M, K].   targets: int64 [M].   weights: [M], all 1 if None.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2.
    """
    rows, goal = torch.from_numpy(logits).double(), torch.from_numpy(targets)
    weight = torch.ones(len(rows)).double() if weights is None else torch.from_numpy(weights)
    log_temperature = torch.zeros(1, dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        each = functional.cross_entropy(rows / log_temperature.exp(), goal, reduction="none")
        return (each * weight).sum() / weight.sum()

    minimise([log_temperature], loss)
    return float(log_temperature.detach().exp().clamp(0.05, 20.0))


def minimise(parameters: list[Tensor], loss: Callable[[], Tensor]) -> None:
    """Bring a convex loss of these parameters to its minimum, by L-BFGS."""
    optimizer = torch.optim.LBFGS(
        parameters,
        max_iter=1000,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-10,
        tolerance_change=1e-18,  # the default stops where a flat loss hides 1e-3 of a parameter
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]

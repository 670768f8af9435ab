"""Work that is killed in the middle: `python training_to_kill.py fill|fit ...`.

It reports what is done line by line. Once it has done the given number of steps it is about to be
killed by itself, some moments later, in the middle of whatever it does then.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import toy

from actionstream.datasets import load_negatives

STEPS_BEFORE = 4
DELAY_SECONDS = 0.004
FOREVER = 600.0


def _report(done: float, total: float | None, what: str) -> None:
    assert total is not None
    print(done, flush=True)
    if done == STEPS_BEFORE:
        kill = (os.getpid(), signal.SIGKILL)
        threading.Timer(DELAY_SECONDS, os.kill, kill).start()
    if done > total // 2:  # never done before it is killed
        time.sleep(FOREVER)


def _fill(root: str, encoder: str, clips: str) -> None:
    store = toy.open_store(Path(root), Path(encoder))
    store.fill(load_negatives(clips), range(2), workers=2, progress=_report)


def _fit(checkpoint: str) -> None:
    from actionstream.training.features.fit_head import fit_head

    samples = toy.clusters(negatives=4)
    fit_head(
        samples,
        3,
        toy.RECIPE,
        toy.solved(samples, seed=5),
        seed=5,
        checkpoint=Path(checkpoint),
        on_epoch=lambda done, _: _report(done, toy.RECIPE.epochs, "epochs"),
    )


if __name__ == "__main__":
    {"fill": _fill, "fit": _fit}[sys.argv[1]](*sys.argv[2:])

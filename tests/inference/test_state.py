"""A stream's state is all that it remembers: kept and put back, here or elsewhere, it goes on."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from readings import same_readings
from tiny import GREY, plain, tiny_model

from actionstream.inference.accumulator import grow, items
from actionstream.inference.stream import Stream
from actionstream.results import Answer, RGBFrame


def frames(count: int, seed: int = 3) -> list[RGBFrame]:
    """Frames of random colours at uneven, growing times, with two gaps that reset the stream."""
    chance = np.random.default_rng(seed)
    steps = chance.uniform(0.02, 0.12, count)
    steps[[count // 4, count // 2 + 5]] = 9.0
    colours = chance.integers(0, 256, (count, 3))
    return [
        RGBFrame(plain((int(r), int(g), int(b))), float(seconds))
        for seconds, (r, g, b) in zip(np.cumsum(steps), colours, strict=True)
    ]


def push_all(live: Stream, shots: Sequence[RGBFrame]) -> None:
    for frame in shots:
        live.push(frame)


@pytest.mark.parametrize("keep_readings", [True, False])
@pytest.mark.parametrize("cut", [1, 30, 31, 60, 119])
def test_kept_and_put_back_is_undisturbed(cut: int, keep_readings: bool) -> None:
    shots, model = frames(120), tiny_model()
    whole, live = (model.live(keep_readings=keep_readings) for _ in range(2))
    push_all(whole, shots)
    push_all(live, shots[:cut])
    kept = live.state
    push_all(live, [RGBFrame(plain(GREY), frame.time_seconds) for frame in shots[cut:]])
    live.finish()
    live.reset()
    live.state = kept
    push_all(live, shots[cut:])
    same_answer(whole.finish(), live.finish())


GO_ON = """
import pickle, sys
from pathlib import Path
from test_state import frames, push_all
from tiny import tiny_model
place = Path(sys.argv[1])
live = tiny_model().live()
live.state = pickle.loads(place.read_bytes())
push_all(live, frames(120)[60:])
place.write_bytes(pickle.dumps(live.finish()))
"""


def test_a_state_goes_on_in_another_process(tmp_path: Path) -> None:
    shots, model = frames(120), tiny_model()
    whole, live = model.live(), model.live()
    push_all(whole, shots)
    push_all(live, shots[:60])
    place = tmp_path / "state"
    place.write_bytes(pickle.dumps(live.state))
    here = Path(__file__).resolve().parent
    path = os.pathsep.join(map(str, (here, here.parent, here.parents[1] / "src")))
    command = [sys.executable, "-c", GO_ON, str(place)]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": path}, timeout=120)
    answer = pickle.loads(place.read_bytes())
    assert len(answer.readings) > 30
    same_answer(whole.finish(), answer)


def same_answer(one: Answer, other: Answer) -> None:
    same_readings(one.readings, other.readings)
    assert one.segments == other.segments
    assert (one.several, one.warnings) == (other.several, other.warnings)
    assert other.probabilities == pytest.approx(one.probabilities, abs=1e-6)
    assert other.known_score == pytest.approx(one.known_score, abs=1e-6)


@given(st.integers(0, 300))
def test_law_a_grown_list_is_the_list(count: int) -> None:
    chunks: tuple[tuple[int, ...], ...] = ()
    for number in range(count):
        chunks = grow(chunks, number)
    assert list(items(chunks)) == list(range(count))
    assert len(chunks) == count.bit_count()

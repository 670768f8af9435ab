"""Memories for tests: random windows, with the numbers of their labels hidden in them."""

from __future__ import annotations

import numpy as np

from actionstream.bundle.memory import Memory, quantise


def small_memory(
    labels: int, pictures: int = 12, poses: int = 6, each: int = 6, seed: int = 0
) -> Memory:
    """`each` windows of every label and of no known action, of three sources each."""
    random = np.random.default_rng(seed)
    target = np.repeat(np.arange(labels + 1), each)
    centres = random.normal(size=(labels + 1, pictures + poses))
    rows = centres[target] + 0.3 * random.normal(size=(len(target), pictures + poses))
    rows = (rows / np.sqrt(pictures)).astype(np.float32)
    picture, picture_step = quantise(rows[:, :pictures])
    pose, pose_step = quantise(rows[:, pictures:])
    closed = random.normal(0, 0.3, (len(target), labels + 1))
    closed[np.arange(len(target)), target] += 4
    number = np.arange(len(target))
    return Memory(
        picture=picture,
        pose=pose,
        picture_step=picture_step,
        pose_step=pose_step,
        target=target.astype(np.int16),
        source=(number // 2).astype(np.int32),
        clip=number.astype(np.int32),
        weight=np.full(len(target), 12.0, np.float32),
        closed=closed.astype(np.float16),
        order=np.zeros_like(closed, np.float16),
        moves=np.full(len(target), -1.0, np.float32),
        picture_mean=random.normal(size=pictures).astype(np.float32),
        picture_std=random.uniform(0.5, 2, pictures).astype(np.float32),
        pose_mean=random.normal(size=poses).astype(np.float32),
        factors=np.array([1.0, 1.5], np.float32),
        penalty=np.float32(1e-3),
        heat=np.float32(0.1),
    )

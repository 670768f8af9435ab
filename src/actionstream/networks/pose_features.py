"""What a head reads of the pose: looks relative to the body, and a window at a glance.

A pose is float32 [..., 236], laid out by `actionstream.inference.pose`: places in frame heights,
metres around the hips, the square, and the score, 0 where nobody is found. All that makes poses
comparable between cameras happens here, inside the exported graph.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from actionstream.inference.pose import LANDMARKS, METRES, PLACES, SCORE, SQUARE
from actionstream.inference.sampling import WINDOW

_MIRROR = (0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, *(n + 1 if n % 2 else n - 1 for n in range(11, 33)))
"""For every landmark the one that a mirror puts in its place."""

_BODY = (0, 7, 8, *range(11, 17), 19, 20, *range(23, 29), 31, 32)
"""Nose, ears, shoulders, elbows, wrists, hands, hips, knees, ankles, toes."""

_SHOULDERS, _HIPS, _KNEES, _ANKLES, _WRISTS = (11, 12), (23, 24), (25, 26), (27, 28), (15, 16)

_BONES = ((11, 13), (12, 14), (13, 15), (14, 16), (23, 25), (24, 26), (25, 27), (26, 28))
"""Upper arms, forearms, thighs, shins; left before right."""

_JOINTS = (
    *((11, 13, 15), (12, 14, 16), (13, 11, 23), (14, 12, 24)),
    *((11, 23, 25), (12, 24, 26), (23, 25, 27), (24, 26, 28)),
)
"""Elbows, shoulders, hips, knees: the angle is at the middle one."""

_SIDE = SQUARE.start + 2
_LEAST_TORSO = 0.15
"""In sides of the square. A torso seen from above or below is short, the body is not."""
_FARTHEST, _LARGEST_SIGNAL = 6.0, 12.0
_TINY = 1e-6


def mirrored(poses: Tensor) -> Tensor:
    """Poses [..., 236] as a mirror shows them, with x running from the other edge to 0."""
    order = torch.tensor(_MIRROR, device=poses.device)
    places = _points(poses, PLACES)[..., order, :] * poses.new_tensor([-1.0, 1.0, 1.0, 1.0])
    metres = _points(poses, METRES)[..., order, :] * poses.new_tensor([-1.0, 1.0, 1.0])
    square = poses[..., SQUARE] * poses.new_tensor([-1.0, 1.0, 1.0, -1.0])
    return torch.cat([places.flatten(-2), metres.flatten(-2), square, poses[..., SCORE:]], dim=-1)


class PoseLooks(nn.Module):
    """Poses [B, T, 236] to looks [B, T, `size`], signals [B, T, `signals`], found [B, T, 1].

    A look says how the body stands: places relative to the hips in body sizes, metres, visibility,
    directions of bones, angles of joints. Signals are what repeats when an exercise does. Both are
    0 where nobody is found, and found is 0 or 1.
    """

    size = 6 * len(_BODY) + 3 * len(_BONES) + len(_JOINTS) + 5 + 7 + 2
    signals = 9 + len(_JOINTS) + 3

    def forward(self, poses: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        places, metres = _points(poses, PLACES), _points(poses, METRES)
        side, score = poses[..., _SIDE : _SIDE + 1], poses[..., SCORE:]
        found = (score > 0).to(poses.dtype)
        flat, visible = places[..., :2], places[..., 3]
        hips = _middle(flat, _HIPS)
        up = _middle(flat, _SHOULDERS) - hips
        torso = _length(up)
        body = torch.maximum(torso, _LEAST_TORSO * side) + _TINY
        around = (flat - hips[..., None, :]) / body[..., None, :]
        size = torch.log(body + 0.01)
        joints = torch.cat([_cosine(metres, *joint) for joint in _JOINTS], dim=-1)
        trunk = _unit(_middle(metres, _SHOULDERS) - _middle(metres, _HIPS))
        stand = _stand(around, metres, visible)
        looks = torch.cat([*stand, joints, trunk, up / body, _heights(around), size, score], dim=-1)
        where = hips / body.mean(dim=1, keepdim=True).clamp(min=0.02)
        lean = trunk[..., 1:2], size, torso / (side + _TINY)
        signals = torch.cat([where, *_limbs(around), joints, *lean], dim=-1)
        limited = signals.clamp(-_LARGEST_SIGNAL, _LARGEST_SIGNAL)
        return looks * found, limited * found, found


def _stand(around: Tensor, metres: Tensor, visible: Tensor) -> tuple[Tensor, ...]:
    """Places around the hips in body sizes, in metres, how visible, and directions of bones."""
    body = list(_BODY)
    world = metres - _middle(metres, _HIPS)[..., None, :]
    bones = [_unit(metres[..., end, :] - metres[..., start, :]) for start, end in _BONES]
    return (
        around[..., body, :].flatten(-2).clamp(-_FARTHEST, _FARTHEST),
        world[..., body, :].flatten(-2),
        visible[..., body],
        torch.cat(bones, dim=-1),
    )


def _heights(around: Tensor) -> Tensor:
    """Of nose, wrists, knees and ankles below the hips, [..., 7]."""
    heights = around[..., [0, *_WRISTS, *_KNEES, *_ANKLES], 1]
    return heights.clamp(-_FARTHEST, _FARTHEST)


def _limbs(around: Tensor) -> tuple[Tensor, ...]:
    """Heights of nose, wrists, ankles, and how far apart ankles and wrists are, 7 of [..., 1]."""
    heights = (around[..., n, 1:] for n in (0, *_WRISTS, *_ANKLES))
    apart = ((around[..., a, :1] - around[..., b, :1]).abs() for a, b in (_ANKLES, _WRISTS))
    return *heights, *apart


class PoseSummary(nn.Module):
    """A window of looks at a glance: what `PoseLooks` returns of [B, 16, 236], to [B, `size`].

    Of the looks in which a person is found: mean, deviation and mean change of every number of a
    look, and of the signals deviation, change, range and strength of each rhythm of 1 to 7 cycles
    a window. Then the share of looks with a person.
    """

    waves: Tensor
    size = 3 * PoseLooks.size + (3 + WINDOW // 2 - 1) * PoseLooks.signals + 1

    def __init__(self) -> None:
        super().__init__()
        steps = torch.arange(WINDOW) * (2 * math.pi / WINDOW)
        angles = steps[:, None] * torch.arange(1, WINDOW // 2)
        self.register_buffer("waves", torch.cat([angles.cos(), angles.sin()], dim=1) / WINDOW)

    def forward(self, looks: Tensor, signals: Tensor, found: Tensor) -> Tensor:
        mean = looks.sum(dim=1) / found.sum(dim=1).clamp(min=1.0)
        _, deviation, change = _variation(looks, found)
        centred, beat, speed = _variation(signals, found)
        reach = centred.amax(dim=1) - centred.amin(dim=1)
        cos, sin = (centred.transpose(1, 2) @ self.waves).chunk(2, dim=-1)
        rhythm = (cos.square() + sin.square() + _TINY).sqrt().flatten(1)
        share = found.mean(dim=1)
        return torch.cat([mean, deviation, change, beat, speed, reach, rhythm, share], dim=1)


def _variation(values: Tensor, found: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values less their mean [B, 16, N], their deviation [B, N], and their mean change between
    neighbours that both have a person [B, N]."""
    count = found.sum(dim=1).clamp(min=1.0)
    centred = (values - (values.sum(dim=1) / count)[:, None]) * found
    deviation = (centred.square().sum(dim=1) / count + _TINY).sqrt()
    pair = found[:, 1:] * found[:, :-1]
    steps = (values[:, 1:] - values[:, :-1]).abs() * pair
    return centred, deviation, steps.sum(dim=1) / pair.sum(dim=1).clamp(min=1.0)


def _points(poses: Tensor, part: slice) -> Tensor:
    return torch.unflatten(poses[..., part], -1, (LANDMARKS, -1))


def _middle(points: Tensor, pair: tuple[int, int]) -> Tensor:
    return (points[..., pair[0], :] + points[..., pair[1], :]) / 2


def _length(vectors: Tensor) -> Tensor:
    return (vectors.square().sum(dim=-1, keepdim=True) + _TINY**2).sqrt()


def _unit(vectors: Tensor) -> Tensor:
    return vectors / (_length(vectors) + _TINY)


def _cosine(points: Tensor, first: int, middle: int, last: int) -> Tensor:
    one = _unit(points[..., first, :] - points[..., middle, :])
    other = _unit(points[..., last, :] - points[..., middle, :])
    return (one * other).sum(dim=-1, keepdim=True)

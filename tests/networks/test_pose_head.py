"""The head that reads the pose: laws, numbers by hand, and the same numbers in ONNX Runtime."""

from __future__ import annotations

import math
from pathlib import Path

import onnxruntime
import pytest
import torch

from actionstream.errors import TrainingError
from actionstream.inference.pose import METRES, PLACES, POSE_SIZE, SCORE, SQUARE
from actionstream.networks.ood import POSE_HEAD, InferencePoseHead, build_inference_head
from actionstream.networks.pose_features import PoseLooks, PoseSummary, mirrored
from actionstream.networks.pose_head import PoseHead, PoseOODScore
from actionstream.training.common.onnx_export import export_head

pytestmark = pytest.mark.torch

PICTURE, ACTIONS = 6, 4


def windows(count: int, seed: int = 0) -> torch.Tensor:
    """Looks [count, 16, 6 + 236]: a person in a frame, with a square around."""
    random = torch.Generator().manual_seed(seed)
    features = torch.rand(count, 16, PICTURE + POSE_SIZE, generator=random)
    pose = features[..., PICTURE:]
    pose[..., METRES] -= 0.5
    pose[..., SQUARE] = torch.tensor([0.8, 0.5, 0.6, 0.1])
    pose[..., SCORE] = 0.9
    return features


def inference_head(both_ways: bool = True) -> InferencePoseHead:
    """A small head in which every number counts."""
    torch.manual_seed(0)
    options = {"random": 40, "look_random": 20, "hidden": 8, "both_ways": both_ways}
    made = build_inference_head(POSE_HEAD, PICTURE + POSE_SIZE, ACTIONS, options)
    assert isinstance(made, InferencePoseHead)
    made.head.pose_random.draw(1.0, seed=1)
    made.head.order.look_random.draw(1.0, seed=2)
    assert isinstance(made.known, PoseOODScore)
    made.known.weight.copy_(torch.tensor([0.7, 1.1]))
    return made


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "head.onnx"
    export_head(inference_head(), path)
    return path


def shown(kind: str) -> torch.Tensor:
    features = windows(5)
    if kind == "nobody":
        features[..., PICTURE:] = 0
    elif kind == "every other look":
        features[:, ::2, PICTURE:] = 0
    elif kind == "still":
        features = features[:, :1].repeat(1, 16, 1)
    return features


@pytest.mark.parametrize("kind", ["somebody", "nobody", "every other look", "still"])
def test_the_graph_gives_the_same_numbers_for_every_batch(graph: Path, kind: str) -> None:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    features = shown(kind)
    with torch.no_grad():
        logits, known = inference_head()(features)
    assert torch.isfinite(logits).all()
    assert logits.std(dim=0).min() > 1e-4  # the windows matter
    for batch in (1, 2, 5):
        got = session.run(["logits", "known_score"], {"features": features[:batch].numpy()})
        torch.testing.assert_close(torch.from_numpy(got[0]), logits[:batch], atol=1e-4, rtol=0)
        torch.testing.assert_close(torch.from_numpy(got[1]), known[:batch], atol=1e-4, rtol=0)


def test_a_picture_that_stands_still_is_not_known() -> None:
    with torch.no_grad():
        assert inference_head()(shown("still"))[1].max() < 1e-4
        assert inference_head()(shown("somebody"))[1].min() > 0.3


def test_the_options_build_it_again() -> None:
    made = inference_head()
    again = build_inference_head(POSE_HEAD, PICTURE + POSE_SIZE, ACTIONS, made.options)
    assert again.options == made.options
    assert made.options["dropout"] == 0.3
    again.load_state_dict(made.state_dict())
    features = windows(2)
    torch.testing.assert_close(again(features), made(features))
    assert {key.partition(".")[0] for key in made.state_dict()} == {"head", "known"}


def test_options_and_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(TrainingError, match="more than 236"):
        build_inference_head(POSE_HEAD, POSE_SIZE, ACTIONS, {})
    with pytest.raises(TrainingError, match="sideways"):
        build_inference_head(POSE_HEAD, PICTURE + POSE_SIZE, ACTIONS, {"sideways": True})


def test_a_mirrored_window_gives_the_same_pose_features() -> None:
    poses = windows(3)[..., PICTURE:]
    both, one = inference_head().head, inference_head(both_ways=False).head
    torch.testing.assert_close(mirrored(mirrored(poses)), poses)
    seen, turned = both.summarise_pose(poses), both.summarise_pose(mirrored(poses))
    torch.testing.assert_close(seen, turned)
    apart = one.summarise_pose(poses) - one.summarise_pose(mirrored(poses))
    assert apart.abs().max() > 0.05


def test_a_mirror_swaps_left_and_right() -> None:
    pose = torch.zeros(POSE_SIZE)
    pose[PLACES].view(33, 4)[15] = torch.tensor([0.9, 0.2, 0.1, 0.8])  # left wrist
    turned = mirrored(pose)[PLACES].view(33, 4)
    torch.testing.assert_close(turned[16], torch.tensor([-0.9, 0.2, 0.1, 0.8]))
    assert turned[15].abs().max() == 0


def test_looks_do_not_depend_on_place_and_size_in_the_frame() -> None:
    poses = windows(2)[..., PICTURE:]
    moved = poses.clone()
    places = torch.unflatten(moved[..., PLACES], -1, (33, 4))
    places[..., :2].mul_(0.5).add_(0.3)
    moved[..., SQUARE.start + 2] *= 0.5
    looks, _, _ = PoseLooks()(poses)
    other, _, _ = PoseLooks()(moved)
    size = PoseLooks.size - 2  # which a look also tells, before the score
    torch.testing.assert_close(other[..., :size], looks[..., :size], atol=1e-3, rtol=0)
    assert (other[..., size] - looks[..., size]).abs().min() > 0.1


def test_the_summary_by_hand() -> None:
    """One number of a look is 0 2 0 2 ..., one signal a cosine of 3 cycles; 8 looks of nobody."""
    looks, signals = torch.zeros(2, 16, PoseLooks.size), torch.zeros(2, 16, PoseLooks.signals)
    found = torch.ones(2, 16, 1)
    looks[0, 1::2, 0] = 2.0
    signals[0, :, 0] = torch.cos(3 * 2 * math.pi * torch.arange(16) / 16)
    found[1, 8:] = 0
    looks[1, :8, 0] = torch.arange(8.0)
    first, second = PoseSummary()(looks, signals, found)
    mean, deviation, change, rest = first.split([*[PoseLooks.size] * 3, first.numel() - 3 * 160])
    assert (mean[0], change[0]) == (1.0, 2.0)
    assert deviation[0] == pytest.approx(1.0, abs=1e-5)
    beat, _, reach, rhythm, share = rest.split([*[PoseLooks.signals] * 3, 7 * 20, 1])
    assert beat[0] == pytest.approx(math.sqrt(0.5), abs=1e-4)
    assert reach[0] == pytest.approx(2.0, abs=1e-4)
    assert rhythm[:7].tolist() == pytest.approx([0.001, 0.001, 0.5, *[0.001] * 4], abs=1e-4)
    assert share == 1.0
    assert second[0] == pytest.approx(3.5)  # of the looks with a person
    assert second[PoseLooks.size] == pytest.approx(math.sqrt(63 / 12), abs=1e-4)
    assert second[2 * PoseLooks.size] == pytest.approx(1.0)  # not the step to nobody
    assert second[-1] == 0.5


def test_what_the_ood_score_weighs_by_hand() -> None:
    picture = torch.tensor([[2.0, 0.5, 0.25]])  # two actions and none
    pose = torch.tensor([[1.0, 0.0, 0.5]])
    order = torch.tensor([[0.0, 1.5, 9.0]])
    statistics = PoseOODScore().statistics((picture, pose, order))
    even = 1 / (1 + math.exp(-1.0))  # logits 3 and 2
    assert statistics[0].tolist() == pytest.approx([3.0 - 0.75, even])


def test_half_of_the_head_answers_without_a_person() -> None:
    head = inference_head().head
    assert isinstance(head, PoseHead)
    features = shown("nobody")
    with torch.no_grad():
        picture, pose, _ = head.parts(features)
    assert picture.std(dim=0).min() > 1e-4
    assert pose.std(dim=0).max() == 0

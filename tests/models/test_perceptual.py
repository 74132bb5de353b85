import warnings
from pathlib import Path

import lpips
import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file

from v2l.errors import ArtifactError
from v2l.models.perceptual import Lpips, load_trunk


@pytest.fixture
def networks(assets: Path) -> Path:
    return assets / "networks" / "manifest.json"


@pytest.mark.parametrize("name", ["vgg16", "alexnet"])
def test_trunk_is_torchvisions_with_the_fetched_weights(networks: Path, name: str) -> None:
    reference = getattr(torchvision.models, name)(weights=None)
    reference.load_state_dict(load_file(networks.with_name(f"{name}.safetensors")), strict=False)
    trunk = load_trunk(networks, name)
    pictures = torch.rand(2, 3, 64, 64)
    assert torch.equal(trunk(pictures), reference.features(pictures))
    assert not trunk.training
    assert not any(parameter.requires_grad for parameter in trunk.parameters())


@pytest.mark.parametrize("net", ["vgg", "alex"])
def test_lpips_equals_the_library_with_its_own_heads(networks: Path, net: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lpips uses torchvision's old argument names
        reference = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)  # the package ships the heads, not the trunks
    trunk = load_trunk(networks, {"vgg": "vgg16", "alex": "alexnet"}[net]).state_dict()
    for key, tensor in reference.net.state_dict().items():
        tensor.copy_(trunk[key.split(".", 1)[1]])
    first, second = torch.rand(2, 3, 3, 64, 64)
    ours = Lpips(networks, net)(first, second)
    assert ours.shape == (3,)
    assert torch.equal(ours, reference(2 * first - 1, 2 * second - 1).flatten())
    assert ours.min() > 0.01


def test_lpips_of_equal_pictures_is_zero_and_grows_with_noise(networks: Path) -> None:
    distance = Lpips(networks, "alex")
    generator = torch.Generator().manual_seed(0)
    picture = torch.nn.functional.interpolate(torch.rand(1, 3, 8, 8, generator=generator), 64, mode="bilinear")
    noise = torch.randn(1, 3, 64, 64, generator=generator)
    values = [float(distance(picture, (picture + strength * noise).clamp(0, 1))) for strength in (0, 0.03, 0.1, 0.3)]
    assert values[0] == 0
    assert values == sorted(values)
    assert values[3] > values[1] * 2


def test_gradient_reaches_the_picture_and_no_weight(networks: Path) -> None:
    distance = Lpips(networks, "alex").train()  # a caller's .train() must change nothing either
    picture = torch.rand(1, 3, 64, 64, requires_grad=True)
    distance(picture, torch.rand(1, 3, 64, 64)).sum().backward()
    assert picture.grad.abs().sum() > 0
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in distance.parameters())


def test_making_a_network_leaves_the_global_random_state_alone(networks: Path) -> None:
    before = torch.random.get_rng_state()
    Lpips(networks, "alex")
    load_trunk(networks, "alexnet")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"vgg16\.safetensors: file not found"):
        load_trunk(tmp_path / "manifest.json", "vgg16")


def test_incomplete_weights_are_refused(networks: Path, tmp_path: Path) -> None:
    trunk, heads = (load_file(networks.with_name(name)) for name in ("alexnet.safetensors", "lpips_alex.safetensors"))
    del heads["lin3"]
    save_file(trunk, tmp_path / "alexnet.safetensors")
    save_file(heads, tmp_path / "lpips_alex.safetensors")
    with pytest.raises(ArtifactError, match=r"lpips_alex\.safetensors: weights do not fit .*missing"):
        Lpips(tmp_path / "manifest.json", "alex")
    del trunk["features.6.bias"]
    save_file(trunk, tmp_path / "alexnet.safetensors")
    with pytest.raises(ArtifactError, match=r"alexnet\.safetensors: weights do not fit Sequential: missing 6\.bias"):
        load_trunk(tmp_path / "manifest.json", "alexnet")

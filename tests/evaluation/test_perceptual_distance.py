from __future__ import annotations

import sys
import warnings

import pytest
import torch
from torchvision import models

from replication.errors import InputError
from replication.evaluation.perceptual_distance import PerceptualDistance

lpips = pytest.importorskip("lpips", reason="the optional package lpips is not installed")


@pytest.fixture(scope="module")
def trunk(tmp_path_factory):
    """torchvision's AlexNet with random weights: the published ones are not in the repository."""
    torch.manual_seed(0)
    state = models.alexnet(weights=None).state_dict()
    for name, value in state.items():
        if name.startswith("classifier."):
            state[name] = torch.zeros(1).expand(value.shape)  # in the published file, too, and of no use: kept small
    path = tmp_path_factory.mktemp("weights") / "alexnet.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def distance(trunk):
    return PerceptualDistance(trunk, sha256_prefix="")


def test_equals_the_package_with_the_same_trunk(trunk, distance, make_pair):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    state = torch.load(trunk, weights_only=True)
    convolutions = [module for module in reference.net.modules() if isinstance(module, torch.nn.Conv2d)]
    for module, index in zip(convolutions, (0, 3, 6, 8, 10), strict=True):
        module.weight.data.copy_(state[f"features.{index}.weight"])
        module.bias.data.copy_(state[f"features.{index}.bias"])
    a, b = make_pair(64, 64)
    with torch.no_grad():
        expected = reference(a / 127.5 - 1, b / 127.5 - 1).flatten().double()
    values = distance.distance(a, b)
    assert values.dtype == torch.float64
    assert (values - expected).abs().max() < 1e-6
    assert (values[1:] > values[:-1]).all() and values[0] > 0  # the noise grows
    assert "sha256" in distance.weights and "AlexNet" in distance.weights


def test_identity_batches_and_order(distance, make_pair):
    a, b = make_pair(64, 64)
    assert distance.distance(a, a).tolist() == [0] * 5
    values, order = distance.distance(a, b), torch.tensor([3, 0, 4, 1, 2])
    assert torch.equal(values, torch.cat([distance.distance(a[i : i + 1], b[i : i + 1]) for i in range(5)]))
    assert torch.equal(values[order], distance.distance(a[order], b[order]))
    assert torch.equal(values, distance.distance(b, a))


def test_smallest_side_is_the_smallest(distance, make_pair):
    a, b = make_pair(31, 31)
    assert torch.isfinite(distance.distance(a, b)).all()
    with pytest.raises(InputError, match="at least 31 x 31"):
        distance.distance(a[..., :30], b[..., :30])
    with pytest.raises(RuntimeError, match="too small"):  # the network itself agrees
        distance.network(a[..., :30] / 127.5, b[..., :30] / 127.5)
    with pytest.raises(InputError, match="float32"):
        distance.distance(a.float(), b)


def test_loading_leaves_the_random_state_alone(trunk):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    PerceptualDistance(trunk, sha256_prefix="")
    assert torch.equal(torch.rand(3), expected)


def test_refuses_unpublished_missing_and_wrong_files(trunk, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"that of alexnet-owt-7be5be79\.pth or vgg16-397923af\.pth with"):
        PerceptualDistance(trunk)
    with pytest.raises(InputError, match="no such file"):
        PerceptualDistance(tmp_path / "absent.pth")
    wrong = tmp_path / "wrong.pth"
    torch.save({"weight": torch.zeros(2)}, wrong)
    with pytest.raises(InputError, match=r"lacks the tensor 'features\.0\.weight'"):
        PerceptualDistance(wrong, sha256_prefix="")
    wrong.write_bytes(b"cut")
    with pytest.raises(InputError, match="cannot be read"):
        PerceptualDistance(wrong, sha256_prefix="")
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(InputError, match="needs the package lpips"):
        PerceptualDistance(trunk, sha256_prefix="")

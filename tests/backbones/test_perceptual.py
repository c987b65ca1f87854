from __future__ import annotations

import pytest
import torch
import torchvision

from replication.backbones.imagenet import normalise_unit
from replication.backbones.perceptual import (
    _VGG16,
    _VGG19,
    VGG16Features,
    VGG19Features,
    vgg_layers,
    vgg_shapes,
)
from replication.errors import InputError


@pytest.mark.parametrize(("plan", "name"), [(_VGG16, "vgg16"), (_VGG19, "vgg19")])
def test_layers_are_indexed_like_torchvision(plan, name):
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)().features
        ours = vgg_layers(plan, len(theirs) - 1)
    assert [type(layer) for layer in ours] == [type(layer) for layer in theirs]
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}


@pytest.mark.parametrize(("plan", "name"), [(_VGG16, "vgg16"), (_VGG19, "vgg19")])
def test_the_file_is_expected_to_hold_torchvisions_tensors_and_no_others(plan, name):
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)()
    assert vgg_shapes(plan) == {key: tuple(value.shape) for key, value in theirs.state_dict().items()}


def save_stand_in(path, plan) -> dict:
    """A weights file with the right names and shapes, small because every tensor repeats one number."""
    weights = {key: torch.full((1,), 0.02).expand(shape) for key, shape in vgg_shapes(plan).items()}
    torch.save(weights, path)
    return weights


def test_vgg16_takes_the_three_pools(tmp_path, monkeypatch):
    monkeypatch.setattr(VGG16Features, "sha256_prefix", "")
    save_stand_in(tmp_path / "vgg16.pth", _VGG16)
    features = VGG16Features(tmp_path / "vgg16.pth")
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    maps = features(images)
    assert [tuple(m.shape) for m in maps.perceptual] == [(1, 64, 16, 16), (1, 128, 8, 8), (1, 256, 4, 4)]
    assert all(a is b for a, b in zip(maps.perceptual, maps.style, strict=True))
    torch.testing.assert_close(maps.perceptual[0], features.network[:5](normalise_unit(images)))
    maps.perceptual[2].sum().backward()
    assert images.grad.abs().sum() > 0 and all(p.grad is None for p in features.parameters())
    assert features.published["file"] == "vgg16-397923af.pth" and len(features.published["sha256"]) == 64


def test_vgg19_takes_the_layers_of_edgeconnect_in_one_pass(tmp_path, monkeypatch):
    monkeypatch.setattr(VGG19Features, "sha256_prefix", "")
    save_stand_in(tmp_path / "vgg19.pth", _VGG19)
    features = VGG19Features(tmp_path / "vgg19.pth")
    with torch.no_grad():
        maps = features(torch.rand(1, 3, 32, 32))
    assert [m.shape[1:] for m in maps.perceptual] == [
        (64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 2, 2),
    ]  # fmt: skip
    assert [m.shape[1:] for m in maps.style] == [(128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 2, 2)]
    # relu1_1 is layer 1; the last style map, relu5_2, is layer 31, and nothing after it is kept.
    assert len(features.network) == 32
    assert all((m >= 0).all() for m in maps.perceptual + maps.style)


@pytest.mark.parametrize(("kind", "prefix"), [(VGG16Features, "397923af"), (VGG19Features, "dcbb9e9d")])
def test_a_missing_or_other_file_is_refused(tmp_path, kind, prefix):
    with pytest.raises(InputError, match="no such file"):
        kind(tmp_path / "weights.pth")
    torch.save({}, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=prefix):
        kind(tmp_path / "weights.pth")

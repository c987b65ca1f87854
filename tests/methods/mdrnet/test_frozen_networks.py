from __future__ import annotations

import pytest
import torch

from replication.errors import InputError
from replication.methods.mdrnet.frozen_networks import FrozenNetworks
from replication.methods.parser.bisenet import BiSeNet, FaceParser
from replication.methods.parser.features import ParserFeatures
from replication.methods.reconstruction.network import ReconstructionEncoder, ReconstructionNetwork


@pytest.fixture
def parser():
    torch.manual_seed(0)
    return FaceParser(BiSeNet(19, width=4), upscale=2)


@pytest.fixture
def networks(parser):
    encoder = ReconstructionEncoder(ReconstructionNetwork(width=4))
    return FrozenNetworks(parser=parser, perceptual=ParserFeatures(parser), encoder=encoder)


def trunk_passes(parser) -> list[int]:
    calls = [0]
    parser.network.cp.resnet.register_forward_hook(lambda *_: calls.__setitem__(0, calls[0] + 1))
    return calls


def test_one_parser_pass_serves_logits_and_maps(networks, parser):
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    calls = trunk_passes(parser)
    seen = networks(images)
    assert calls[0] == 1
    torch.testing.assert_close(seen.logits, parser(images))
    alone = ParserFeatures(parser)(images * 0.5 + 0.5)
    for ours, theirs in zip(seen.maps.perceptual, alone.perceptual, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    assert torch.equal(seen.labels, parser.labels(images))
    assert seen.encoded.shape == (2, 16, 4, 4)


def test_another_parser_is_not_shared(parser):
    other = FaceParser(BiSeNet(19, width=4))
    networks = FrozenNetworks(parser=parser, perceptual=ParserFeatures(other))
    seen = networks(torch.zeros(1, 3, 32, 32), encoding=False)
    assert seen.maps.perceptual[0].shape[2:] == (16, 16)  # the other's upscale is 1


def test_only_what_is_asked_for_is_computed(networks, parser):
    calls = trunk_passes(parser)
    seen = networks(torch.zeros(1, 3, 32, 32), parsing=False, perceptual=False)
    assert calls[0] == 0 and seen.logits is None and seen.maps is None and seen.encoded is not None
    with pytest.raises(InputError, match="encoder"):
        FrozenNetworks(parser=parser)(torch.zeros(1, 3, 32, 32), perceptual=False)


def test_gradient_reaches_the_image_through_every_part_and_no_parameter(networks):
    for part in ("logits", "maps", "encoded"):
        images = (torch.rand(2, 3, 32, 32) * 2 - 1).requires_grad_()
        value = getattr(networks(images), part)
        value = sum(m.square().mean() for m in value.perceptual) if part == "maps" else value.square().mean()
        value.backward()
        assert images.grad.abs().sum() > 0
    assert all(p.grad is None for network in (networks.parser, networks.encoder) for p in network.parameters())


def test_reference_makes_no_graph(networks):
    seen = networks.reference(torch.zeros(1, 3, 32, 32).requires_grad_())
    assert not seen.logits.requires_grad and not seen.encoded.requires_grad
    assert not any(m.requires_grad for m in seen.maps.perceptual)

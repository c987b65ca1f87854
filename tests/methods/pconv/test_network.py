"""The partial-convolution U-Net: its size, how far its mask grows, what its output depends on."""

from __future__ import annotations

import pytest
import torch

from replication.losses.partial_convolution import PConvLoss
from replication.methods.parser.bisenet import BiSeNet, FaceParser
from replication.methods.parser.features import ParserFeatures
from replication.methods.pconv.inpainter import PConvInpainter
from replication.methods.pconv.network import PConvUNet
from replication.methods.pconv.training import PConvTraining
from replication.training.schedules import LearningRate

SEEDS = (0, 1, 2, 3)
"""One an image; nothing here draws."""


def randomise_statistics(network: torch.nn.Module) -> None:
    """Running statistics as a trained network would have them, so that folding them is not trivial."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)


def pictures(count: int = 4):
    """Smooth random images (B,3,32,32) and blocky masks with a hole and known cells in each."""
    stream = torch.Generator().manual_seed(0)
    small = torch.rand(count, 3, 8, 8, generator=stream) * 2 - 1
    image = torch.nn.functional.interpolate(small, size=32, mode="bilinear")
    cells = (torch.rand(count, 1, 8, 8, generator=stream) < 0.35).float()
    cells[..., 0, 0], cells[..., 4, 4] = 0, 1
    return image, cells.repeat_interleave(4, 2).repeat_interleave(4, 3)


def test_parameter_counts():
    with torch.device("meta"):
        assert sum(p.numel() for p in PConvUNet().parameters()) == 25_779_796
        assert sum(p.numel() for p in PConvUNet(levels=8).parameters()) == 32_859_732


def test_only_the_last_convolution_has_a_bias_and_the_outer_ones_no_norm():
    unet = PConvUNet(width=4, levels=5)
    layers = [*unet.encoder, *unet.decoder]
    assert [layer.bias is not None for layer in layers] == [False] * 9 + [True]
    norms = [*unet.encoder_norms, *unet.decoder_norms]
    assert [isinstance(norm, torch.nn.BatchNorm2d) for norm in norms] == [False] + [True] * 8 + [False]


@pytest.fixture(scope="module")
def grown():
    """Bottleneck mask and final mask of the 7-level network at 256 px for a validity mask."""
    unet = PConvUNet(width=1).eval()
    seen = {}
    unet.encoder[-1].register_forward_hook(lambda module, inputs, output: seen.update(bottleneck=output[1]))

    def grow(known):
        with torch.no_grad():
            out, final = unet(torch.zeros(1, 3, 256, 256), known)
        assert out.shape == (1, 3, 256, 256) and final.shape == (1, 1, 256, 256)
        return seen["bottleneck"][0, 0], final

    return grow


def one_pixel(row, column):
    known = torch.zeros(1, 1, 256, 256)
    known[..., row, column] = 1
    return known


def test_one_valid_pixel_in_the_upper_left_fills_everything(grown):
    for row, column in ((135, 135), (0, 60)):
        bottleneck, final = grown(one_pixel(row, column))
        assert bottleneck.tolist() == [[1, 1], [1, 1]]
        assert final.all()


def test_one_valid_pixel_elsewhere_does_not(grown):
    """A bottleneck cell sees 271 px, shifted by padding: cell 0 rows 0..135, cell 1 all of them."""
    for row, column in ((255, 255), (136, 136)):
        bottleneck, final = grown(one_pixel(row, column))
        assert bottleneck.tolist() == [[0, 0], [0, 1]]
        assert final.mean().item() == pytest.approx(0.99220, abs=5e-6)
    assert grown(one_pixel(136, 135))[0].tolist() == [[0, 0], [1, 1]]


def test_nothing_valid_gives_zeros(grown):
    bottleneck, final = grown(torch.zeros(1, 1, 256, 256))
    assert not bottleneck.any() and not final.any()


@pytest.fixture
def unet():
    network = PConvUNet(width=4, levels=3)
    randomise_statistics(network)
    return network


@pytest.mark.parametrize("training", [True, False])
def test_output_is_independent_of_hole_pixels(unet, training):
    """Also of NaN-free nonsense under the hole, and also in training mode, where statistics come from the batch."""
    image, mask = pictures()
    unet.train(training)
    with torch.no_grad():
        out = unet(image, 1 - mask)[0]
        other = unet(torch.where(mask > 0, torch.full_like(image, 1e3), image), 1 - mask)[0]
    assert torch.equal(out, other)


def test_inpainter_keeps_known_pixels_and_never_reads_the_hole(unet):
    image, mask = pictures()
    inpainter = PConvInpainter(unet)
    out = inpainter.inpaint({"image": image, "mask": mask}, SEEDS)
    known = (mask == 0).expand_as(image)
    assert torch.equal(out[known], image[known])
    assert out.abs().max() <= 1 and (out != image)[~known].any()
    poisoned = torch.where(mask > 0, torch.rand_like(image) * 2 - 1, image)
    assert torch.equal(inpainter.inpaint({"image": poisoned, "mask": mask}, SEEDS), out)
    assert torch.equal(inpainter.inpaint({"image": image, "mask": torch.zeros_like(mask)}, SEEDS), image)


def test_features(unet):
    image, mask = pictures()
    inpainter = PConvInpainter(unet)
    features = inpainter.features({"image": image, "mask": mask}, [0] * len(image))
    assert set(features.named()) == {"masked_input", "mask", "raw", "completed"}
    assert torch.equal(features.completed, inpainter.inpaint({"image": image, "mask": mask}, SEEDS))
    assert not features.masked_input[(mask > 0).expand_as(image)].any()


def test_the_inpainter_is_frozen(unet):
    inpainter = PConvInpainter(unet.train())
    assert not inpainter.network.training
    assert not any(p.requires_grad for p in inpainter.network.parameters())


# Training


def trainable(unet, **options) -> PConvTraining:
    parser = FaceParser(BiSeNet(width=4, output_stride=4))
    loss = PConvLoss(ParserFeatures(parser), style=1.0)
    training = PConvTraining(unet, loss, rate=LearningRate(1e-3), betas=(0.9, 0.99), **options)
    training.named = training.optimizers()
    return training.train()


def step(training, images_seen=0):
    image, mask = pictures()

    def update(name, loss):
        optimizer = training.named[name]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return training.training_step({"image": image, "mask": mask, "images_seen": images_seen}, update)


def test_a_step_moves_every_parameter_and_reports_the_terms(unet):
    training = trainable(unet)
    before = {name: p.detach().clone() for name, p in unet.named_parameters()}
    scalars = step(training)
    assert set(scalars) == {"total", "valid", "hole", "perceptual", "style", "total_variation"}
    assert not any(value.requires_grad for value in scalars.values())
    assert all((before[name] != p).any() for name, p in unet.named_parameters())


def test_hole_pixels_reach_the_network_only_as_targets(unet):
    seen = []
    unet.register_forward_pre_hook(lambda module, inputs: seen.append(inputs))
    step(trainable(unet))
    image, mask = pictures()
    assert not seen[0][0][(mask > 0).expand_as(image)].any()
    assert torch.equal(seen[0][1], 1 - mask)


def test_finetuning_freezes_the_encoders_statistics_alone(unet):
    training = trainable(unet, finetune_from=100, finetune_lr=5e-5)

    def statistics(norms):
        return [n.running_mean.clone() for n in norms if isinstance(n, torch.nn.BatchNorm2d)]

    def moved(norms, before):
        return [not torch.equal(a, b) for a, b in zip(before, statistics(norms), strict=True)]

    before = statistics(unet.encoder_norms), statistics(unet.decoder_norms)
    step(training, images_seen=96)
    assert all(moved(unet.encoder_norms, before[0])) and all(moved(unet.decoder_norms, before[1]))
    assert training.named["network"].param_groups[0]["lr"] == 1e-3

    before = statistics(unet.encoder_norms), statistics(unet.decoder_norms)
    weights = unet.encoder[1].conv.weight.detach().clone()
    training.train()  # as the loop does at a resumed start
    step(training, images_seen=100)
    assert not any(moved(unet.encoder_norms, before[0])) and all(moved(unet.decoder_norms, before[1]))
    assert training.named["network"].param_groups[0]["lr"] == 5e-5
    assert (weights != unet.encoder[1].conv.weight).any()  # its weights still learn


def test_frozen_features_are_in_no_checkpoint(unet):
    training = trainable(unet)
    assert {key.split(".")[0] for key in training.state_dict()} == {"network"}
    assert set(training.inference_weights()) == set(unet.state_dict())
    assert not training.frozen["perceptual"].training

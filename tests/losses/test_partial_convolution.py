from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from replication.backbones.imagenet import normalise_signed
from replication.backbones.perceptual import FeatureMaps
from replication.losses.partial_convolution import PConvLoss
from replication.losses.perceptual import gram_matrix


def pixels(images):
    """Stand-in for VGG-16: the images themselves."""
    return FeatureMaps((images,), (images,))


@pytest.fixture
def case():
    torch.manual_seed(0)
    mask = torch.zeros(2, 1, 8, 8)
    mask[:, :, 2:6, 1:5] = 1
    return torch.randn(2, 3, 8, 8), torch.rand(2, 3, 8, 8) * 2 - 1, mask


def test_terms_and_published_weights(case):
    output, truth, mask = case
    terms = PConvLoss(pixels, pixels="unit")(output, truth, mask)
    ours, real = output / 2 + 0.5, truth / 2 + 0.5
    composite = mask * ours + (1 - mask) * real
    torch.testing.assert_close(terms["valid"], ((1 - mask) * (ours - real)).abs().mean())
    torch.testing.assert_close(terms["hole"], (mask * (ours - real)).abs().mean())
    torch.testing.assert_close(terms["perceptual"], (ours - real).abs().mean() + (composite - real).abs().mean())
    style = [(gram_matrix(x) - gram_matrix(real)).abs().mean() for x in (ours, composite)]
    torch.testing.assert_close(terms["style"], sum(style))
    variation = composite.diff(dim=3).abs().mean() + composite.diff(dim=2).abs().mean()
    torch.testing.assert_close(terms["total_variation"], variation)
    total = (
        terms["valid"] + 6 * terms["hole"] + 0.05 * terms["perceptual"]
        + 120 * terms["style"] + 0.1 * terms["total_variation"]
    )  # fmt: skip
    torch.testing.assert_close(terms["total"], total)


def test_pixels_are_whitened_as_in_the_public_ports(case):
    """Every pixel term of images as the ports load them: (x - mean) / std of ImageNet; their mask is 1 where valid."""
    output, truth, mask = case
    ours, real = normalise_signed(output), normalise_signed(truth)
    valid = 1 - mask
    composite = valid * real + (1 - valid) * ours
    terms = PConvLoss(pixels)(output, truth, mask)
    torch.testing.assert_close(terms["valid"], F.l1_loss(valid * ours, valid * real))
    torch.testing.assert_close(terms["hole"], F.l1_loss((1 - valid) * ours, (1 - valid) * real))
    across = (composite[:, :, :, :-1] - composite[:, :, :, 1:]).abs().mean()
    down = (composite[:, :, :-1, :] - composite[:, :, 1:, :]).abs().mean()
    torch.testing.assert_close(terms["total_variation"], across + down)
    unit = PConvLoss(pixels, pixels="unit")(output, truth, mask)
    for name in ("perceptual", "style"):  # the frozen network whitens its input itself
        assert torch.equal(terms[name], unit[name])


def test_an_error_of_half_the_range_in_half_of_the_image():
    output, truth = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.5)  # in [-1, 1]
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1
    unit, whitened = (PConvLoss(pixels, pixels=kind)(output, truth, mask) for kind in ("unit", "whitened"))
    assert float(unit["hole"]) == pytest.approx(0.125) and float(whitened["hole"]) == pytest.approx(0.553, abs=5e-4)
    assert float(whitened["valid"]) == float(whitened["hole"])


def test_under_autocast_pixels_are_compared_in_float32(case):
    output, truth, mask = case
    with torch.autocast("cpu", torch.bfloat16):
        terms = PConvLoss(pixels)(output.bfloat16(), truth, mask)
    assert terms["hole"].dtype == terms["total_variation"].dtype == torch.float32


def test_only_the_total_has_a_graph_and_reaches_the_output(case):
    output, truth, mask = case
    output.requires_grad_()
    terms = PConvLoss(pixels)(output, truth, mask)
    assert [name for name, term in terms.items() if term.requires_grad] == ["total"]
    terms["total"].backward()
    assert (output.grad != 0).any()


def test_a_term_with_weight_zero_is_not_computed(case):
    def refuse(images):
        raise AssertionError("the frozen network was asked")

    terms = PConvLoss(refuse, perceptual=0, style=0)(*case)
    assert set(terms) == {"total", "valid", "hole", "total_variation"}


def test_truth_costs_only_its_own_variation(case):
    _, truth, mask = case
    terms = PConvLoss(pixels)(truth, truth, mask)
    assert all(float(terms[name]) < 1e-6 for name in ("valid", "hole", "perceptual", "style"))
    torch.testing.assert_close(terms["total"], 0.1 * terms["total_variation"])

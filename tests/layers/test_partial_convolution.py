"""Partial convolution: what it computes, what it never looks at, how its mask grows."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from replication.layers.partial_convolution import PartialConv2d


@pytest.fixture
def x():
    torch.manual_seed(0)
    return torch.randn(2, 3, 9, 10)


def half_mask(x, share=0.4):
    return (torch.rand(x.shape[0], 1, *x.shape[2:]) < share).float()


def filled_bias(layer):
    torch.nn.init.normal_(layer.bias)
    return layer


def test_all_valid_without_padding_is_an_ordinary_convolution(x):
    layer = filled_bias(PartialConv2d(3, 4, 3, bias=True))
    out, mask = layer([x], [torch.ones(2, 1, 9, 10)])
    assert torch.equal(out, F.conv2d(x, layer.conv.weight) + layer.bias.view(1, -1, 1, 1))
    assert torch.equal(mask, torch.ones(2, 1, 7, 8))


def test_zero_padding_counts_as_hole_so_borders_are_scaled(x):
    """Equality with the padded convolution holds in the interior only: 1.5 on edges, 2.25 in corners."""
    layer = PartialConv2d(3, 4, 3, padding=1)
    out, _ = layer([x], [torch.ones(2, 1, 9, 10)])
    plain = F.conv2d(x, layer.conv.weight, padding=1)
    factor = torch.ones(9, 10)
    factor[[0, -1]] *= 1.5
    factor[:, [0, -1]] *= 1.5
    torch.testing.assert_close(out, plain * factor, rtol=1e-5, atol=1e-6)
    assert torch.equal(out[..., 1:-1, 1:-1], plain[..., 1:-1, 1:-1])


def test_the_scaled_form_divides_by_the_share_of_valid_inputs(x):
    layer = filled_bias(PartialConv2d(3, 4, 3, bias=True))
    mask = torch.zeros(2, 1, 9, 10)
    mask[..., 4, 4] = 1  # one valid pixel of nine
    out, _ = layer([x], [mask])
    only = layer.conv.weight[:, :, 2, 2] @ x[0, :, 4, 4]  # the window that ends there
    torch.testing.assert_close(out[0, :, 2, 2], 9 * only + layer.bias)


def test_values_under_the_hole_do_not_matter(x):
    layer = filled_bias(PartialConv2d(3, 4, 5, stride=2, padding=2, bias=True))
    mask = half_mask(x)
    out, _ = layer([x], [mask])
    other, _ = layer([torch.where(mask > 0, x, torch.full_like(x, 1e3))], [mask])
    assert torch.equal(out, other)


def test_nothing_valid_gives_exact_zeros_and_no_nan_backward(x):
    layer = filled_bias(PartialConv2d(3, 4, 3, padding=1, bias=True))
    x.requires_grad_(True)
    out, mask = layer([x], [torch.zeros(2, 1, 9, 10)])
    assert not out.any() and not mask.any()
    out.square().sum().backward()
    for gradient in (x.grad, layer.conv.weight.grad, layer.bias.grad):
        assert torch.equal(gradient, torch.zeros_like(gradient))


def test_partly_invalid_windows_are_exactly_zero_there_and_the_mask_says_so(x):
    layer = filled_bias(PartialConv2d(3, 4, 3, padding=1, bias=True))
    mask = torch.ones(2, 1, 9, 10)
    mask[..., 5:] = 0
    out, new = layer([x], [mask])
    assert torch.equal(new, F.max_pool2d(mask, 3, 1, 1))
    assert not out[..., 6:].any() and out[..., :6].abs().min() > 0


def test_the_mask_never_loses_valid_cells_and_carries_no_gradient(x):
    layer = PartialConv2d(3, 4, 3, padding=1)
    mask = half_mask(x, 0.1).requires_grad_(True)
    _, new = layer([x], [mask])
    assert (new >= mask).all() and new.sum() > mask.sum()
    assert not new.requires_grad


def test_two_groups_equal_one_multi_channel_mask():
    """s = C_A box(m_A) + C_B box(m_B): the direct computation with a mask per channel."""
    torch.manual_seed(1)
    a, b = torch.randn(2, 5, 8, 8), torch.randn(2, 3, 8, 8)
    mask_a, mask_b = half_mask(a), half_mask(b, 0.2)
    layer = filled_bias(PartialConv2d((5, 3), 4, 3, padding=1, bias=True))
    out, new = layer([a, b], [mask_a, mask_b])
    masks = torch.cat([mask_a.expand_as(a), mask_b.expand_as(b)], 1)
    count = F.conv2d(masks, torch.ones(1, 8, 3, 3), padding=1)
    raw = F.conv2d(torch.cat([a, b], 1) * masks, layer.conv.weight, padding=1)
    expected = torch.where(count > 0, raw * 72 / count.clamp(min=1) + layer.bias.view(1, -1, 1, 1), 0)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(new, (count > 0).float())


def test_counts_stay_exact_under_autocast():
    """512 * 9 valid inputs are not exact in bfloat16; the ratio must be that of float32."""
    layer = PartialConv2d(512, 1, 3, padding=1)
    torch.nn.init.constant_(layer.conv.weight, 2**-10)
    with torch.autocast("cpu", torch.bfloat16):
        out, _ = layer([torch.ones(1, 512, 4, 4)], [torch.ones(1, 1, 4, 4)])
    torch.testing.assert_close(out.float(), torch.full((1, 1, 4, 4), 4.5), rtol=1e-2, atol=0)


def test_the_box_of_ones_is_in_no_checkpoint():
    layer = PartialConv2d((2, 3), 4, 3, bias=True)
    assert set(layer.state_dict()) == {"conv.weight", "bias"}


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mask_dtype", [None, torch.float32])
def test_forward_and_backward_in_other_precisions(x, dtype, mask_dtype):
    layer = filled_bias(PartialConv2d(3, 4, 3, padding=1, bias=True))
    mask = half_mask(x)
    expected, expected_mask = layer([x], [mask])
    expected.square().mean().backward()
    gradient = layer.conv.weight.grad
    layer.zero_grad()
    layer.to(dtype)
    out, new = layer([x.to(dtype)], [mask.to(mask_dtype or dtype)])
    assert out.dtype == dtype and layer.box.dtype == torch.int32
    rough = {"rtol": 0.05, "atol": 0.05} if dtype.itemsize == 2 else {"rtol": 1e-5, "atol": 1e-6}
    torch.testing.assert_close(out.float(), expected, **rough)
    torch.testing.assert_close(new.float(), expected_mask)
    out.square().mean().backward()
    assert layer.conv.weight.grad.dtype == dtype
    torch.testing.assert_close(layer.conv.weight.grad.float(), gradient, **rough)


def test_gradients_in_float64():
    torch.manual_seed(0)
    layer = filled_bias(PartialConv2d((2, 1), 2, 3, padding=1, bias=True)).double()
    a, b = (torch.randn(1, c, 4, 5, dtype=torch.float64, requires_grad=True) for c in (2, 1))
    masks = [half_mask(a, 0.6).double(), half_mask(b, 0.3).double()]
    assert torch.autograd.gradcheck(lambda a, b: layer([a, b], masks)[0], (a, b))


def test_counts_stay_exact_in_a_layer_of_bfloat16():
    """515 is 516 in bfloat16; an all-valid window is an ordinary convolution all the same."""
    layer = PartialConv2d(515, 1, 3).bfloat16()
    x = torch.ones(1, 515, 3, 3, dtype=torch.bfloat16)
    assert layer.box.flatten().unique().tolist() == [515]
    assert torch.equal(layer([x], [torch.ones(1, 1, 3, 3)])[0], F.conv2d(x, layer.conv.weight))

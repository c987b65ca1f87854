"""Gated convolution: open and closed gates, activation, parameter counts."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from replication.layers.gated_convolution import GatedConv2d, GatedResBlock


@pytest.fixture
def x():
    torch.manual_seed(0)
    return torch.randn(2, 4, 8, 8)


def set_gate(layer: GatedConv2d, value: float) -> None:
    half = layer.conv.out_channels // 2
    with torch.no_grad():
        layer.conv.bias[half:] = value


def first_half(layer: GatedConv2d, x):
    half = layer.conv.out_channels // 2
    conv = layer.conv
    return F.conv2d(x, conv.weight[:half], conv.bias[:half], conv.stride, conv.padding, conv.dilation)


@pytest.mark.parametrize("activation", [True, False])
def test_an_open_gate_leaves_the_activated_convolution(x, activation):
    layer = GatedConv2d(4, 6, 3, stride=2, activation=activation)
    set_gate(layer, 60.0)
    plain = first_half(layer, x)
    torch.testing.assert_close(layer(x), F.elu(plain) if activation else plain)


def test_a_closed_gate_is_zero(x):
    layer = GatedConv2d(4, 6, 3)
    set_gate(layer, -200.0)
    assert not layer(x).any()


def test_a_gate_of_zero_is_one_half(x):
    layer = GatedConv2d(4, 6, 3)
    with torch.no_grad():
        layer.conv.weight[6:] = 0
    set_gate(layer, 0.0)
    torch.testing.assert_close(layer(x), 0.5 * F.elu(first_half(layer, x)))


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "side"), [(5, 1, 1, 8), (3, 2, 1, 4), (3, 1, 2, 8), (3, 1, 4, 8)]
)
def test_sizes(x, kernel, stride, dilation, side):
    assert GatedConv2d(4, 6, kernel, stride, dilation)(x).shape == (2, 6, side, side)


def test_parameter_counts():
    with torch.device("meta"):
        layers = {GatedConv2d(256, 256, 3): 1_180_160, GatedResBlock(256): 2 * 1_180_160}
    for layer, count in layers.items():
        assert sum(p.numel() for p in layer.parameters()) == count


def test_the_residual_block_is_the_identity_behind_a_closed_second_gate(x):
    block = GatedResBlock(4)
    set_gate(block.conv_1, -200.0)
    assert torch.equal(block(x), x)


def test_the_residual_block_ends_linear(x):
    """Second convolution without activation: its branch may be below ELU's floor of -1."""
    block = GatedResBlock(4)
    with torch.no_grad():
        block.conv_1.conv.bias[:4] = -50.0
    set_gate(block.conv_1, 60.0)
    assert (block(x) - x).max() < -20

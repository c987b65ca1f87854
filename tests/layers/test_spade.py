"""SPADE: modulation, its parameter-free norms, the residual block's size."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from replication.layers.spade import SPADE, SPADEResBlock, instance_norm


@pytest.fixture
def x():
    torch.manual_seed(0)
    return torch.randn(2, 6, 8, 8) * 3 + 1


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_instance_norm_is_torchs(x, layout):
    ours = instance_norm(x.contiguous(memory_format=layout))
    torch.testing.assert_close(ours, F.instance_norm(x), rtol=1e-5, atol=1e-5)
    assert ours.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_without_modulation_it_is_the_plain_norm_for_any_guide(x, norm):
    spade = SPADE(6, 5, hidden=4, norm=norm)
    for convolution in (spade.gamma, spade.beta):
        torch.nn.init.zeros_(convolution.weight)
        torch.nn.init.zeros_(convolution.bias)
    expected = F.batch_norm(x, None, None, training=True) if norm == "batch" else F.instance_norm(x)
    for _ in range(2):
        torch.testing.assert_close(spade(x, torch.randn(2, 5, 4, 4)), expected, rtol=1e-5, atol=1e-5)


def test_norm_times_one_plus_gamma_plus_beta(x):
    spade = SPADE(6, 5, hidden=4)
    guide = torch.randn(2, 5, 8, 8)
    shared = F.relu(spade.shared(guide))
    expected = F.instance_norm(x) * (1 + spade.gamma(shared)) + spade.beta(shared)
    torch.testing.assert_close(spade(x, guide), expected, rtol=1e-5, atol=1e-5)


def test_the_output_follows_the_guide_but_only_nearby(x):
    spade = SPADE(6, 5, hidden=4)
    guide = torch.randn(2, 5, 8, 8)
    other = guide.clone()
    other[..., 0, 0] += 1
    change = (spade(x, guide) - spade(x, other)).abs().amax((0, 1))
    assert change[0, 0] > 0
    assert not change[3:].any() and not change[:, 3:].any()  # two 3x3 convolutions reach two cells


def test_the_guide_is_resized_by_nearest(x):
    spade = SPADE(6, 5, hidden=4)
    guide = torch.randn(2, 5, 4, 4)
    enlarged = guide.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(spade(x, guide), spade(x, enlarged))
    block = SPADEResBlock(6, 4, 5, 4).eval()
    assert torch.equal(block(x, guide), block(x, enlarged))


@pytest.mark.parametrize(
    ("in_channels", "out_channels", "count"),
    [(256, 256, 3_540_736), (256, 128, 3_721_088), (128, 64, 2_626_688)],
)
def test_block_parameter_counts(in_channels, out_channels, count):
    with torch.device("meta"):
        block = SPADEResBlock(in_channels, out_channels, 512)
    assert sum(p.numel() for p in block.parameters()) == count


def test_spectral_norm_is_on_the_plain_convolutions_only():
    block = SPADEResBlock(8, 4, 5, 4)
    wrapped = {name for name, module in block.named_modules() if hasattr(module, "parametrizations")}
    assert wrapped == {"conv_0", "conv_1", "conv_s"}
    block.train()
    for _ in range(30):  # power iterations
        block(torch.randn(1, 8, 4, 4), torch.randn(1, 5, 4, 4))
    block.eval()
    for name in wrapped:
        weight = getattr(block, name).weight.flatten(1)
        assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, abs=0.05)


def test_the_shortcut_is_the_identity_for_equal_widths(x):
    block = SPADEResBlock(6, 6, 5, 4).eval()
    assert not block.learned_shortcut
    block.conv_1 = torch.nn.Conv2d(6, 6, 3, padding=1)
    torch.nn.init.zeros_(block.conv_1.weight)
    torch.nn.init.zeros_(block.conv_1.bias)
    assert torch.equal(block(x, torch.randn(2, 5, 8, 8)), x)

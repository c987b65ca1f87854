"""Masked correlation mining: where it acts, what its weights are, which keys count."""

from __future__ import annotations

import math

import pytest
import torch

from replication.layers.correlation_mining import MaskedCorrelationMining, fold_patches, unfold_patches

SIDE, PATCH, CHANNELS = 8, 2, 16
COUNT = (SIDE // PATCH) ** 2


@pytest.fixture
def fused():
    torch.manual_seed(0)
    return torch.randn(2, CHANNELS, SIDE, SIDE)


@pytest.fixture
def hole():
    mask = torch.zeros(2, 1, SIDE, SIDE)
    mask[0, :, 2:7, 1:5] = 1
    mask[1, :, :, 6:] = 1
    return mask


def mining(**options) -> MaskedCorrelationMining:
    torch.manual_seed(1)
    return MaskedCorrelationMining(CHANNELS, PATCH, **options)


def test_fold_is_the_inverse_of_unfold():
    x = torch.randn(2, 3, 128, 128)
    patches = unfold_patches(x, 8)
    assert patches.shape == (2, 256, 3 * 64)
    assert torch.equal(fold_patches(patches, 8, 128, 128), x)
    wide = torch.randn(1, 2, 4, 12)
    assert torch.equal(fold_patches(unfold_patches(wide, 4), 4, 4, 12), wide)


def test_patches_are_numbered_row_by_row():
    x = torch.zeros(1, 1, SIDE, SIDE)
    x[..., 2:4, 6:8] = 1  # second row of patches, fourth column
    assert unfold_patches(x, PATCH).sum(-1).nonzero()[0, 1] == 4 + 3


def test_parameter_counts():
    with torch.device("meta"):
        for channels, count in ((512, 328_320), (256, 82_240)):
            assert sum(p.numel() for p in MaskedCorrelationMining(channels, 8).parameters()) == count


def test_known_cells_are_untouched_and_hole_cells_are_not(fused, hole):
    out, _ = mining()(fused, hole)
    known = (hole == 0).expand_as(fused)
    assert torch.equal(out[known], fused[known])
    assert (out != fused)[~known].float().mean() > 0.99


def test_without_a_hole_it_is_the_identity(fused):
    for key_mask in ("none", "known_any"):
        out, _ = mining(key_mask=key_mask)(fused, torch.zeros(2, 1, SIDE, SIDE))
        assert torch.equal(out, fused)


@pytest.mark.parametrize("options", [{}, {"similarity": "cosine"}, {"key_mask": "known_any"}])
def test_rows_of_the_weights_sum_to_one(fused, hole, options):
    _, weights = mining(**options)(fused, hole)
    assert weights.shape == (2, COUNT, COUNT) and (weights >= 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, COUNT))


def test_dot_products_are_scaled_by_the_root_of_their_length(fused, hole):
    m = mining()
    query, key = (unfold_patches(conv(fused), PATCH) for conv in (m.query, m.key))
    d = CHANNELS // 8 * PATCH**2
    assert query.shape[-1] == d
    torch.testing.assert_close(m.attention(fused, hole), (query @ key.mT / math.sqrt(d)).softmax(-1))


def test_cosine_similarity_does_not_see_the_length_of_patches(fused, hole):
    m = mining(similarity="cosine", scale=10.0)
    query, key = (unfold_patches(conv(fused), PATCH) for conv in (m.query, m.key))
    cosine = torch.cosine_similarity(query[:, :, None], key[:, None], dim=-1)
    torch.testing.assert_close(m.attention(fused, hole), (10 * cosine).softmax(-1))


def test_constant_input_gives_constant_patches(hole):
    m = mining()
    torch.nn.init.zeros_(m.value.bias)
    constant = torch.randn(1, CHANNELS, 1, 1).expand(2, CHANNELS, SIDE, SIDE)
    out, weights = m(constant, torch.ones_like(hole))
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / COUNT))
    torch.testing.assert_close(out, constant + m.value(constant))


def test_the_update_is_the_weighted_sum_of_value_patches(fused, hole):
    m = mining()
    out, weights = m(fused, torch.ones_like(hole))
    values = unfold_patches(m.value(fused), PATCH)
    torch.testing.assert_close(unfold_patches(out - fused, PATCH), weights @ values, rtol=1e-4, atol=1e-5)


def test_known_any_drops_keys_that_lie_wholly_in_the_hole(fused, hole):
    weights = mining(key_mask="known_any").attention(fused, hole)
    whole = unfold_patches(hole, PATCH).amin(-1) == 1
    assert 0 < whole[0].sum() < COUNT
    for b in range(2):
        assert not weights[b][:, whole[b]].any()
        assert (weights[b][:, ~whole[b]] > 0).all()  # a partly known patch stays
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, COUNT))


def test_known_any_falls_back_when_a_sample_has_no_known_patch(fused, hole):
    hole = hole.clone()
    hole[0] = 1
    out, weights = mining(key_mask="known_any")(fused, hole)
    free = mining().attention(fused, hole)
    assert torch.isfinite(out).all()
    assert torch.equal(weights[0], free[0])  # this sample alone
    assert (weights[1] == 0).any()


@pytest.mark.parametrize("options", [{}, {"similarity": "cosine"}])
def test_uniform_attention_takes_the_mean_of_all_keys_that_count(fused, hole, options):
    m = mining(attention="uniform", **options)
    out, weights = m(fused, hole)
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / COUNT))
    mean = unfold_patches(m.value(fused), PATCH).mean(1, keepdim=True).expand(-1, COUNT, -1)
    torch.testing.assert_close(out, fused + hole * fold_patches(mean, PATCH, SIDE, SIDE), rtol=1e-4, atol=1e-5)
    whole = unfold_patches(hole, PATCH).amin(-1) == 1
    known = mining(attention="uniform", key_mask="known_any", **options).attention(fused, hole)
    expected = (~whole).float() / (~whole).sum(1, keepdim=True)
    torch.testing.assert_close(known, expected[:, None].expand_as(known))


def test_uniform_attention_teaches_the_queries_nothing_and_the_values_all_the_same(fused, hole):
    m = mining(attention="uniform")
    m(fused, hole)[0].square().sum().backward()
    assert not m.query.weight.grad.any() and not m.key.weight.grad.any() and m.value.weight.grad.any()


def test_gradient_reaches_the_input_and_all_branches(fused, hole):
    m = mining()
    fused.requires_grad_(True)
    m(fused, hole)[0].square().sum().backward()
    assert torch.isfinite(fused.grad).all() and fused.grad.any()
    for name in ("query", "key", "value"):
        assert getattr(m, name).weight.grad.any(), name

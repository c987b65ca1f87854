from __future__ import annotations

import pytest
import torch

from replication.losses.perceptual import gram_matrix, perceptual_loss, style_loss


def test_gram_is_symmetric_positive_semi_definite_and_size_averaged():
    torch.manual_seed(0)
    features = torch.randn(2, 5, 4, 3)
    gram = gram_matrix(features)
    torch.testing.assert_close(gram, gram.transpose(1, 2))
    assert torch.linalg.eigvalsh(gram).min() > -1e-6
    flat = features.flatten(2)
    torch.testing.assert_close(gram, flat @ flat.transpose(1, 2) / (5 * 4 * 3))
    torch.testing.assert_close(gram, gram_matrix(features.to(memory_format=torch.channels_last)))


def test_gram_and_style_are_blind_to_position():
    features = torch.randn(1, 5, 4, 3)
    moved = features.flatten(2)[:, :, torch.randperm(12)].view_as(features)
    torch.testing.assert_close(gram_matrix(moved), gram_matrix(features))
    assert float(style_loss([features], [moved])) < 1e-6
    assert float(perceptual_loss([features], [moved])) > 0.1


def test_sums_over_layers_of_means():
    ones = [torch.ones(2, 3, 4, 4), torch.ones(2, 6, 2, 2)]
    zeros = [torch.zeros_like(m) for m in ones]
    assert float(perceptual_loss(ones, zeros)) == 2.0
    # The Gram matrix of ones is 1 / C everywhere.
    assert float(style_loss(ones, zeros)) == pytest.approx(1 / 3 + 1 / 6)
    assert float(style_loss(ones, ones)) == 0.0 and float(perceptual_loss(ones, ones)) == 0.0


def test_half_precision_features_are_summed_in_float32():
    features = torch.full((1, 2, 64, 64), 40.0, dtype=torch.float16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gram = gram_matrix(features)
    # The plain sum 40 * 40 * 4096 is beyond float16.
    assert gram.dtype == torch.float32 and float(gram[0, 0, 0]) == pytest.approx(800.0)


def test_different_numbers_of_layers_are_an_error():
    with pytest.raises(ValueError):
        style_loss([torch.ones(1, 1, 2, 2)], [])

"""Perceptual and style consistency over feature maps of a frozen network (ShowFace Eq. 11 and 12)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def perceptual_loss(output_maps: Sequence[Tensor], truth_maps: Sequence[Tensor]) -> Tensor:
    """Eq. 11: sum over layers of the mean absolute difference of feature maps (B, C_l, H_l, W_l).

    Returns:
        Scalar float32, >= 0.
    """
    return sum((ours.float() - truth.float()).abs().mean() for ours, truth in zip(output_maps, truth_maps, strict=True))


def gram_matrix(features: Tensor) -> Tensor:
    """F F^T / (C H W) of feature maps (B, C, H, W) -> (B, C, C) float32, symmetric, positive semi-definite.

    Float32 also under autocast: the sum runs over all pixels, and half precision overflows.
    """
    batch, channels, height, width = features.shape
    with torch.autocast(features.device.type, enabled=False):
        # Pixels first: a view of channels_last features.
        pixels = features.float().permute(0, 2, 3, 1).reshape(batch, height * width, channels)
        return pixels.transpose(1, 2) @ pixels / (channels * height * width)


def style_loss(output_maps: Sequence[Tensor], truth_maps: Sequence[Tensor]) -> Tensor:
    """Eq. 12: sum over layers of the mean absolute difference of Gram matrices.

    Returns:
        Scalar float32, >= 0; 0 for identical images, and blind to where in the image a feature is.
    """
    return sum(
        (gram_matrix(ours) - gram_matrix(truth)).abs().mean()
        for ours, truth in zip(output_maps, truth_maps, strict=True)
    )

"""Perceptual and style consistency over feature maps of a frozen network (ShowFace, equations 11 and 12)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def perceptual_loss(output_maps: Sequence[Tensor], truth_maps: Sequence[Tensor]) -> Tensor:
    """Equation 11: L_perc = Σ_i ‖φ_i(Î) − φ_i(I_gt)‖₁ (ShowFace, eq. 11), φ_i feature maps (B, C_i, H_i, W_i).

    The norm is a mean here, so that a layer's weight does not depend on how many numbers it has.

    Returns:
        Scalar float32, >= 0.
    """
    return sum((ours.float() - truth.float()).abs().mean() for ours, truth in zip(output_maps, truth_maps, strict=True))


def gram_matrix(features: Tensor) -> Tensor:
    """𝔾(φ) = φ φᵀ / (C H W), φ as a matrix (C, HW): the Gram matrix that equation 12 names (ShowFace, eq. 12).

    The paper gives no divisor; C H W is that of the inpainting line that it follows (PConv, EdgeConnect, CTSDG).

    Args:
        features: (B, C, H, W).

    Returns:
        (B, C, C) float32, symmetric, positive semi-definite.

    Float32 also under autocast: the sum runs over all pixels, and half precision overflows.
    """
    batch, channels, height, width = features.shape
    with torch.autocast(features.device.type, enabled=False):
        # Pixels first: a view of channels_last features.
        pixels = features.float().permute(0, 2, 3, 1).reshape(batch, height * width, channels)
        return pixels.transpose(1, 2) @ pixels / (channels * height * width)


def style_loss(output_maps: Sequence[Tensor], truth_maps: Sequence[Tensor]) -> Tensor:
    """Equation 12: L_style = Σ_i ‖𝔾(φ_i(Î)) − 𝔾(φ_i(I_gt))‖₁ (ShowFace, eq. 12), the norm as a mean.

    Returns:
        Scalar float32, >= 0; 0 for identical images, and blind to where in the image a feature is.
    """
    return sum(
        (gram_matrix(ours) - gram_matrix(truth)).abs().mean()
        for ours, truth in zip(output_maps, truth_maps, strict=True)
    )

"""Pixel reconstruction (ShowFace Eq. 10)."""

from __future__ import annotations

from torch import Tensor


def reconstruction_loss(output: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute difference of two batches (B, 3, H, W) in [-1, 1], measured in [0, 1] units.

    Returns:
        Scalar float32 in [0, 1]; 0 for identical images.
    """
    return 0.5 * (output.float() - truth.float()).abs().mean()

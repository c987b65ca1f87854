"""Pixel reconstruction (ShowFace, equation 10)."""

from __future__ import annotations

from torch import Tensor


def reconstruction_loss(output: Tensor, truth: Tensor) -> Tensor:
    """Equation 10: L_rec = ‖Î − I_gt‖₁ (ShowFace, eq. 10), the norm as a mean.

    Args:
        output, truth: (B, 3, H, W) in [-1, 1]; the difference is measured in [0, 1] units, hence the half.

    Returns:
        Scalar float32 in [0, 1]; 0 for identical images.
    """
    return 0.5 * (output.float() - truth.float()).abs().mean()

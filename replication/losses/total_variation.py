"""Total variation (ShowFace Eq. 14)."""

from __future__ import annotations

from torch import Tensor


def total_variation_loss(images: Tensor) -> Tensor:
    """mean |dx| + mean |dy| of images (B, 3, H, W) in [-1, 1], in [0, 1] units.

    Means, not sums: as in the partial-convolution line, so that the weight does not depend on the image size.

    Returns:
        Scalar float32 in [0, 2]; 0 for constant images.
    """
    images = images.float()
    across = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().mean()
    down = (images[:, :, 1:, :] - images[:, :, :-1, :]).abs().mean()
    return 0.5 * (across + down)

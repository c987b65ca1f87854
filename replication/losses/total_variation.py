"""Total variation (ShowFace, equation 14)."""

from __future__ import annotations

from torch import Tensor


def total_variation_loss(images: Tensor) -> Tensor:
    """Equation 14: L_tv = ‖Î‖_tv (ShowFace, eq. 14) = mean |Î(x+1,y) − Î(x,y)| + mean |Î(x,y+1) − Î(x,y)|.

    The paper does not say which total variation; absolute differences of neighbours are those of Liu et al. 2018.
    Means, not sums: as in the partial-convolution line, so that the weight does not depend on the image size.

    Args:
        images: (B, 3, H, W) in [-1, 1]; differences are measured in [0, 1] units, hence the half.

    Returns:
        Scalar float32 in [0, 2]; 0 for constant images.
    """
    images = images.float()
    across = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().mean()
    down = (images[:, :, 1:, :] - images[:, :, :-1, :]).abs().mean()
    return 0.5 * (across + down)

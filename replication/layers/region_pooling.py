"""Region-wise average pooling over a label map, and its inverse (SEAN, Zhu et al. 2020; ShowFace, 3.2 and 3.3).

Both directions are one batched matrix product over flattened pixels. With features in
`torch.channels_last` memory format the flattening is a view, and no class-by-class loop is needed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from replication.errors import InputError


def _pixels_first(maps: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H*W, C); a view when `maps` is channels_last."""
    batch, channels = maps.shape[:2]
    return maps.permute(0, 2, 3, 1).reshape(batch, -1, channels)


def region_pool(features: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Q_i = Σ_xy W_i(x,y) F(x,y) / Σ_xy W_i(x,y), and 0 where region i is empty (ShowFace, section 3.2, in words).

    ShowFace cites SEAN's region-wise average pooling and prints no equation. With W = S, the one-hot label map, it
    gives Q; with W = S ⊙ (1 − M) it gives V, of the known part; on a frozen encoder, the rows of InCo².

    Args:
        features: (B, C, H, W), any floating type.
        weights: (B, n, H, W), non-negative region indicators: a one-hot label map, or that map times a
            hole or known mask.

    Returns:
        vectors (B, n, C) float32 and presence (B, n) bool (region i of sample b has positive area).
        An absent region has the zero vector, never NaN. The gradient reaches `features` only.

    Raises:
        InputError: batch or spatial sizes of the two arguments differ.

    The sums are float32 also under autocast: a region of a 128x128 map adds thousands of terms.
    """
    if features.shape[0] != weights.shape[0] or features.shape[2:] != weights.shape[2:]:
        raise InputError(
            f"region_pool: features {tuple(features.shape)} and weights {tuple(weights.shape)} "
            "must agree in batch size, height and width."
        )
    with torch.autocast(features.device.type, enabled=False):
        weights = weights.detach().float()
        area = weights.sum(dim=(2, 3))  # (B,n)
        presence = area > 0
        sums = weights.flatten(2) @ _pixels_first(features.float())  # (B,n,HW) @ (B,HW,C) -> (B,n,C)
        # Divided by 1 where the area is 0: 0 / 0 would be NaN, in the gradient too, whatever is done to it later.
        vectors = sums / torch.where(presence, area, 1.0).unsqueeze(-1)
    return vectors, presence


def broadcast_regions(vectors: Tensor, onehot: Tensor) -> Tensor:
    """F(x,y) = V_S(x,y): every region's vector on all pixels of the region (ShowFace, section 3.3, in words).

    Args:
        vectors: (B, n, C).
        onehot: (B, n, H, W) with at most one 1 per pixel; a pixel without any gets zeros.

    Returns:
        (B, C, H, W) in the type of `vectors`, channels_last. The gradient reaches `vectors` only.
    """
    batch, _, height, width = onehot.shape
    with torch.autocast(vectors.device.type, enabled=False):
        # A product, not an index: its backward adds up each region's gradients as a product too, in a fixed order,
        # where indexing scatters them with atomic additions on a GPU.
        pixels = onehot.detach().to(vectors.dtype).flatten(2).transpose(1, 2) @ vectors
    return pixels.view(batch, height, width, -1).permute(0, 3, 1, 2)

"""The input normalisation of networks trained on ImageNet."""

from __future__ import annotations

import torch
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalise_unit(images: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] -> (x - mean) / std per channel."""
    mean = torch.tensor(IMAGENET_MEAN, dtype=images.dtype, device=images.device).view(3, 1, 1)
    std = torch.tensor(IMAGENET_STD, dtype=images.dtype, device=images.device).view(3, 1, 1)
    return (images - mean) / std


def normalise_signed(images: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [-1, 1] -> the same as `normalise_unit` of the image in [0, 1]."""
    return normalise_unit(images * 0.5 + 0.5)

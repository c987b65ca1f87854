"""Random numbers inside a network, drawn in logical order: the memory layout of a tensor changes none of them.

`torch.randn_like`, `rand_like` and PyTorch's dropout fill memory in its own order, so that the same seed
gives other numbers to the same pixels of a channels_last tensor: `compute.channels_last`, meant for speed, would be
another random experiment. Numbers are float32 whatever the precision, so that bfloat16 only rounds them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def normal_like(x: Tensor) -> Tensor:
    """N(0, 1) of the shape, device and floating type of x (any shape), in the order of x's indices."""
    return torch.randn(x.shape, device=x.device).to(x.dtype)


def uniform_like(x: Tensor) -> Tensor:
    """Uniform numbers in [0, 1), float32, of the shape and device of x (any shape), in the order of x's indices."""
    return torch.rand(x.shape, device=x.device)


class Dropout(nn.Module):
    """y = x ⊙ B / (1 − p), B ∈ {0, 1} with P(B = 0) = p; y = x in evaluation (Srivastava et al. 2014).

    Args:
        p: share of numbers set to 0, in [0, 1).
        whole_maps: one draw for each channel of each sample of (B, C, ...), as `nn.Dropout2d`.
    """

    def __init__(self, p: float = 0.5, whole_maps: bool = False):
        super().__init__()
        self.p, self.whole_maps = p, whole_maps

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        drawn = uniform_like(x if not self.whole_maps else x[(..., *[slice(0, 1)] * (x.ndim - 2))])
        return x * ((drawn >= self.p).float() / (1 - self.p)).to(x.dtype)

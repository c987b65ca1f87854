"""Gated convolution (Yu et al. 2019, "Free-form image inpainting with gated convolution") and its residual block."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GatedConv2d(nn.Module):
    """O = φ(Feature) ⊙ σ(Gating), Feature = W_f ∗ I, Gating = W_g ∗ I (Yu et al. 2019, section on gated convolution).

    φ is ELU, σ the sigmoid. W_f and W_g are one convolution to twice the output channels, whose first half is
    Feature and second half Gating, as in the authors' code: one pass over the input instead of two.

    Args:
        activation: ELU on the first half if true, else linear (inside residual blocks).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        dilation: int = 1,
        activation: bool = True,
    ):
        super().__init__()
        padding = dilation * (kernel_size - 1) // 2  # keeps the size where stride is 1 and the kernel odd
        self.conv = nn.Conv2d(in_channels, 2 * out_channels, kernel_size, stride, padding, dilation)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        feature, gate = self.conv(x).chunk(2, dim=1)
        if self.activation:
            feature = F.elu(feature)
        return feature * torch.sigmoid(gate)


class GatedResBlock(nn.Module):
    """y = x + G₁(G₀(x)), G₀ and G₁ gated 3x3 convolutions, φ of G₁ the identity (definition of this repository).

    ShowFace, section 3.4, names gated ResBlocks and defines nothing, and the code of the gated convolution's
    authors has none. Without activation in G₁ the block can lower x by any amount, where ELU would stop at -1.
    """

    def __init__(self, channels: int, dilation: int = 1):
        super().__init__()
        self.conv_0 = GatedConv2d(channels, channels, 3, dilation=dilation)
        self.conv_1 = GatedConv2d(channels, channels, 3, dilation=dilation, activation=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_1(self.conv_0(x))

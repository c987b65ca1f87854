"""Gated convolution (Yu et al. 2019, "Free-form image inpainting with gated convolution") and its residual block."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GatedConv2d(nn.Module):
    """One convolution to 2*C_out channels, split in halves: act(first) * sigmoid(second).

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
        padding = dilation * (kernel_size - 1) // 2
        self.conv = nn.Conv2d(in_channels, 2 * out_channels, kernel_size, stride, padding, dilation)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        feature, gate = self.conv(x).chunk(2, dim=1)
        if self.activation:
            feature = F.elu(feature)
        return feature * torch.sigmoid(gate)


class GatedResBlock(nn.Module):
    """x + gated(gated(x)), the second one without activation (ShowFace section 3.4 names it, defines nothing)."""

    def __init__(self, channels: int, dilation: int = 1):
        super().__init__()
        self.conv_0 = GatedConv2d(channels, channels, 3, dilation=dilation)
        self.conv_1 = GatedConv2d(channels, channels, 3, dilation=dilation, activation=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_1(self.conv_0(x))

"""Partial convolution (Liu et al. 2018, "Image inpainting for irregular holes using partial convolutions")."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PartialConv2d(nn.Module):
    """x′ = Wᵀ(X ⊙ M) · sum(1) / sum(M) + b if sum(M) > 0, else 0 (Liu et al. 2018, section 3.1: the convolution).
    m′ = 1 if sum(M) > 0, else 0 (the same section: the update of the mask).

    X and M are the features and the mask, 1 = valid, inside one window; sum(1) is the window's size over all input
    channels, `window_size` here. The factor sum(1) / sum(M) makes an all-valid window an ordinary convolution; the
    form without sum(1), which some ports have, is smaller by a constant that only a batch norm hides. Zero padding
    counts as hole.

    Inputs may be several feature maps with one mask each (a decoder joins upsampled features and a skip):
    sum(M) is then the sum over maps of channels times box sum of the map's mask, which equals the sum over a mask
    with a channel for each feature channel exactly.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = False,
    ):
        super().__init__()
        # The convolution has no bias of its own: the bias is added after the scaling, which must not reach it.
        groups = (in_channels,) if isinstance(in_channels, int) else tuple(in_channels)
        self.conv = nn.Conv2d(sum(groups), out_channels, kernel_size, stride, padding, bias=False)
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.stride, self.padding = stride, padding
        self.window_size = sum(groups) * kernel_size**2
        # box (1,G,k,k): for every mask its number of feature channels, so that one small convolution of the G masks
        # counts what a convolution of all channels with ones would, at a fraction of its cost. A buffer so that it
        # follows the device, not persistent because it follows from the arguments; of integers, because `.bfloat16()`
        # of the layer would round a count of 515 channels.
        box = torch.tensor(groups, dtype=torch.int32).view(1, -1, 1, 1)
        box = box.expand(1, len(groups), kernel_size, kernel_size).contiguous()
        self.register_buffer("box", box, persistent=False)

    def forward(self, features: Sequence[Tensor], masks: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Convolve.

        Args:
            features: feature maps (B,C_g,H,W), one per channel group.
            masks: validity masks (B,1,H,W) in {0,1}, 1 = valid, one per group.

        Returns:
            The output (B,out,H',W'), exactly zero where no input was valid, and its mask (B,1,H',W').
        """
        valid = [f * m.to(f.dtype) for f, m in zip(features, masks, strict=True)]  # X ⊙ M
        out = self.conv(torch.cat(valid, 1) if len(valid) > 1 else valid[0])
        # The count and its inverse are float32 also under autocast and in a layer of bfloat16, in which counts up to
        # C*k*k are not exact.
        with torch.no_grad(), torch.autocast(out.device.type, enabled=False):
            exact = torch.promote_types(out.dtype, torch.float32)  # float64 in a layer of float64
            stacked = torch.cat([m.to(exact) for m in masks], 1) if len(masks) > 1 else masks[0].to(exact)
            # sum(M) (B,1,H',W')
            count = F.conv2d(stacked, self.box.to(exact), stride=self.stride, padding=self.padding)
            new_mask = (count > 0).to(exact)
            # A count is a whole number, so the clamp changes only 0, and no epsilon, which half precision would
            # lose, is needed. Times the new mask, so that a window without a valid input gives exactly 0.
            ratio = new_mask * (self.window_size / count.clamp(min=1.0))
        out = out * ratio.to(out.dtype)
        if self.bias is not None:
            out = out + self.bias.view(1, -1, 1, 1).to(out.dtype) * new_mask.to(out.dtype)
        return out, new_mask

"""PConv: the partial-convolution U-Net of Liu et al. 2018.

It is a baseline of ShowFace's Table 1 and, frozen, the coarse network of MDRNets, which states: every convolution
of a U-Net replaced by partial convolution, pre-trained for 100 epochs with the settings of the main model. The loss
is not stated; the original PConv loss is used. Layer table: the 7-level version of the public 256-pixel networks.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from replication.layers.partial_convolution import PartialConv2d


class PConvUNet(nn.Module):
    """U-Net of partial convolutions; 25,779,796 trainable parameters at width 64 with 7 levels.

    Args:
        width: channels of the first level; deeper ones have 2, 4, 8, 8, ... times as many.
        levels: how often the image is halved; 7 at 256 pixels.
    """

    def __init__(self, width: int = 64, levels: int = 7):
        super().__init__()
        widths = [width * min(2**i, 8) for i in range(levels)]
        kernels = [7, 5, 5] + [3] * max(levels - 3, 0)
        self.encoder, self.encoder_norms = nn.ModuleList(), nn.ModuleList()
        self.decoder, self.decoder_norms = nn.ModuleList(), nn.ModuleList()
        before = 3
        for i in range(levels):
            self.encoder.append(PartialConv2d(before, widths[i], kernels[i], 2, kernels[i] // 2))
            self.encoder_norms.append(nn.BatchNorm2d(widths[i]) if i else nn.Identity())
            before = widths[i]
        for i in reversed(range(levels)):
            skip = widths[i - 1] if i else 3
            out = widths[i - 1] if i else 3
            self.decoder.append(PartialConv2d((before, skip), out, 3, 1, 1, bias=i == 0))
            self.decoder_norms.append(nn.BatchNorm2d(out) if i else nn.Identity())
            before = out
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=0, mode="fan_in")

    def forward(self, image: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Fill a masked image.

        Args:
            image: (B,3,H,W) in [-1,1]; values where `known` is 0 do not matter.
            known: (B,1,H,W), 1 = valid (partial convolution's convention, the opposite of a hole mask).

        Returns:
            The raw output (B,3,H,W), unbounded, and the final mask (B,1,H,W).
        """
        features, masks = [image], [known]
        for conv, norm in zip(self.encoder, self.encoder_norms, strict=True):
            x, mask = conv([features[-1]], [masks[-1]])
            features.append(F.relu(norm(x)))
            masks.append(mask)
        x, mask = features.pop(), masks.pop()
        for conv, norm in zip(self.decoder, self.decoder_norms, strict=True):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            mask = F.interpolate(mask, scale_factor=2, mode="nearest")
            x, mask = conv([x, features.pop()], [mask, masks.pop()])
            if features:
                x = F.leaky_relu(norm(x), 0.2)
        return x, mask

    def freeze_encoder_statistics(self) -> None:
        """Use the encoder's running statistics from now on (the original's fine-tuning phase)."""
        for norm in self.encoder_norms:
            norm.eval()

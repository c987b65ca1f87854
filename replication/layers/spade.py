"""Spatially-adaptive normalisation (Park et al. 2019, "Semantic image synthesis with SPADE")."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


def instance_norm(x: Tensor, eps: float = 1e-5) -> Tensor:
    """(x − μ) / √(σ² + eps), μ and σ² over the pixels of each channel of each image of (B,C,H,W) (Ulyanov et al. 2016).

    Without parameters, and in the memory layout of its input.
    `F.instance_norm` folds the batch into the channels and so copies channels-last tensors back and forth;
    group norm with one channel per group computes the same and does not.
    """
    return F.group_norm(x, x.shape[1], eps=eps)


class SPADE(nn.Module):
    """γ(m) ⊙ (h − μ) / σ + β(m), written here as (1 + gamma) ⊙ norm(x) + beta (Park et al. 2019, section on SPADE).

    h is x, m the guide; μ and σ are the mean and the standard deviation of each channel. γ = 1 + gamma as in the
    authors' code: small initial weights then leave the normalised x as it is instead of wiping it out. gamma and
    beta are convolutions of the guide, which may have any number of channels.

    Args:
        channels: channels of x.
        guide_channels: channels of the guide (a label map in SPADE; the fused features F_f in MDRNets).
        hidden: width of the shared convolution (128 in the paper).
        norm: "instance" (default here: the papers' batch per GPU is tiny) or "batch", both without affine.
    """

    def __init__(self, channels: int, guide_channels: int, hidden: int = 128, norm: str = "instance"):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False) if norm == "batch" else instance_norm
        self.shared = nn.Conv2d(guide_channels, hidden, 3, padding=1)
        self.gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def modulation(self, guide: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """gamma and beta (B,C,*size) for a guide (B,G,h,w), resized to `size` by nearest neighbour."""
        if guide.shape[-2:] != size:
            guide = F.interpolate(guide, size=size, mode="nearest")
        shared = F.relu(self.shared(guide))
        # One convolution for both: the same numbers, half the passes over the hidden features.
        weight = torch.cat([self.gamma.weight, self.beta.weight])
        bias = torch.cat([self.gamma.bias, self.beta.bias])
        gamma, beta = F.conv2d(shared, weight, bias, padding=1).chunk(2, dim=1)
        return gamma, beta

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        gamma, beta = self.modulation(guide, x.shape[-2:])
        return torch.addcmul(beta, self.norm(x), 1 + gamma)  # beta + norm(x) ⊙ (1 + gamma) in one pass


class SPADEResBlock(nn.Module):
    """y = s(x) + C₁(λ(S₁(C₀(λ(S₀(x)))))), the "SPADE ResBlk" that Park et al. 2019 draw without an equation.

    S are SPADE layers under the guide, C 3x3 convolutions, λ is LeakyReLU 0.2. The shortcut s is x itself, or, where
    the widths differ, a SPADE layer and then a 1x1 convolution without bias. As in the authors' code, spectral norm
    is on the plain convolutions and not on those inside the SPADE layers.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        guide_channels: int,
        hidden: int = 128,
        norm: str = "instance",
    ):
        super().__init__()
        middle = min(in_channels, out_channels)
        self.spade_0 = SPADE(in_channels, guide_channels, hidden, norm)
        self.conv_0 = spectral_norm(nn.Conv2d(in_channels, middle, 3, padding=1))
        self.spade_1 = SPADE(middle, guide_channels, hidden, norm)
        self.conv_1 = spectral_norm(nn.Conv2d(middle, out_channels, 3, padding=1))
        self.learned_shortcut = in_channels != out_channels
        if self.learned_shortcut:
            self.spade_s = SPADE(in_channels, guide_channels, hidden, norm)
            self.conv_s = spectral_norm(nn.Conv2d(in_channels, out_channels, 1, bias=False))

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """Map x (B,in,H,W) to (B,out,H,W) under a guide (B,G,h,w)."""
        # Resized here once; each of the two or three SPADE layers would do it again.
        if guide.shape[-2:] != x.shape[-2:]:
            guide = F.interpolate(guide, size=x.shape[-2:], mode="nearest")
        shortcut = self.conv_s(self.spade_s(x, guide)) if self.learned_shortcut else x
        out = self.conv_0(F.leaky_relu(self.spade_0(x, guide), 0.2))
        out = self.conv_1(F.leaky_relu(self.spade_1(out, guide), 0.2))
        return shortcut + out

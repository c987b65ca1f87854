"""One module per published system, each behind the same two faces: a Trainable and an Inpainter."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn


class Inpainter(Protocol):
    """What evaluation and inspection know of a method."""

    def inpaint(self, image: Tensor, mask: Tensor, seed: int = 0) -> Tensor:
        """Fill holes: image (B,3,H,W) in [-1,1], mask (B,1,H,W) with 1 = hole -> completed images.

        Pixels under the hole are never read; known pixels come back bit for bit.
        """

    def features(self, image: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Name the intermediate tensors of one pass, for inspection."""


def composite(raw: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """Paste the known pixels over a network's output; `where` keeps them bit for bit."""
    return torch.where(mask > 0.5, raw.to(image.dtype), image)


def hide(image: Tensor, mask: Tensor) -> Tensor:
    """The masked input I = (1 - M) * I_gt; what lies under the hole cannot be recovered from it."""
    return torch.where(mask > 0.5, torch.zeros_like(image), image)


def initialise_normal(network: nn.Module, std: float) -> None:
    """N(0, std) for every convolution's weight and 0 for its bias (pix2pix, EdgeConnect, CTSDG)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            # Spectral norm recomputes `weight`: its underlying tensor is the one to fill.
            parametrised = getattr(module, "parametrizations", None)
            weight = parametrised.weight.original if parametrised is not None else module.weight
            nn.init.normal_(weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            if parametrised is not None:
                _refresh_spectral_norm(module)


def _refresh_spectral_norm(module: nn.Module) -> None:
    """Estimate the largest singular value of a refilled weight anew; the old vectors belong to the old weight."""
    was_training = module.training
    module.train()
    with torch.no_grad():
        for _ in range(15):
            _ = module.weight  # each access in training mode is one power iteration
    module.train(was_training)

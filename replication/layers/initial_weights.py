"""Initial weights that follow from (seed, name of the layer), so that variants of a network begin equal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from replication.data.random_streams import stream


def draw_seed() -> int:
    """A seed from PyTorch's own generator, so that `torch.manual_seed` decides a network's start as usual."""
    return int(torch.randint(2**63 - 1, (), device="cpu"))


def standard_normal(seed: int, name: str, shape: Sequence[int]) -> Tensor:
    """Numbers of N(0, 1), float32, that depend on (seed, name) alone; a longer first axis only adds to them."""
    return torch.from_numpy(stream(seed, name).standard_normal(shape, np.float32))


def initialise_normal(network: nn.Module, std: float, seed: int) -> None:
    """N(0, std) for every convolution's weight and 0 for its bias (pix2pix, EdgeConnect, CTSDG).

    A layer's numbers follow from the seed and the layer's name, not from how much the layers before it drew:
    variants of a network begin equal in every layer that they share, and an ablation compares the variant, not
    the luck of another start.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            # Spectral norm recomputes `weight`: its underlying tensor is the one to fill.
            parametrised = getattr(module, "parametrizations", None)
            weight = parametrised.weight.original if parametrised is not None else module.weight
            with torch.no_grad():
                weight.copy_(std * standard_normal(seed, name, weight.shape))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            if parametrised is not None:
                _refresh_spectral_norm(module, seed, name)


def _refresh_spectral_norm(module: nn.Module, seed: int, name: str) -> None:
    """Estimate the largest singular value of a refilled weight anew; the old vectors belong to the old weight."""
    was_training = module.training
    module.train()
    with torch.no_grad():
        for key, vector in module.parametrizations.weight.named_buffers():
            vector.copy_(F.normalize(standard_normal(seed, f"{name} {key}", vector.shape), dim=0))
        for _ in range(15):
            _ = module.weight  # each access in training mode is one power iteration
    module.train(was_training)
